"""The state of files as the launcher's ``stat`` prints it, and whether a file is still in the state it was seen in."""

from __future__ import annotations

import os
import stat

from roost.model.records import FileStamp

ABSENT = "absent"
STAT_FORMAT = "%d:%i:%s:%.9Y:%.9Z"

_COARSE_SECONDS = 2.1
"""Some file systems keep whole seconds (FAT: two)."""
_FINE_SECONDS = 0.05
"""Others stamp with the kernel's tick, 10 ms at most."""


def stamp(path: str) -> str:
    """The state of a file as the launcher's stat prints it, ``device:inode`` for a folder, or ``absent``."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    if stat.S_ISDIR(found.st_mode):
        return f"{found.st_dev}:{found.st_ino}"
    return _full_identity(found)


def stamp_in_prefix(path: str) -> FileStamp:
    """A guard of ``path`` in a prefix. A file that is hard-linked from the package cache goes without its ctime, which
    moves whenever another prefix links or drops the same file."""
    whole = stamp(path)
    linked = whole.count(":") == 4 and os.stat(path).st_nlink > 1
    return FileStamp(path=path, identity=whole.rpartition(":")[0] if linked else whole)


def is_unchanged(guard: FileStamp) -> bool:
    """Whether all that ``guard`` states of its path is still so."""
    now = stamp(guard.path)
    return now == guard.identity or (guard.identity != ABSENT and now.startswith(guard.identity + ":"))


def _full_identity(found: os.stat_result) -> str:
    times = (f"{ns // 10**9}.{ns % 10**9:09d}" for ns in (found.st_mtime_ns, found.st_ctime_ns))
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{':'.join(times)}"


def is_stable(guard: FileStamp, now: float) -> bool:
    """Whether a later change of the file must show in its times: not if it changed in the very tick it was looked at.

    ``now`` is ``time.time()`` from when the identity was taken, or earlier.
    """
    if guard.identity == ABSENT or guard.identity.count(":") != 4:
        return True
    newest = max(guard.identity.split(":")[3:], key=float)
    window = _COARSE_SECONDS if newest.endswith("000000000") else _FINE_SECONDS
    return float(newest) < now - window
