"""Builds and runs: one row each, with the whole record as JSON beside the columns that are searched."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from roost.model.errors import LookupFailedError
from roost.model.records import BuildRecord, RunRecord
from roost.store.index.database import Database
from roost.store.index.queries import Queries

Record = TypeVar("Record", BuildRecord, RunRecord)

_TABLES: dict[type, str] = {BuildRecord: "builds", RunRecord: "runs"}
OPEN_BUILD_STATES = ("queued", "solving", "building")
OPEN_RUN_STATES = ("queued", "preparing", "running")


class RecordUnknownError(LookupFailedError):
    """There is no build or run of that id."""

    code = "record-unknown"


def insert_record(connection: sqlite3.Connection, record: BuildRecord | RunRecord) -> None:
    """Insert a new build or run."""
    connection.execute(
        f"INSERT INTO {_TABLES[type(record)]} (id, state, definition_digest, lock_digest, created, record) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            record.id,
            record.state,
            record.definition_digest,
            record.lock_digest,
            record.created,
            msgspec.json.encode(record),
        ),
    )


def update_record(
    connection: sqlite3.Connection, kind: type[Record], record_id: str, fields: Mapping[str, object]
) -> Record:
    """Change fields of a build or run, and return the changed record.

    Raises:
        RecordUnknownError: there is no record of that id.
        msgspec.ValidationError: a value is not of its field's type.
    """
    found = find_record(connection, kind, record_id)
    if found is None:
        noun = kind.__name__.lower()
        raise RecordUnknownError(
            f"There is no {noun} {record_id}",
            hint=f"`roost {noun}s list` shows the existing ones.",
            fields={"id": record_id},
        )
    changed = msgspec.convert({**msgspec.to_builtins(found), **msgspec.to_builtins(dict(fields))}, kind)
    connection.execute(
        f"UPDATE {_TABLES[kind]} SET state = ?, lock_digest = ?, record = ? WHERE id = ?",
        (changed.state, changed.lock_digest, msgspec.json.encode(changed), record_id),
    )
    return changed


def find_record(connection: sqlite3.Connection, kind: type[Record], record_id: str) -> Record | None:
    """Return the build or run of that id."""
    row = connection.execute(f"SELECT record FROM {_TABLES[kind]} WHERE id = ?", (record_id,)).fetchone()
    return msgspec.json.decode(row["record"], type=kind) if row else None


def list_records(connection: sqlite3.Connection, kind: type[Record], limit: int, before: str | None) -> list[Record]:
    """Return the latest ``limit`` builds or runs, newest first; with ``before``, those older than that one."""
    table = _TABLES[kind]
    rows = connection.execute(
        f"SELECT record FROM {table} "
        f"WHERE ? IS NULL OR number < (SELECT number FROM {table} WHERE id = ?) ORDER BY number DESC LIMIT ?",
        (before, before, limit),
    )
    return [msgspec.json.decode(row["record"], type=kind) for row in rows]


def list_records_in(connection: sqlite3.Connection, kind: type[Record], states: Iterable[str]) -> list[Record]:
    """Return the builds or runs in one of these states, the oldest first."""
    values = tuple(states)
    marks = ", ".join("?" * len(values))
    rows = connection.execute(f"SELECT record FROM {_TABLES[kind]} WHERE state IN ({marks}) ORDER BY number", values)
    return [msgspec.json.decode(row["record"], type=kind) for row in rows]


class _RecordTable(Queries, Generic[Record]):
    """The methods that builds and runs have in common."""

    def __init__(self, database: Database, kind: type[Record], open_states: tuple[str, ...]) -> None:
        super().__init__(database)
        self._kind: type[Record] = kind
        self._open_states = open_states

    async def insert(self, record: Record) -> None:
        """Store a new record."""
        await self.database.write(insert_record, record)

    async def update(self, record_id: str, **fields: object) -> Record:
        """Change fields of a record and return the changed record. Raises: RecordUnknownError."""
        return await self.database.write(update_record, self._kind, record_id, fields)

    async def find(self, record_id: str) -> Record | None:
        """Return the record of that id."""
        return await self.database.read(find_record, self._kind, record_id)

    async def list_page(self, limit: int = 100, before: str | None = None) -> list[Record]:
        """Return ``limit`` records, newest first; ``before`` is the id of the last record of the previous page."""
        return await self.database.scan(list_records, self._kind, limit, before)

    async def list_open(self) -> list[Record]:
        """Return the records that have not ended, the oldest first."""
        return await self.database.read(list_records_in, self._kind, self._open_states)


class BuildTable(_RecordTable[BuildRecord]):
    """``index.builds``: builds and their states."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, BuildRecord, OPEN_BUILD_STATES)


class RunTable(_RecordTable[RunRecord]):
    """``index.runs``: runs and their states. ``Index.begin_run`` and ``Index.end_run`` also write their events."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, RunRecord, OPEN_RUN_STATES)
