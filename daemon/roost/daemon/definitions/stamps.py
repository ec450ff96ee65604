"""The state of a file at one moment, as the launcher's ``stat`` prints it, and whether it is still the same."""

from __future__ import annotations

import errno
import os
import stat

from roost.model.records import FileStamp

ABSENT = "absent"
STAT_FORMAT = "%d:%i:%s:%.9Y:%.9Z"
"""Format for GNU stat: device, inode, size, mtime and ctime with nanoseconds."""

_COARSE_SECONDS = 2.1
"""Time stamps of some file systems have a resolution of a second (FAT: two)."""
_FINE_SECONDS = 0.05
"""Others use the kernel's tick, 10 ms at most."""


def stamp(path: str) -> str:
    """Return the state of a file in ``STAT_FORMAT``, ``device:inode`` for a folder, or ``absent``: also for a path that
    leads nowhere, whose name is too long for example. What reads it reports that."""
    try:
        status = _stat(path)
    except (OSError, ValueError):  # the latter for a NUL character
        return ABSENT
    if status is None:
        return ABSENT
    return f"{status.st_dev}:{status.st_ino}" if stat.S_ISDIR(status.st_mode) else _format(status)


def stamp_in_prefix(path: str) -> FileStamp:
    """Return the stamp of a file or folder in a prefix: device, inode, size, mtime, and the ctime if nothing but a
    change of this file moves it.

    A file that is hard-linked from the package cache has none: its ctime changes whenever another prefix links or drops
    the same file. A folder has none: its ctime changes with its mode, which the store itself sets.
    """
    status = _stat(path)
    if status is None:
        return FileStamp(path=path, identity=ABSENT)
    has_ctime = status.st_nlink == 1 and not stat.S_ISDIR(status.st_mode)
    full = _format(status)
    return FileStamp(path=path, identity=full if has_ctime else full.rpartition(":")[0])


def is_unchanged(guard: FileStamp) -> bool:
    """Whether everything that ``guard`` states about its path still holds; fields that it leaves out may differ."""
    status = _stat(guard.path)
    if status is None or guard.identity == ABSENT:
        return status is None and guard.identity == ABSENT
    return f"{_format(status)}:".startswith(f"{guard.identity}:")


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:  # links that lead to each other
            return None
        raise


def _format(status: os.stat_result) -> str:
    times = (f"{ns // 10**9}.{ns % 10**9:09d}" for ns in (status.st_mtime_ns, status.st_ctime_ns))
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{':'.join(times)}"


def is_stable(guard: FileStamp, now: float) -> bool:
    """Whether any later change of the file must show in its times. That is not so for a file that changed in the very
    tick in which the stamp was taken: a second change in that tick leaves the times as they are.

    ``now`` is ``time.time()`` from when the stamp was taken, or earlier.
    """
    if guard.identity == ABSENT or guard.identity.count(":") != 4:
        return True
    newest = max(guard.identity.split(":")[3:], key=float)
    window = _COARSE_SECONDS if newest.endswith("000000000") else _FINE_SECONDS
    return float(newest) < now - window
