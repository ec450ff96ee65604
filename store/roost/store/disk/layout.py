"""Where things lie under the root, and the few durable operations that the protocols are made of.

Everything here blocks: callers in an event loop use ``asyncio.to_thread``.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from roost.model.errors import StoreError, StoreFullError
from roost.store.disk.failpoints import operation

FOLDERS = (
    "prefixes",
    "packages",
    "wheels",
    "bytecode",
    "layers",
    "stage",
    "trash",
    "logs",
    "runs",
    "snapshots",
    "launch",
)

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where nothing more fits."""
PREFIX_NAME_BYTES = 17
"""8 hex digits of the lock digest, a dash, 8 base32 characters."""


class Layout:
    """The paths under one root. Makes nothing."""

    def __init__(self, root: str) -> None:
        # Asks for the working folder (a blocking call) only where it must.
        self.root = os.path.normpath(root if os.path.isabs(root) else os.path.join(os.getcwd(), root))
        self.index_path = self._under("index.db")
        self.lock_path = self._under("lock")
        self.format_path = self._under("format")
        self.prefixes = self._under("prefixes")
        self.packages = self._under("packages")
        self.wheels = self._under("wheels")
        self.bytecode = self._under("bytecode")
        self.layers = self._under("layers")
        self.stage = self._under("stage")
        self.trash = self._under("trash")
        self.logs = self._under("logs")
        self.runs = self._under("runs")
        self.snapshots = self._under("snapshots")
        self.launch = self._under("launch")

    def _under(self, name: str) -> str:
        return os.path.join(self.root, name)

    def make_folders(self) -> None:
        """Make the root and every folder that is missing, for the owner only."""
        for name in ("", *FOLDERS):
            os.makedirs(self._under(name), mode=0o700, exist_ok=True)

    def new_prefix(self, lock_digest: str) -> str:
        """A prefix path that was never used before: 40 random bits beside the start of the lock digest."""
        digits = lock_digest.removeprefix("sha256:")[:8]
        suffix = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        return os.path.join(self.prefixes, f"{digits}-{suffix}")

    def lease_of(self, prefix: str) -> str:
        """The lease file of ``prefix``."""
        return prefix + ".lease"

    def run_folder(self, run_id: str) -> str:
        """Where the supervisor of a run keeps ``lock``, ``output`` and ``exit``."""
        return os.path.join(self.runs, run_id)


@contextmanager
def full_disk_named(where: str) -> Iterator[None]:
    """Turn "no space left" (or over quota) from the system into ``StoreFullError``; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise no_space(where) from error
        raise


def no_space(where: str) -> StoreFullError:
    """The one message for a full disk."""
    return StoreFullError(
        f"No space left on the disk that holds {where}",
        hint="Free some space there, or set ROOST_HOME to a folder on a larger disk, and try again.",
        fields={"path": where},
    )


def sync_filesystem(path: str) -> None:
    """Flush the whole file system of ``path``: syncfs(2), one call for ten thousand files.

    Raises ``OSError`` where the system reports that data was lost on its way.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _syncfs(descriptor, path)
    finally:
        os.close(descriptor)
    operation("syncfs", path)


def _syncfs(descriptor: int, path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):  # not Linux: sync(2) does more than is needed, and waits
        os.sync()
    elif libc.syncfs(descriptor) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)


def sync_folder(path: str) -> None:
    """fsync a folder: the names in it are durable afterwards."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    operation("sync-folder", path)


def rename(source: str, target: str) -> None:
    """rename(2), recorded."""
    os.rename(source, target)
    operation("rename", f"{source} {target}")


def write_durably(path: str, content: bytes) -> None:
    """Put ``content`` at ``path`` whole or not at all: write beside it, fsync, rename, fsync the folder."""
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


def move_to_trash(path: str, trash: str) -> str | None:
    """Take ``path`` away in one step; its name in the trash, or ``None`` if there was nothing."""
    target = os.path.join(trash, f"{os.path.basename(path)}.{secrets.token_hex(4)}")
    try:
        rename(path, target)
    except FileNotFoundError:
        return None
    return target


def remove_tree(path: str) -> bool:
    """Remove a file or a folder with all in it, read-only folders too. Returns whether it is gone.

    What still resists (a left-over process that goes on writing there) stays for the next try: it is in the trash.
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
    """A package may hold folders without write permission: nothing in them can be unlinked before that is mended."""
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)


def tree_size(path: str) -> tuple[int, int]:
    """``(bytes, shared)`` of a tree: allocated bytes, each inode once, and those that names elsewhere link to."""
    inside: dict[int, list[int]] = {}  # inode -> [names inside, links in all, bytes]
    total = os.lstat(path).st_blocks * 512
    pending = [path]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                    inside.setdefault(status.st_ino, [0, status.st_nlink, status.st_blocks * 512])[0] += 1
                else:
                    total += status.st_blocks * 512
    linked = sum(size for _, _, size in inside.values())
    shared = sum(size for names, links, size in inside.values() if links > names)
    return total + linked, shared


def lists(path: str) -> list[str]:
    """The names in a folder, sorted.

    Raises:
        StoreError: it can't be read.
    """
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise StoreError(
            f"Can't read {path}: {error.strerror}", hint="Check the owner and the mode of that folder."
        ) from error
