"""The lease file beside a prefix: whoever runs in the prefix holds a shared flock(2) on it, inherited across exec.

The kernel lets go when the last process ends, so nothing has to be cleaned up; the file's mtime is the last use.
Deleting takes the exclusive lock without waiting and unlinks the file before the prefix is moved; whoever locked the
file must therefore look afterwards whether its path is still there. Everything here blocks, but never for long.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress

from roost.store.clock import from_timestamp


def make_lease(path: str) -> None:
    """Make a new lease file; raises ``FileExistsError`` if the name was used before."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def take_exclusively(path: str) -> int | None:
    """The descriptor that holds the exclusive lock (close it to let go), or ``None`` while anybody holds it.

    Raises ``FileNotFoundError`` where there is no lease file: nobody can come to hold it then.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: str) -> bool:
    """Whether any process holds the lock of a file; ``False`` where there is no file."""
    return _is_refused(path, fcntl.LOCK_EX)


def is_held_exclusively(path: str) -> bool:
    """As ``is_held``, for a lock that its holder takes exclusively; the probe itself takes a shared one."""
    return _is_refused(path, fcntl.LOCK_SH)


def _is_refused(path: str, lock: int) -> bool:
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


def last_use(path: str) -> float | None:
    """The mtime of a lease file in seconds since 1970."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None


def last_used(recorded: str, path: str | None) -> str:
    """The later one of a recorded time and the lease's own: whoever runs in a prefix touches its lease and tells
    nobody."""
    touched = last_use(path) if path else None
    return max(recorded, from_timestamp(touched) if touched else "")


def holders(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Who has each lease file open, without touching a lock: ``process:<pid>``, or ``process:unknown`` for a lock whose
    holder can't be seen (another user's, or one outside this PID namespace).

    proc(5): ``/proc/<pid>/fd`` names the open files of processes; ``/proc/locks`` lists the locks by inode.
    """
    wanted = set(paths)
    seen: dict[str, set[int]] = {path: set() for path in wanted}
    for pid in _numbers("/proc"):
        if pid != os.getpid():
            for path in wanted & _open_files(pid):
                seen[path].add(pid)
    locked = _locked_inodes()
    return {path: _named(path, pids, locked) for path, pids in seen.items()}


def _named(path: str, pids: set[int], locked: set[int] | None) -> tuple[str, ...]:
    if pids:
        return tuple(f"process:{pid}" for pid in sorted(pids))
    with suppress(OSError):
        # Without /proc a probe of the lock is all there is; it may turn away a launcher that comes that very instant.
        if is_held(path) if locked is None else os.stat(path).st_ino in locked:
            return ("process:unknown",)
    return ()


def _numbers(folder: str) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:  # no /proc, another user's process, or one that has just ended
        return []


def _open_files(pid: int) -> set[str]:
    found = set()
    for number in _numbers(f"/proc/{pid}/fd"):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def _locked_inodes() -> set[int] | None:
    """The inodes of all flock(2) locks: ``1: FLOCK ADVISORY READ 4242 fe:00:131090 0 EOF``. Device numbers are left
    aside, since some file systems give others there than in stat(2). ``None`` where the system has no such list."""
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return None
    return {int(fields[5].split(":")[2]) for fields in lines if len(fields) > 5 and fields[1] == "FLOCK"}
