"""The copy of the index that is renewed in idleness: what a lost index is rebuilt from first.

It is made with SQLite's backup interface in steps of a few milliseconds, so that it can be interrupted; it has its name
only when it is complete and synced. All functions block.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable

from roost.store.disk.file_ops import rename, sync_folder
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint
from roost.store.migrations.examination import COPY_END

_STEP_PAGES = 256
_PAUSE_SECONDS = 0.002
"""Between two steps: nobody waits for this copy, and others read the disk."""
_HEADROOM = 4
"""The disk must have this many times the size of the index free: a copy must not be what fills it."""


class CopyInterruptedError(Exception):
    """The copy was no longer wanted; nothing is left of it."""


def copy_path(layout: Layout) -> str:
    """Return the path of the copy."""
    return layout.index_path + COPY_END


def is_copy_due(layout: Layout) -> bool:
    """Return whether the index has changed since its copy was made, and the disk has room for a new one."""
    path, copy = layout.index_path, copy_path(layout)
    changed = max((_read_mtime(each) for each in (path, f"{path}-wal")), default=0)
    if _read_mtime(copy) >= changed:
        return False
    disk = os.statvfs(layout.root)
    return disk.f_bavail * disk.f_frsize > _HEADROOM * os.path.getsize(path)


def copy_index(layout: Layout, is_stopped: Callable[[], bool]) -> None:
    """Renew the copy of an index that is in use; readers and writers go on.

    Raises:
        CopyInterruptedError: ``is_stopped`` returned true.
        OSError, sqlite3.Error: it can't be written. Nothing is left of the attempt.
    """
    new = f"{copy_path(layout)}.new"

    def check(status: int, remaining: int, total: int) -> None:
        if is_stopped():
            raise CopyInterruptedError
        time.sleep(_PAUSE_SECONDS)

    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        began = max(_read_mtime(layout.index_path), _read_mtime(f"{layout.index_path}-wal"))
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(sqlite3.connect(layout.index_path, isolation_level=None)) as index,
            contextlib.closing(sqlite3.connect(new, isolation_level=None)) as copy,
        ):
            copy.execute("PRAGMA journal_mode = OFF").fetchall()
            copy.execute("PRAGMA synchronous = OFF")
            index.execute("BEGIN")  # one snapshot: a copy of changing content begins again with every change
            index.execute("SELECT count(*) FROM sqlite_master").fetchone()
            index.backup(copy, pages=_STEP_PAGES, progress=check)
        descriptor = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.utime(new, ns=(began, began))  # what is written from now on makes the next one due
        failpoint("copy.written")
        rename(new, copy_path(layout))
        sync_folder(layout.root)
        failpoint("copy.placed")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def _read_mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
