"""Look at the content of a path: what is compared to know whether it has changed. All functions block.

Times, modes, owners and links to a file are not its content. A digest is computed again only if the file's state has
changed since it was computed, or may have changed in the same tick of the clock.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct

import msgspec

from roost.daemon.watch.files.trails import Entry, EntryKind
from roost.store.disk.regular_files import MAX_FILE_BYTES, open_regular

MAX_NAMES = 20_000
"""A folder with more names is compared by its mtime."""
_CHUNK_BYTES = 1 << 18
_COARSE_SECONDS = 2.1
"""Times of some file systems have a resolution of a second (FAT: two)."""
_FINE_SECONDS = 0.05
"""Others use the kernel's tick, 10 ms at most."""
_PASSING = frozenset({errno.EAGAIN, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Errors that may go without an event in the folder."""
_STATE = struct.Struct("<6q")
_SIZE_AND_TIME = struct.Struct("<2q")


class FileContent(msgspec.Struct, frozen=True, gc=False):
    """The content of a path at one moment.

    ``kind`` and ``digest`` are what is compared. ``state`` is what stat(2) said when ``digest`` was computed, and
    ``is_settled`` whether any later change must show in it. ``is_linked`` is set for a file with several names,
    ``is_passing`` if looking failed in a way that may go by itself.
    """

    kind: str
    digest: bytes = b""
    state: bytes = b""
    is_settled: bool = False
    is_linked: bool = False
    is_passing: bool = False


def look_at(path: str, before: FileContent | None, now: float, *, polled: bool = False) -> FileContent:
    """Return the content of ``path``, whatever it is: a file, a folder, something else, nothing.

    ``now`` is ``time.time()``. The clock of a polled file may be another machine's: its state is settled when it was
    seen twice.
    """
    try:
        status = os.stat(path)
        state = _pack_state(status)
        if before is not None and before.is_settled and before.state == state:
            return before
        seen_twice = before is not None and before.state == state
        settled = seen_twice if polled else _is_settled(status, now)
        if stat.S_ISREG(status.st_mode):
            return _look_at_file(path, status, state, settled)
        if stat.S_ISDIR(status.st_mode):
            return FileContent("folder", _digest_names(path, status), state, settled)
    except OSError as error:
        return _describe_error(error)
    except ValueError:  # a NUL character
        return FileContent("unreadable", errno.errorcode[errno.EINVAL].encode())
    return FileContent("special", str(stat.S_IFMT(status.st_mode)).encode(), state, settled)


def is_other(before: FileContent, after: FileContent) -> bool:
    """Whether the content has changed."""
    return (before.kind, before.digest) != (after.kind, after.digest)


def read_entry(path: str) -> Entry:
    """Return what a name in a folder is, without following a link."""
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return Entry(EntryKind.LINK, os.readlink(path))
    except (FileNotFoundError, NotADirectoryError):
        return Entry(EntryKind.MISSING)
    except (OSError, ValueError):
        return Entry(EntryKind.REFUSED)
    return Entry(EntryKind.FOLDER if stat.S_ISDIR(mode) else EntryKind.FILE)


def _look_at_file(path: str, status: os.stat_result, state: bytes, settled: bool) -> FileContent:
    if status.st_size > MAX_FILE_BYTES:
        return _describe_large(status, state, settled)
    digest = hashlib.blake2b(digest_size=16)
    left = MAX_FILE_BYTES
    with open_regular(path) as file:
        opened = os.fstat(file.fileno())
        while left > 0 and (chunk := file.read(_CHUNK_BYTES)):
            digest.update(chunk)
            left -= len(chunk)
        ended = os.fstat(file.fileno())
    if left <= 0:
        return _describe_large(ended, _pack_state(ended), settled)
    settled = settled and _pack_state(opened) == state == _pack_state(ended)
    return FileContent("file", digest.digest(), state, settled, opened.st_nlink > 1)


def _describe_large(status: os.stat_result, state: bytes, settled: bool) -> FileContent:
    return FileContent(
        "large", _SIZE_AND_TIME.pack(status.st_size, status.st_mtime_ns), state, settled, status.st_nlink > 1
    )


def _digest_names(path: str, status: os.stat_result) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    names = []
    with os.scandir(path) as entries:
        for entry in entries:
            names.append(os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"\0"))
            if len(names) > MAX_NAMES:
                return _SIZE_AND_TIME.pack(-1, status.st_mtime_ns)
    for name in sorted(names):
        digest.update(name)
    return digest.digest()


def _describe_error(error: OSError) -> FileContent:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return FileContent("missing")
    code = error.errno or 0
    return FileContent("unreadable", errno.errorcode.get(code, str(code)).encode(), is_passing=code in _PASSING)


def _pack_state(status: os.stat_result) -> bytes:
    return _STATE.pack(
        status.st_dev & 0x7FFFFFFFFFFFFFFF,
        status.st_ino & 0x7FFFFFFFFFFFFFFF,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_mode,
    )


def _is_settled(status: os.stat_result, now: float) -> bool:
    newest = max(status.st_mtime_ns, status.st_ctime_ns)
    window = _COARSE_SECONDS if newest % 10**9 == 0 else _FINE_SECONDS
    return newest / 1e9 < now - window
