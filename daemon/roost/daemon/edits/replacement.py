"""A file of the user, replaced in one step or not at all. All functions block.

The new content is written to a temporary file in the same folder, which gets the mode, owner and extended attributes of
the file, is synced, and takes its place by a rename: whoever reads the path, and whatever power loss or SIGKILL comes,
finds the old content or the new. Before the rename, the file must still be what was read: an editor may have saved it
since. Two roots that edit the same file wait for each other by a lock on it (flock), and the later one refuses.

A symbolic link stays, and the file that it leads to is replaced. Of several hard links, the one that was named leads to
the new content; the others keep the old.

Temporary files are locked as long as their writer lives. A later change removes those of writers that were killed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from roost.model.errors import CodedError
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, rename, sync_folder
from roost.store.disk.regular_files import open_regular, read_regular
from roost.store.failpoints import failpoint, operation

_TEMPORARY = re.compile(r"\.roost-edit-[0-9a-f]{16}")
_LOCK_SECONDS = 2.0
"""A daemon that replaces the file takes milliseconds; anybody else's lock means something else."""
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
"""Errors of link(2) on file systems without hard links."""


_CREATED = "Make the folder writable, or name another one."
_REPLACED = "Make the folder writable: a file is replaced as a whole, by a new one beside it."


class FileChangedError(CodedError):
    """Somebody else changed the file between its reading and its replacement."""

    code = "file-changed"
    exit_status = 1
    http_status = 409
    retryable = True


class FileNotWritableError(CodedError):
    """The file or its folder can't be written."""

    code = "file-not-writable"
    exit_status = 1
    http_status = 409


class FilePresentError(CodedError):
    """A file that is to be created exists."""

    code = "file-exists"
    exit_status = 1
    http_status = 409


class OriginalFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was read."""

    path: str
    """As it was named."""
    target: str
    """The same without links."""
    data: bytes


def read_original(path: str) -> OriginalFile:
    """Read the file that is to be replaced. Raises: OSError, FileNotWritableError if it or its folder is read-only."""
    target = os.path.realpath(path)
    original = OriginalFile(path=path, target=target, data=read_regular(target))
    if not stat.S_IMODE(os.stat(target).st_mode) & 0o222 or not os.access(target, os.W_OK):
        raise FileNotWritableError(f"{path} is read-only", hint="Make it writable (chmod u+w), and try again.")
    require_writable(os.path.dirname(target), path, _REPLACED)
    return original


def require_writable(folder: str, path: str, hint: str = "") -> None:
    """Check before any work that ``path`` can be written in ``folder``, for root too, who would pass by its mode.

    Raises: FileNotWritableError with ``hint``, if nothing can be created in the folder.
    """
    try:
        is_writable = bool(stat.S_IMODE(os.stat(folder).st_mode) & 0o222) and os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise _unwritable_error(path, error, hint) from error
    if not is_writable:
        raise FileNotWritableError(f"{path} can't be written: {folder} is read-only", hint=hint or _CREATED)


def replace_file(original: OriginalFile, data: bytes) -> None:
    """Write ``data`` in place of the file, which must still be what was read.

    Raises: FileChangedError; FileNotWritableError if its folder can't be written, or if the new file could not have the
    same owner. The file is as it was then.
    """
    folder = os.path.dirname(original.target)
    _remove_leftovers(folder)
    try:
        with open_regular(original.target) as file:
            _lock(file.fileno())
            with _temporary_file(folder, data) as temporary:
                failpoint("edit.written")
                _copy_metadata(file.fileno(), temporary, original)
                _sync(temporary)
                failpoint("edit.synced")
                _require_unchanged(original, os.fstat(file.fileno()))
                failpoint("edit.compared")
                rename(temporary, original.target)
            failpoint("edit.renamed")
        _sync_folder(folder)
    except FileNotFoundError as error:
        raise _changed_error(original) from error
    except OSError as error:
        raise _unwritable_error(original.path, error, _REPLACED) from error


def create_file(path: str, data: bytes, mode: int) -> None:
    """Create the file ``path`` with ``data`` and ``mode``; it is never there in part. A file that exists stays.

    Raises: FilePresentError, FileNotWritableError.
    """
    folder = os.path.dirname(path)
    _remove_leftovers(folder)
    try:
        with _temporary_file(folder, data) as temporary:
            os.chmod(temporary, mode)
            _sync(temporary)
            failpoint("begin.written")
            _link(temporary, path)
            failpoint("begin.linked")
        _sync_folder(folder)
    except FileExistsError as error:
        raise present_error(path) from error
    except OSError as error:
        raise _unwritable_error(path, error) from error


def present_error(path: str, hint: str = "") -> FilePresentError:
    """Return the error for a file that is to be created and exists. ``hint``: what to do, if nothing can be added."""
    return FilePresentError(
        f"{path} exists, and stays as it is",
        hint=hint or f"`roost add -f {shlex.quote(path)} PKG` adds packages to it.",
    )


def _link(temporary: str, path: str) -> None:
    """Give the temporary file its name, which must not exist: by link(2), or where that is missing by a rename."""
    try:
        os.link(temporary, path, follow_symlinks=False)
        operation("link", f"{temporary} {path}")
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        rename(temporary, path)  # what the name led to for a moment was empty, and this process's own


@contextmanager
def _temporary_file(folder: str, data: bytes) -> Iterator[str]:
    """Yield the path of a new file with ``data``, for its owner only; it is removed at the end if it is still there."""
    path, descriptor = _open_temporary(folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            failpoint("edit.created")
            stream.write(data)
            stream.flush()
            operation("write", path)
            yield path
    finally:
        with suppress(OSError):
            os.unlink(path)


def _open_temporary(folder: str) -> tuple[str, int]:
    """Return the path and the descriptor of a new file that is locked. Somebody may take it for a leftover before it is
    locked: then another one is made."""
    while True:
        path = os.path.join(folder, f".roost-edit-{secrets.token_hex(8)}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        _lock(descriptor)
        if os.path.exists(path):
            return path, descriptor
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock an open file against other daemons. If that is not possible, or somebody holds a lock for longer, there is
    the comparison alone."""
    deadline = time.monotonic() + _LOCK_SECONDS
    with suppress(OSError):
        while time.monotonic() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            else:
                return


def _sync_folder(folder: str) -> None:
    """Make the new name durable. It is there already, so that a folder that can't be synced makes no failure of it."""
    with suppress(OSError):
        sync_folder(folder)


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that has nothing of the kind
            raise
    finally:
        os.close(descriptor)
    operation("fsync", path)


def _copy_metadata(descriptor: int, temporary: str, original: OriginalFile) -> None:
    """Give the new file the owner, the extended attributes (with access lists) and the mode of the old one.

    Raises: FileNotWritableError if the owner can't be kept: others could lose their access.
    """
    status, own = os.fstat(descriptor), os.stat(temporary)
    if (status.st_uid, status.st_gid) != (own.st_uid, own.st_gid):
        try:
            os.chown(temporary, status.st_uid, status.st_gid)
        except OSError as error:
            raise FileNotWritableError(
                f"{original.path} has another owner or group, which a new file of this user can't have",
                hint="Change its owner, or edit it where it belongs to you.",
            ) from error
    with suppress(OSError):  # a file system without them
        for name in os.listxattr(descriptor):
            with suppress(OSError):  # some can be set by the system only
                os.setxattr(temporary, name, os.getxattr(descriptor, name))
    os.chmod(temporary, stat.S_IMODE(status.st_mode))


def _require_unchanged(original: OriginalFile, opened: os.stat_result) -> None:
    """Raises: FileChangedError if the path no longer leads to the file that was opened, or that has other content."""
    current = os.stat(original.target)
    is_same = (current.st_dev, current.st_ino) == (opened.st_dev, opened.st_ino)
    if not is_same or os.path.realpath(original.path) != original.target or _read(original.target) != original.data:
        raise _changed_error(original)


def _read(path: str) -> bytes | None:
    try:
        return read_regular(path)
    except OSError:
        return None


def _changed_error(original: OriginalFile) -> FileChangedError:
    return FileChangedError(
        f"{original.path} was changed by somebody else meanwhile, and stays as it is now",
        hint="Run the command again: it begins with the file as it is now.",
    )


def _unwritable_error(path: str, error: OSError, hint: str = "") -> FileNotWritableError:
    if error.errno in FULL_DISK_ERRNOS:
        return FileNotWritableError(
            f"{path} can't be written: the disk is full", hint="Free some space there, and try again."
        )
    reason = (error.strerror or str(error)).lower()
    hint = hint or _CREATED
    if error.errno == errno.EBUSY:
        hint = "It is mounted by itself, so that no other file can take its place."
    return FileNotWritableError(f"{path} can't be written: {reason}", hint=hint)


def _remove_leftovers(folder: str) -> None:
    """Remove temporary files of changes that were killed: nobody holds their lock."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)
