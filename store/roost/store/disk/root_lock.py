"""The lock by which one daemon holds a root. All functions block.

Two flock(2)s are held: on ``<root>/lock``, which names the holder to others, and on the folder itself. Somebody may
remove the file of a running daemon, but a second daemon still finds the folder locked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from roost.store.disk.file_ops import FULL_DISK_ERRNOS, translate_full_disk, write_durably
from roost.store.disk.layout import Layout
from roost.store.disk.ownership import check_owners
from roost.store.disk.root import (
    STORE_FORMAT,
    RootInUseError,
    check_format,
    hint_other_root,
    read_format,
    read_only_error,
)

Phase = Literal["starting", "serving", "stopping"]
"""What the holder of a root does, for clients that find its socket away."""


class RootLock:
    """The locks of one daemon on a root; the kernel releases them if the daemon dies."""

    def __init__(self, layout: Layout, folder: int, file: int, address: str) -> None:
        self._layout = layout
        self._folder: int | None = folder
        self._file = file
        self._address = address
        self._phase: Phase = "starting"

    @property
    def is_released(self) -> bool:
        return self._folder is None

    @property
    def is_root_present(self) -> bool:
        """Whether the root's path still leads to the folder that is locked."""
        return self._folder is not None and _is_same(os.stat, self._layout.root, self._folder)

    @property
    def is_file_present(self) -> bool:
        """Whether ``<root>/lock`` is still the file that is locked."""
        return not self.is_released and _is_same(os.lstat, self._layout.lock_path, self._file)

    def write_phase(self, phase: Phase) -> None:
        """Record what this daemon does."""
        self._phase = phase
        _write_holder(self._file, self._address, phase)

    def restore_file(self) -> None:
        """Create and lock the file again after its removal.

        Raises: OSError; BlockingIOError if another process has it locked at this moment, that is a daemon that starts
        and is about to find the folder locked.
        """
        file = _open_lock_file(self._layout)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        os.close(self._file)
        self._file = file
        _write_holder(file, self._address, self._phase)

    def release(self) -> None:
        """Release the locks; a second call does nothing."""
        if self._folder is not None:
            os.close(self._file)
            os.close(self._folder)
            self._folder = None


def claim_root(layout: Layout, address: str = "") -> RootLock:
    """Create the root if it is missing, lock it, and write its format if it is new.

    ``address`` is where the holder can be reached: reported in the error that other daemons get.

    Raises:
        RootInUseError: another process holds the root.
        RootOwnerError, RootSharedError, RootReadOnlyError, RootFormatError, StoreFullError: see the classes.
    """
    with translate_full_disk(layout.root):
        try:
            os.makedirs(layout.root, mode=0o700, exist_ok=True)
            check_owners(layout.root)  # again: somebody else may have created it in a shared folder meanwhile
            file = _open_lock_file(layout)
        except OSError as error:
            if error.errno in FULL_DISK_ERRNOS:
                raise
            raise read_only_error(layout.root, str(error.strerror)) from error
        folder = None
        try:
            _lock(file, layout, file)
            folder = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            _lock(folder, layout, file)
            _write_holder(file, address, "starting")
            _initialise_root(layout)
        except BaseException:
            os.close(file)
            if folder is not None:
                os.close(folder)
            raise
    return RootLock(layout, folder, file, address)


def _open_lock_file(layout: Layout) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    file = os.open(layout.lock_path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, f"{layout.lock_path} is not a regular file")
    return file


def _lock(descriptor: int, layout: Layout, file: int) -> None:
    """Lock a descriptor without waiting. Raises: RootInUseError with what ``file`` says about the holder."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, address = _read_holder(file)
        raise RootInUseError(
            f"Another roost daemon{f' (process {pid})' if pid else ''} uses the root {layout.root}",
            hint=hint_other_root("another folder", "Stop it with `roost daemon stop`"),
            fields={"root": layout.root, "pid": pid, "address": address},
        ) from None


def _read_holder(file: int) -> tuple[int | None, str | None]:
    """Return pid and address of the holder, as far as the lock file names them."""
    lines = os.pread(file, 4096, 0).decode("utf-8", "replace").split("\n")
    pid = int(lines[0]) if lines[0].isascii() and lines[0].isdigit() else None
    return pid, (lines[1] if len(lines) > 1 else "") or None


def _write_holder(file: int, address: str, phase: Phase) -> None:
    with suppress(OSError):  # only for the errors of others: a full disk must not stop this daemon
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n{address}\n{phase}\n".encode(), 0)


def _is_same(examine: Callable[[str], os.stat_result], path: str, descriptor: int) -> bool:
    """Whether ``path`` leads to the open file or folder."""
    try:
        found = examine(path)
    except OSError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _initialise_root(layout: Layout) -> None:
    """Write the format file, then the folders: an index without a format file is refused as not of roost."""
    check_format(layout)
    if read_format(layout) is None:
        write_durably(layout.format_path, f"{STORE_FORMAT}\n".encode())
    layout.make_folders()
