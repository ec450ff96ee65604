"""The state of a file at one moment, as the launcher's ``stat`` prints it, and whether it is still the same."""

from __future__ import annotations

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
    """Return the state of a file in ``STAT_FORMAT``, ``device:inode`` for a folder, or ``absent``."""
    try:
        result = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if stat.S_ISDIR(result.st_mode):
        return f"{result.st_dev}:{result.st_ino}"
    times = (f"{ns // 10**9}.{ns % 10**9:09d}" for ns in (result.st_mtime_ns, result.st_ctime_ns))
    return f"{result.st_dev}:{result.st_ino}:{result.st_size}:{':'.join(times)}"


def stamp_in_prefix(path: str) -> FileStamp:
    """Return the stamp of a file in a prefix. It has no ctime if the file is hard-linked from the package cache: the
    ctime changes whenever another prefix links or drops the same file."""
    identity = stamp(path)
    is_linked = identity.count(":") == 4 and os.stat(path).st_nlink > 1
    return FileStamp(path=path, identity=identity.rpartition(":")[0] if is_linked else identity)


def is_unchanged(guard: FileStamp) -> bool:
    """Whether everything that ``guard`` states about its path still holds; fields that it leaves out may differ."""
    now = stamp(guard.path)
    return now == guard.identity or (guard.identity != ABSENT and now.startswith(guard.identity + ":"))


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
