"""File operations that the protocols of the store are made of: durable writes, syncs, moves, removals, sizes.

All functions block: call them through ``asyncio.to_thread`` in an event loop.
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from roost.model.errors import StoreError, StoreFullError
from roost.store.failpoints import operation

FULL_DISK_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
"""Errors of the system for a full disk and for an exhausted quota."""


@contextmanager
def translate_full_disk(path: str) -> Iterator[None]:
    """Raise ``StoreFullError`` in place of an ``OSError`` for a full disk or an exhausted quota; others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise full_disk_error(path) from error
        raise


def full_disk_error(path: str) -> StoreFullError:
    """Return the error for a full disk; ``path`` is on that disk."""
    return StoreFullError(
        f"No space left on the disk of {path}",
        hint="Free some space there, or set ROOST_HOME to a folder on a larger disk, and try again.",
        fields={"path": path},
    )


def sync_filesystem(path: str) -> None:
    """Flush the whole file system of ``path``: syncfs(2), one call for ten thousand files.

    Raises:
        OSError: the system reports that written data was lost.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _syncfs(descriptor, path)
    finally:
        os.close(descriptor)
    operation("syncfs", path)


def _syncfs(descriptor: int, path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # not Linux: sync(2) flushes more than needed, and waits
        os.sync()
    elif libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)


def sync_folder(path: str) -> None:
    """fsync a folder, which makes the names in it durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    operation("sync-folder", path)


def sync_file(path: str) -> None:
    """fsync the content of a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    operation("fsync", path)


def rename(source: str, target: str) -> None:
    """Rename a file or folder, and record the operation for fail point traces."""
    os.rename(source, target)
    operation("rename", f"{source} {target}")


def write_durably(path: str, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically and durably: a new file, fsync, rename, fsync of the folder."""
    beside = f"{path}.{secrets.token_hex(4)}.new"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        operation("fsync", beside)
        rename(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    sync_folder(os.path.dirname(path))


def write_new_file(path: str, content: bytes) -> None:
    """Create the file ``path``, for its owner only. It is not durable before the file system is synced."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    operation("write", path)


def move_to_trash(path: str, trash: str) -> str | None:
    """Move ``path`` into the trash in one step. Return its new path, or ``None`` if it did not exist."""
    target = os.path.join(trash, f"{os.path.basename(path)}.{secrets.token_hex(4)}")
    try:
        rename(path, target)
    except FileNotFoundError:
        return None
    return target


def remove_tree(path: str) -> bool:
    """Delete a file or a folder tree, read-only folders included. Return whether nothing is left.

    A tree that can't be deleted completely, because a left-over process goes on writing there, is left for the next
    attempt; callers move it into the trash first.
    """
    for _ in range(3):
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return True
        if not stat.S_ISDIR(status.st_mode):
            with suppress(OSError):
                os.unlink(path)
            continue
        shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            _make_writable(path)
    return not os.path.lexists(path)


def _make_writable(path: str) -> None:
    """Add write permission to every folder of a tree: packages may contain read-only folders, whose files can't be
    unlinked."""
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)


class TreeFigures(NamedTuple):
    """What is in a file or a tree. Each inode counts its bytes once."""

    total: int
    """Allocated bytes."""
    shared: int
    """Those of inodes that names outside the tree link to as well."""
    files: int
    """Names of everything but folders."""
    sources: int
    """Names of Python sources."""
    source_bytes: int
    """Their length."""


def measure_tree(path: str, stops: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Return ``(total, shared)`` of a file or a tree in allocated bytes. Raises what ``count_tree`` raises."""
    figures = count_tree(path, stops)
    return figures.total, figures.shared


def count_tree(path: str, stops: Callable[[], bool] = lambda: False) -> TreeFigures:
    """Return what is in a file or a tree.

    Raises:
        InterruptedError: ``stops``, which is asked for every folder, returned true.
        OSError: the tree can't be read.
    """
    inside: dict[int, list[int]] = {}  # inode -> [names inside, links in all, bytes]
    root = os.lstat(path)
    total = root.st_blocks * 512
    if not stat.S_ISDIR(root.st_mode):
        return TreeFigures(total, total if root.st_nlink > 1 else 0, 1, 0, 0)
    files = sources = source_bytes = 0
    pending = [path]
    while pending:
        if stops():
            raise InterruptedError
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    total += status.st_blocks * 512
                    continue
                files += 1
                if entry.name.endswith(".py"):
                    sources += 1
                    source_bytes += status.st_size
                if status.st_nlink > 1:
                    inside.setdefault(status.st_ino, [0, status.st_nlink, status.st_blocks * 512])[0] += 1
                else:
                    total += status.st_blocks * 512
    linked = sum(size for _, _, size in inside.values())
    shared = sum(size for names, links, size in inside.values() if links > names)
    return TreeFigures(total + linked, shared, files, sources, source_bytes)


class TreeCount:
    """Measures a tree of which every name is looked at for another reason before it is synced.

    Some file systems allocate blocks when they sync. A file that has none for all of its bytes yet, and what only this
    tree has, is therefore looked at again afterwards; the links into a cache, nearly all of it, are not.
    """

    def __init__(self) -> None:
        self._inodes: dict[int, list[int]] = {}
        """Inode to names inside, links in all, allocated bytes."""
        self._total = 0
        self._later: list[str] = []

    def add(self, path: str, status: os.stat_result | None = None) -> None:
        """Add a name: a folder's without its content, and ``status`` if it is known."""
        if status is None or status.st_nlink == 1 or status.st_blocks * 512 < status.st_size:
            self._later.append(path)
        else:
            self._count(status)

    def _count(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            self._inodes.setdefault(status.st_ino, [0, status.st_nlink, status.st_blocks * 512])[0] += 1
        else:
            self._total += status.st_blocks * 512

    def add_all(self, other: TreeCount) -> None:
        """Add the names that ``other`` has: none of them is here, nor another name of one of its files."""
        self._total += other._total
        self._later += other._later
        self._inodes |= other._inodes

    def measure(self) -> tuple[int, int]:
        """Return what ``measure_tree`` returns of the tree, which has been synced. Call it once."""
        for path in self._later:
            self._count(os.lstat(path))
        return self._total + sum(size for _, _, size in self._inodes.values()), sum(
            size for names, links, size in self._inodes.values() if links > names
        )


class DiskSpace(NamedTuple):
    """Bytes of a file system."""

    total: int
    free: int
    """For this user."""


def measure_disk(path: str) -> DiskSpace:
    """Return the size of the file system of ``path``: one call of statvfs(3)."""
    status = os.statvfs(path)
    return DiskSpace(total=status.f_blocks * status.f_frsize, free=status.f_bavail * status.f_frsize)


def list_names(path: str) -> list[str]:
    """Return the names in a folder, sorted.

    Raises:
        StoreError: the folder can't be read.
    """
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise StoreError(
            f"Can't read {path}: {error.strerror}", hint="Check the owner and the mode of that folder."
        ) from error
