"""Copies of the index, one stored before each migration: ``index.db.schema-5`` beside ``index.db``.

A copy is made with SQLite's backup interface (sqlite.org/backup.html), so what is still in the WAL is in it. It has its
name only when it is complete and synced, and no later attempt overwrites it: an attempt that finds a copy with the same
content uses that one, and one that finds another content (the root went back to an older roost and on again) stores its
copy as ``index.db.schema-5.2``.

The index of a daemon whose file was removed is copied from the open file when it is closed, and put back.

All functions block.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import itertools
import os
import re
import sqlite3

from roost.model.errors import StoreError, StoreFullError
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, rename, sync_folder
from roost.store.failpoints import failpoint, operation


def store_copy(connection: sqlite3.Connection, path: str, schema: int) -> str:
    """Store a copy of the index at ``path``, which has ``schema``, and return the path of the copy.

    Raises:
        StoreFullError: there is no space for it; nothing is left of the attempt.
        StoreError: it can't be written for another reason; nothing is left of the attempt either.
    """
    beside = f"{path}.schema-{schema}.new"
    try:
        _remove(beside)  # of an attempt that was killed
        _write_copy(connection, beside)
        failpoint("migrate.copy-written")
        known = next((copy for copy in find_copies(path, schema) if filecmp.cmp(beside, copy, shallow=False)), None)
        if known is not None:
            os.unlink(beside)
            return known
        target = _unused_name(path, schema)
        rename(beside, target)
        sync_folder(os.path.dirname(path))
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            _remove(beside)
        if _is_full(error):
            raise _no_space_error(path, schema) from error
        raise _copy_error(path, schema, error) from error
    failpoint("migrate.copied")
    return target


def _write_copy(connection: sqlite3.Connection, beside: str) -> None:
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(beside, isolation_level=None)) as copy:
        copy.execute("PRAGMA journal_mode = OFF").fetchall()  # a copy that was cut is removed, never recovered
        copy.execute("PRAGMA synchronous = OFF")
        connection.backup(copy)
    descriptor = os.open(beside, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    operation("fsync", beside)


def copy_removed(connection: sqlite3.Connection, path: str) -> str | None:
    """Copy the index of ``connection`` beside ``path`` if nothing is at ``path`` any more, and return the copy's path.

    Somebody removed the file of a daemon that has it open: its content is still complete. Raises: OSError,
    sqlite3.Error.
    """
    if os.path.lexists(path) or not os.path.isdir(os.path.dirname(path)):
        return None
    beside = f"{path}.restored-{os.getpid()}"
    _remove(beside)
    _write_copy(connection, beside)
    failpoint("restore.copied")
    return beside


def put_back(copy: str, path: str) -> bool:
    """Give ``copy`` the name ``path``, unless that has been taken meanwhile; return whether it was free. Call it when
    nothing has the index open: a WAL that is left belongs to the removed file. Raises: OSError."""
    try:
        if os.path.lexists(path):
            return False
        for end in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + end)
        os.link(copy, path)
    except FileExistsError:
        return False
    finally:
        os.unlink(copy)
    sync_folder(os.path.dirname(path))
    operation("restore", path)
    failpoint("restore.linked")
    return True


def find_copies(path: str, schema: int) -> list[str]:
    """Return the complete copies of the index at ``path`` from before it left ``schema``, oldest first."""
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(f"{name}.schema-{schema}") + r"(?:\.(\d+))?")
    matches = [match for entry in os.listdir(folder) if (match := pattern.fullmatch(entry))]
    return [os.path.join(folder, match[0]) for match in sorted(matches, key=lambda match: int(match[1] or 1))]


def _unused_name(path: str, schema: int) -> str:
    names = itertools.chain([f"{path}.schema-{schema}"], (f"{path}.schema-{schema}.{n}" for n in itertools.count(2)))
    return next(name for name in names if not os.path.lexists(name))


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _is_full(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL_DISK_ERRNOS or error.errno == errno.EFBIG
    return "disk is full" in str(error)


def _copy_error(path: str, schema: int, error: OSError | sqlite3.Error) -> StoreError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StoreError(
        f"No copy of {path} can be stored beside it ({reason}), as is done before its schema {schema} is changed to "
        "the one of this version of roost; nothing was changed",
        hint=f"Check the mode of {os.path.dirname(path)}. The version of roost that was used before still works.",
        fields={"path": path, "schema": schema},
    )


def _no_space_error(path: str, schema: int) -> StoreFullError:
    megabytes = max(1, -(-os.path.getsize(path) // 1_000_000))
    return StoreFullError(
        f"No space left for a copy of {path} (about {megabytes} MB), which is stored before its schema {schema} is "
        "changed to the one of this version of roost; nothing was changed",
        hint="Free some space on that disk and try again. The version of roost that was used before still works.",
        fields={"path": path, "schema": schema},
    )
