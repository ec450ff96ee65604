"""Whether a root can be used: length, file system, permission, format, and who holds it.

Everything here blocks.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from roost.model.errors import StoreRefusedError
from roost.store.disk.layout import PREFIX_NAME_BYTES, Layout, full_disk_named, write_durably

STORE_FORMAT = 1
"""Of what lies on disk; written once into ``<root>/format``."""

PLACEHOLDER_BYTES = 255
"""conda-build's prefix placeholder is that long: a longer prefix can't be patched into a binary."""
SHEBANG_BYTES = 127
"""Of a ``#!`` line, by execve(2) of Linux before 5.1; conda counts with the same number."""
_LONGEST_INTERPRETER = "/bin/python3.99"

_NETWORK = (
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph fuse.ceph glusterfs fuse.glusterfs lustre gpfs beegfs fuse.sshfs fuse.s3fs "
    "fuse.rclone fuse.gcsfuse fuse.davfs davfs ncpfs coda orangefs pvfs2"
)
NETWORK_FILE_SYSTEMS = frozenset(_NETWORK.split())
"""SQLite's WAL needs shared memory and locks that these don't give to all machines (sqlite.org/wal.html)."""


class RootTooLongError(StoreRefusedError):
    """Prefixes under this root would have paths that packages can't hold."""

    code = "root-too-long"


class RootReadOnlyError(StoreRefusedError):
    """Nothing can be written under the root."""

    code = "root-read-only"


class RootNetworkError(StoreRefusedError):
    """The root lies on a network file system."""

    code = "root-network"


class RootFormatError(StoreRefusedError):
    """The root was written by another version of roost, or is no root at all."""

    code = "root-format"


class RootInUseError(StoreRefusedError):
    """Another daemon holds the root."""

    code = "root-in-use"


def longest_root() -> int:
    """How many bytes a root's path may have, by the tighter one of placeholder and shebang."""
    below = len("/prefixes/") + PREFIX_NAME_BYTES
    by_shebang = SHEBANG_BYTES - len("#!") - len(_LONGEST_INTERPRETER)
    return min(PLACEHOLDER_BYTES, by_shebang) - below


def _elsewhere(place: str, instead: str = "") -> str:
    """The hint to keep the root at another ``place``, after what could be done ``instead``."""
    return f"{instead + ', or set' if instead else 'Set'} ROOST_HOME to {place} and start again."


def check_root(root: str) -> None:
    """Refuse a root that can't work, before anything is made in it.

    Raises:
        RootTooLongError, RootNetworkError, RootReadOnlyError, RootFormatError: as their names say.
    """
    layout = Layout(root)
    _check_length(layout.root)
    _check_network(layout.root)
    _check_writable(layout.root)
    _check_format(layout)


def _check_length(root: str) -> None:
    length, limit = len(os.fsencode(root)), longest_root()
    if length > limit:
        raise RootTooLongError(
            f"The root {root} has {length} bytes, and the limit is {limit}: a path in a prefix below it must fit "
            f"a {SHEBANG_BYTES}-byte #! line and conda's {PLACEHOLDER_BYTES}-byte placeholder",
            hint=_elsewhere(f"a path of at most {limit} bytes"),
            fields={"root": root, "length": length, "limit": limit},
        )


def _check_network(root: str) -> None:
    kind = file_system(_existing(root))
    if kind in NETWORK_FILE_SYSTEMS:
        raise RootNetworkError(
            f"The root {root} lies on a network file system ({kind}), on which the index can't be kept safe",
            hint=_elsewhere("a folder on a local disk"),
            fields={"root": root, "file_system": kind},
        )


def _check_writable(root: str) -> None:
    existing = _existing(root)
    if not os.path.isdir(existing):
        raise _read_only(root, f"{existing} is not a folder")
    # access(2) answers for a read-only mount too, even to the superuser.
    if not os.access(existing, os.W_OK | os.X_OK):
        raise _read_only(root, f"no permission to write in {existing}, or it is mounted read-only")


def _read_only(root: str, why: str) -> RootReadOnlyError:
    return RootReadOnlyError(
        f"Can't write under the root {root}: {why}",
        hint=_elsewhere("a folder that is", "Make it writable for you"),
        fields={"root": root},
    )


def _check_format(layout: Layout) -> None:
    found = read_format(layout)
    if found is None and os.path.lexists(layout.index_path):
        raise _unknown_format(layout, "it holds an index but no format file")
    if found is not None and found != str(STORE_FORMAT):
        raise _unknown_format(layout, f"its format is {found[:40]!r}, this version of roost knows {STORE_FORMAT}")


def _unknown_format(layout: Layout, why: str) -> RootFormatError:
    return RootFormatError(
        f"The root {layout.root} can't be read: {why}",
        hint=_elsewhere("another folder", "Use the version of roost that wrote it"),
        fields={"root": layout.root, "known": STORE_FORMAT},
    )


def read_format(layout: Layout) -> str | None:
    """The text of the format file without white space around it; ``None`` where there is none yet."""
    try:
        with open(layout.format_path, "rb") as stream:
            return stream.read(200).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unknown_format(layout, f"its format file can't be read ({error.strerror})") from error


def file_system(path: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """The type of the file system that ``path`` lies on, as proc(5) names it; ``None`` where ``mounts`` doesn't say."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return None
    return type_in_mounts(os.path.realpath(path), lines)


def type_in_mounts(path: str, lines: list[str]) -> str | None:
    """Of the mount points at or above ``path`` (no symlinks in it) the longest counts, and of equals the last."""
    best, kind = -1, None
    for line in lines:
        left, found, right = line.partition(" - ")
        fields = left.split(" ")
        if not found or len(fields) < 5:
            continue
        point = _unescape(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _existing(path: str) -> str:
    """``path``, or the nearest folder above it that is there."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


class RootLock:
    """The exclusive hold of one daemon on one root: flock(2) on ``<root>/lock``, let go by the kernel if it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @property
    def released(self) -> bool:
        return self._descriptor is None

    def release(self) -> None:
        """Let go; calling it again does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def claim_root(layout: Layout, address: str = "") -> RootLock:
    """Make the root where it is missing, hold it, and write its format if it is new. ``address`` is where the holder
    can be reached: told to whoever is refused.

    Raises:
        RootInUseError: another process holds it.
        RootReadOnlyError, RootFormatError, StoreFullError: as their names say.
    """
    with full_disk_named(layout.root):
        try:
            os.makedirs(layout.root, mode=0o700, exist_ok=True)
            descriptor = os.open(layout.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise _read_only(layout.root, str(error.strerror)) from error
        try:
            _lock(descriptor, layout, address)
            _settle(layout)
        except BaseException:
            os.close(descriptor)
            raise
    return RootLock(descriptor)


def _lock(descriptor: int, layout: Layout, address: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder, _, served = os.pread(descriptor, 512, 0).decode("utf-8", "replace").strip().partition("\n")
        raise RootInUseError(
            f"Another roost daemon{f' (process {holder})' if holder else ''} uses the root {layout.root}",
            hint=_elsewhere("another folder", "Stop it with `roost daemon stop`"),
            fields={"root": layout.root, "pid": int(holder) if holder.isdigit() else None, "address": served or None},
        ) from None
    os.ftruncate(descriptor, 0)
    with suppress(OSError):  # this is a courtesy to whoever is refused: a full disk must not stop the daemon
        os.pwrite(descriptor, f"{os.getpid()}\n{address}\n".encode(), 0)


def _settle(layout: Layout) -> None:
    """The format file comes first: an index without it is none of ours."""
    _check_format(layout)
    if read_format(layout) is None:
        write_durably(layout.format_path, f"{STORE_FORMAT}\n".encode())
    layout.make_folders()
