"""The lease file of a prefix: every process in the prefix has it open, inherited across exec, and most hold a shared
flock(2) on it.

The kernel closes the file when the last process ends, so nothing has to be cleaned up. The file's mtime is the time of
the last use. A deletion takes the exclusive lock without waiting, has the kernel bar the file (``ExclusiveLease``), and
unlinks it before it moves the prefix; a launcher must therefore check, after it has opened the file (and locked it,
where the file system can't bar files), that the file's path still exists. All functions block, but never for long.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterable
from contextlib import suppress

from roost.store.clock import from_timestamp


def create_lease(path: str) -> None:
    """Create a lease file.

    Raises:
        FileExistsError: the file exists already.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


class ExclusiveLease:
    """The exclusive hold of a deletion on a lease file.

    It has two parts. The exclusive flock(2) excludes who locks the file. The bar excludes who only has it open: a write
    lease of the kernel (fcntl(2), "Leases"), which is granted only if nobody else has the file open, in whatever user
    or PID namespace, and makes everybody wait who opens it afterwards. The kernel ends a bar that makes somebody wait
    for longer than ``/proc/sys/fs/lease-break-time`` (45 seconds), as of a daemon that is stopped: so whoever has
    unlinked the file asks ``is_whole`` before anything irreversible.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._is_barred = False

    def bar(self) -> bool:
        """Bar the file; return ``False`` if another process has it open. Where the file system can't bar files,
        processes hold locks, and this does nothing."""
        try:
            self._is_barred = _try_bar(self._descriptor)
        except OSError:
            return True
        return self._is_barred

    def is_whole(self) -> bool:
        """Return whether nobody has opened the file since ``bar``."""
        return not self._is_barred or fcntl.fcntl(self._descriptor, fcntl.F_GETLEASE) == fcntl.F_WRLCK

    def close(self) -> None:
        """Release the hold."""
        if self._is_barred:  # a process that is being started may have a copy of the descriptor for a moment
            _unbar(self._descriptor)
        os.close(self._descriptor)


def try_lock_exclusively(path: str) -> ExclusiveLease | None:
    """Return the exclusive hold on a lease file, which is not barred yet, or ``None`` if a lock is held.

    Raises:
        FileNotFoundError: the lease file doesn't exist, so that no process can begin to hold it either.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return ExclusiveLease(descriptor)


def can_bar(folder: str) -> bool:
    """Return whether files of a folder can be barred, after a trial: only then need launchers hold no lock."""
    path = os.path.join(folder, f".bar.{os.getpid()}")
    try:
        own = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        other = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            is_refused = not _try_bar(own)
        finally:
            os.close(other)
        return is_refused and _try_bar(own)
    except OSError:
        return False
    finally:
        os.close(own)
        with suppress(OSError):
            os.unlink(path)


def _try_bar(descriptor: int) -> bool:
    """Take the kernel's write lease; return ``False`` if the file is open elsewhere. Raises: OSError if the file system
    has none, or the file is another user's."""
    # The signal that tells of a break would end the process (SIGIO); this one is ignored by default.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return False
    return True


def _unbar(descriptor: int) -> None:
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def try_lock_shared(path: str) -> int | None:
    """Return a descriptor that holds the shared lock of a prefix that still exists (close it to release), or ``None``
    if it is being deleted."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def is_held(path: str) -> bool:
    """Return whether any process has a lease file open or locked; ``False`` if the file doesn't exist."""
    try:
        hold = try_lock_exclusively(path)
    except FileNotFoundError:
        return False
    if hold is None:
        return True
    try:
        return not hold.bar()
    finally:
        hold.close()


def is_held_exclusively(path: str) -> bool:
    """Return whether any process holds the exclusive lock on a file; ``False`` if the file doesn't exist. The probe
    itself takes only a shared lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_last_use(path: str) -> float | None:
    """Return the mtime of a lease file in seconds since 1970, ``None`` if it can't be read."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def latest_use(recorded: str, path: str | None) -> str:
    """Return the later one of a recorded time and the lease's mtime: a process that starts in a prefix touches its
    lease without asking the daemon."""
    touched = read_last_use(path) if path else None
    return max(recorded, from_timestamp(touched) if touched else "")


def find_holders(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the processes that have each lease file open, without touching a lock: ``process:<pid>``, or
    ``process:unknown`` if it is open or locked and the holder can't be seen (another user's process, or one outside
    this PID namespace).

    Source: proc(5). ``/proc/<pid>/fd`` names the open files of processes; ``/proc/locks`` lists the locks by inode.
    """
    leases = set(paths)
    pids_by_path: dict[str, set[int]] = {path: set() for path in leases}
    for pid in _list_numbers("/proc"):
        if pid != os.getpid():
            for path in leases & _list_open_files(pid):
                pids_by_path[path].add(pid)
    locked = _read_locked_inodes()
    return {path: _format_holders(path, pids, locked) for path, pids in pids_by_path.items()}


def _format_holders(path: str, pids: set[int], locked: set[int] | None) -> tuple[str, ...]:
    if pids:
        return tuple(f"process:{pid}" for pid in sorted(pids))
    with suppress(OSError):
        # Without /proc only a probe of the lock remains; it may turn away a launcher that comes in that very instant.
        if is_held(path) if locked is None else os.stat(path).st_ino in locked or _is_open(path):
            return ("process:unknown",)
    return ()


def _is_open(path: str) -> bool:
    """Return whether any process has a file open. Who opens it in this instant waits for the end of the probe. Raises:
    OSError if the kernel can't tell."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not _try_bar(descriptor):
            return True
        _unbar(descriptor)
        return False
    finally:
        os.close(descriptor)


def _list_numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:  # no /proc, another user's process, or one that has just ended
        return []


def _list_open_files(pid: int) -> set[str]:
    found = set()
    for number in _list_numbers(f"/proc/{pid}/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def _read_locked_inodes() -> set[int] | None:
    """Return the inodes of all flock(2) locks, ``None`` if the system has no such list.

    A line reads ``1: FLOCK ADVISORY READ 4242 fe:00:131090 0 EOF``. The device number is not compared, since some file
    systems report another one there than in stat(2).
    """
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return None
    return {int(fields[5].split(":")[2]) for fields in lines if len(fields) > 5 and fields[1] == "FLOCK"}
