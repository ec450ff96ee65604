"""The SQLite file of the index: one writing connection, two reading ones, migration, and SQLite errors translated.

Each connection of aiosqlite has one thread that runs its work in order. A transaction is handed to it as *one*
function. Transactions therefore never interleave and need no lock, and a caller that is cancelled while it waits leaves
none half done: the function still commits or rolls back as a whole.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import zlib
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import aiosqlite
import msgspec

from roost.model.errors import CodedError
from roost.store.disk.file_ops import full_disk_error
from roost.store.failpoints import operation
from roost.store.index.cache_keys import fill_cache_uses
from roost.store.index.packages import fill_contents
from roost.store.migrations.copies import copy_removed, put_back
from roost.store.migrations.examination import damaged_error, translate_sqlite_error
from roost.store.migrations.runner import check_schema, migrate
from roost.store.migrations.schema import INCREMENTAL

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_MILLISECONDS = 10_000
_CACHE_KIB = 8_192
_LARGEST_REWRITE = 2 * 10**9
"""Bytes. A larger index is not written anew: its free pages are used again, and it does not shrink."""


class Database:
    """``index.db``: runs functions of a plain ``sqlite3.Connection`` on the thread of one of three connections."""

    def __init__(
        self, path: str, writer: aiosqlite.Connection, reader: aiosqlite.Connection, scanner: aiosqlite.Connection
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._scanner = scanner

    @classmethod
    async def open(cls, path: str, roost_version: str | None = None) -> Database:
        """Open or create the index, and migrate it to the current schema, with ``roost_version`` as its writer.

        Raises:
            RootFormatError: the index was written by a newer roost; nothing is written to it.
            IndexDamagedError, IndexUnusableError, StoreFullError, StoreError: see the classes.
        """
        opened: list[aiosqlite.Connection] = []
        try:
            for _ in range(3):
                opened.append(await aiosqlite.connect(path, isolation_level=None, cached_statements=256))
                if len(opened) == 1:
                    await _run_on_thread(opened[0], path, check_schema, path)
                await _run_on_thread(opened[-1], path, _set_up_connection)
                if len(opened) == 1:
                    await _run_on_thread(opened[0], path, _migrate, path, roost_version)
            return cls(path, *opened)
        except BaseException as error:
            for connection in opened:
                await connection.close()
            if isinstance(error, sqlite3.Error):  # connecting itself failed
                raise _translated_error(error, path) from error
            raise

    async def close(self) -> None:
        """Close all connections; closing the last one checkpoints the WAL into the file. A file that was removed under
        this process is written again. Raises: StoreError, OSError."""
        copy = None
        try:
            copy = await _run_on_thread(self._writer, self.path, copy_removed, self.path)
        finally:
            for connection in (self._scanner, self._reader, self._writer):
                await connection.close()
        if copy is not None:
            await asyncio.to_thread(put_back, copy, self.path)

    async def write(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``query`` as one transaction and commit it; any exception rolls it back."""
        name = str(getattr(query, "__name__", query))
        return await _run_on_thread(self._writer, self.path, _write, _bind(query, *args, **kwargs), name)

    async def read(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``query`` on one snapshot. For queries of microseconds: plans wait for them."""
        return await _run_on_thread(self._reader, self.path, _read_snapshot, _bind(query, *args, **kwargs))

    async def scan(
        self, query: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ``read``, on a connection of its own, for queries that may take longer."""
        return await _run_on_thread(self._scanner, self.path, _read_snapshot, _bind(query, *args, **kwargs))

    async def checkpoint(self) -> None:
        """Write the WAL into the file without holding up readers and writers, and then truncate it."""
        await _run_on_thread(self._scanner, self.path, _checkpoint_passively)
        await _run_on_thread(self._writer, self.path, _checkpoint)

    async def rewrite(self) -> bool:
        """Write an index of an older roost anew, once, so that its free pages can go back to the disk from then on.
        Takes seconds for a gigabyte, in which nothing else can be written. Return whether that was needed.

        Raises: StoreFullError, StoreError; the index is as before.
        """
        return await _run_on_thread(self._writer, self.path, _rewrite, self.path)


class _RowUnreadableError(Exception):
    """Becomes IndexDamagedError where the path of the index is known."""


async def _run_on_thread(
    connection: aiosqlite.Connection,
    path: str,
    function: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Run ``function`` on the thread of a connection, and translate SQLite's errors."""
    # aiosqlite has no public way to run a function on its thread, and a thread hop for every statement would cost more
    # than the statement. All its releases have had `_execute` and `_conn`.
    bound = _bind(function, *args, **kwargs)
    result: T = await connection._execute(_translate_errors, connection._conn, path, bound)  # type: ignore[no-untyped-call]
    return result


def _translate_errors(connection: sqlite3.Connection, path: str, function: Callable[[sqlite3.Connection], T]) -> T:
    try:
        return function(connection)
    except sqlite3.Error as error:
        raise _translated_error(error, path) from error
    except _RowUnreadableError as error:
        raise damaged_error(path, f"a row can't be read: {error}") from error


def _write(connection: sqlite3.Connection, query: Callable[[sqlite3.Connection], T], name: str) -> T:
    """Run one transaction; on a full disk once more after a checkpoint, if that could be made."""
    try:
        return _run_transaction(connection, query, name)
    except sqlite3.OperationalError as error:
        if not _is_full(error) or not _checkpoint(connection):
            raise
    return _run_transaction(connection, query, name)


def _is_full(error: sqlite3.Error) -> bool:
    return "disk is full" in str(error)


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Write the WAL into the file and truncate it, and return whether that worked.

    On a full disk this frees the space that a transaction needs which itself frees space.
    """
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error:
        return False
    return not busy


def _checkpoint_passively(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


def _rewrite(connection: sqlite3.Connection, path: str) -> bool:
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] == INCREMENTAL:
        return False
    size, disk = os.path.getsize(path), os.statvfs(os.path.dirname(path))
    if size > _LARGEST_REWRITE or disk.f_bavail * disk.f_frsize < 3 * size:  # in the WAL, and in a temporary file
        return False
    connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
    connection.execute("VACUUM")
    operation("commit", "rewrite")
    return True


def _run_transaction(connection: sqlite3.Connection, query: Callable[[sqlite3.Connection], T], name: str) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = query(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise
    operation("commit", name)
    return result


def _read_snapshot(connection: sqlite3.Connection, query: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return query(connection)
    except (msgspec.MsgspecError, zlib.error) as error:  # what a row holds is not what roost writes there
        raise _RowUnreadableError(str(error)) from error
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _bind(
    function: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[sqlite3.Connection], T]:
    return lambda connection: function(connection, *args, **kwargs)


def _set_up_connection(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    for pragma in (
        f"busy_timeout = {_BUSY_MILLISECONDS}",
        f"auto_vacuum = {INCREMENTAL}",  # of a new file only
        "journal_mode = WAL",
        "synchronous = FULL",  # a commit is on the disk before anything reports it
        "foreign_keys = ON",
        f"cache_size = -{_CACHE_KIB}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


_FILL_FUNCTIONS: dict[int, Callable[[sqlite3.Connection], None]] = {
    5: fill_contents,
    7: fill_cache_uses,
}
"""Parts of migrations that SQL can't express, by schema."""


def _migrate(connection: sqlite3.Connection, path: str, roost_version: str | None) -> None:
    migrate(connection, path, _write, _FILL_FUNCTIONS, roost_version)
    _checkpoint(connection)  # a file that has its tables needs less space later, when the disk may be full


def _translated_error(error: sqlite3.Error, path: str) -> CodedError:
    text = str(error)
    if _is_full(error) or ("I/O error" in text and _is_disk_full(path)):
        return full_disk_error(path)
    return translate_sqlite_error(error, path)


def _is_disk_full(path: str) -> bool:
    """Return whether the disk of ``path`` is full: SQLite reports an I/O error if it can't enlarge its shared memory
    file."""
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail < 64
    except OSError:
        return False
