"""The lease file of a prefix: every process in the prefix holds a shared flock(2) on it, inherited across exec.

The kernel releases the lock when the last process ends, so nothing has to be cleaned up. The file's mtime is the time
of the last use. A deletion takes the exclusive lock without waiting and unlinks the file before it moves the prefix; a
launcher must therefore check, after it has locked the file, that the file's path still exists. All functions block, but
never for long.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress

from roost.store.clock import from_timestamp


def create_lease(path: str) -> None:
    """Create a lease file.

    Raises:
        FileExistsError: the file exists already.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def try_lock_exclusively(path: str) -> int | None:
    """Return a descriptor that holds the exclusive lock (close it to release), or ``None`` if the lock is held.

    Raises:
        FileNotFoundError: the lease file doesn't exist, so that no process can begin to hold it either.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


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
    """Return whether any process holds a lock on a file; ``False`` if the file doesn't exist."""
    return _probe_lock(path, fcntl.LOCK_EX)


def is_held_exclusively(path: str) -> bool:
    """As ``is_held``, for a lock that its holder takes exclusively: the probe itself takes only a shared lock."""
    return _probe_lock(path, fcntl.LOCK_SH)


def _probe_lock(path: str, lock: int) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
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
    ``process:unknown`` for a lock whose holder can't be seen (another user's, or one outside this PID namespace).

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
        if is_held(path) if locked is None else os.stat(path).st_ino in locked:
            return ("process:unknown",)
    return ()


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
