"""The SQLite file under the index: one writer that runs whole transactions, two readers, and errors in our words.

Each connection of aiosqlite has one thread that takes work in order. A transaction is handed to it as *one* function,
so transactions never interleave, need no lock, and a caller that is cancelled while it waits leaves none half-done:
the function still commits or rolls back as a whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import aiosqlite

from roost.model.errors import CodedError, StoreError
from roost.store.disk.file_ops import full_disk_error
from roost.store.disk.root import RootFormatError
from roost.store.failpoints import operation
from roost.store.index.packages import fill_contents
from roost.store.index.schema import MIGRATIONS, SCHEMA_VERSION, statements

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_MILLISECONDS = 10_000
_CACHE_KIB = 8_192


class IndexDamagedError(StoreError):
    """SQLite found the index damaged."""

    code = "index-damaged"


class Database:
    """``index.db``. ``read`` and ``write`` run a function of the plain connection on that connection's thread."""

    def __init__(
        self, path: str, writer: aiosqlite.Connection, reader: aiosqlite.Connection, scanner: aiosqlite.Connection
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._scanner = scanner

    @classmethod
    async def open(cls, path: str) -> Database:
        """Open or make the index, and migrate it.

        Raises:
            RootFormatError: it was written by a newer roost.
            IndexDamagedError, StoreFullError, StoreError: as their names say.
        """
        opened: list[aiosqlite.Connection] = []
        try:
            for _ in range(3):
                opened.append(await aiosqlite.connect(path, isolation_level=None, cached_statements=256))
                await _run(opened[-1], path, _prepare, path)
                if len(opened) == 1:
                    await _run(opened[0], path, _migrate, path)
            return cls(path, *opened)
        except BaseException:
            for connection in opened:
                await connection.close()
            raise

    async def close(self) -> None:
        """Close all connections; the last one folds the WAL into the file."""
        for connection in (self._scanner, self._reader, self._writer):
            await connection.close()

    async def write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run ``work`` as one transaction and commit it; whatever it raises rolls it back."""
        return await _run(self._writer, self.path, _transaction, _bound(work, *args, **kwargs), _name_of(work))

    async def read(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` on one snapshot. For what takes microseconds: plans wait for it."""
        return await _run(self._reader, self.path, _snapshot, _bound(work, *args, **kwargs))

    async def scan(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As ``read``, on a connection of its own, for what may take longer."""
        return await _run(self._scanner, self.path, _snapshot, _bound(work, *args, **kwargs))


async def _run(
    connection: aiosqlite.Connection,
    path: str,
    work: Callable[Concatenate[sqlite3.Connection, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    # aiosqlite has no public way to run one's own function on its thread, and a thread hop for every statement
    # would cost more than the statement; `_execute` and `_conn` have been there in all its releases.
    bound = _bound(work, *args, **kwargs)
    result: T = await connection._execute(_guarded, connection._conn, path, bound)  # type: ignore[no-untyped-call]
    return result


def _guarded(connection: sqlite3.Connection, path: str, work: Callable[[sqlite3.Connection], T]) -> T:
    try:
        return work(connection)
    except sqlite3.Error as error:
        raise _translated(error, path) from error


def _transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], name: str) -> T:
    try:
        return _once(connection, work, name)
    except sqlite3.OperationalError as error:
        if not _is_full(error) or not _folded(connection):
            raise
    return _once(connection, work, name)


def _is_full(error: sqlite3.Error) -> bool:
    return "disk is full" in str(error)


def _folded(connection: sqlite3.Connection) -> bool:
    """Fold the WAL into the file and give its space back, so that what frees space on a full disk can be committed."""
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error:
        return False
    return not busy


def _once(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], name: str) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself when the disk is full
            connection.execute("ROLLBACK")
        raise
    operation("commit", name)
    return result


def _snapshot(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            connection.execute("COMMIT")


def _name_of(work: Callable[..., object]) -> str:
    return str(getattr(work, "__name__", work))


def _bound(
    work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[sqlite3.Connection], T]:
    return lambda connection: work(connection, *args, **kwargs)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.row_factory = sqlite3.Row
    for pragma in (
        f"busy_timeout = {_BUSY_MILLISECONDS}",
        "journal_mode = WAL",
        "synchronous = FULL",  # a commit is on the disk before it is told to anybody
        "foreign_keys = ON",
        f"cache_size = -{_CACHE_KIB}",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > SCHEMA_VERSION:
        raise RootFormatError(
            f"The index {path} has schema {found}, and this version of roost knows schemas up to {SCHEMA_VERSION}",
            hint="Use the version of roost that wrote it, or set ROOST_HOME to another folder.",
            fields={"path": path, "found": found, "known": SCHEMA_VERSION},
        )
    for version in range(found + 1, SCHEMA_VERSION + 1):
        _transaction(connection, _bound(_step, version), f"migrate-{version}")
    _folded(connection)  # a file that has its tables needs less room later, when there may be none


_FILLED: dict[int, Callable[[sqlite3.Connection], None]] = {5: fill_contents}
"""What a migration does that SQL can't say, after its statements and in the same transaction."""


def _step(connection: sqlite3.Connection, version: int) -> None:
    for statement in statements(MIGRATIONS[version]):
        connection.execute(statement)
    if version in _FILLED:
        _FILLED[version](connection)
    connection.execute(f"PRAGMA user_version = {version}")


_DAMAGED = ("malformed", "not a database", "file is encrypted")


def _translated(error: sqlite3.Error, path: str) -> CodedError:
    text = str(error)
    if _is_full(error) or ("I/O error" in text and _nothing_free(path)):
        return full_disk_error(path)
    if any(word in text for word in _DAMAGED):
        return IndexDamagedError(
            f"The index {path} is damaged ({text})",
            hint="Stop the daemon (`roost daemon stop`) and put the index back from a backup, or move it aside with "
            "its -wal and -shm files: locks and history are then gone, and prefixes are built anew.",
            fields={"path": path},
        )
    return StoreError(
        f"The index {path} can't be used: {text}",
        hint="Check the disk and the mode of that file; `roost doctor` tells more.",
        fields={"path": path},
    )


def _nothing_free(path: str) -> bool:
    """SQLite reports a full disk as an I/O error where it could not enlarge its shared memory file."""
    try:
        return os.statvfs(os.path.dirname(path)).f_bavail < 64
    except OSError:
        return False
