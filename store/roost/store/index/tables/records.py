"""Builds and runs: one row each, with the whole record as JSON beside the columns that are searched."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from roost.model.errors import InvalidRequestError, LookupFailedError
from roost.model.history import MAX_TAGS, RunFilter, is_text
from roost.model.records import BuildRecord, RunRecord
from roost.store.index.database import Database
from roost.store.index.queries import Queries, Scan, Write

Record = TypeVar("Record", BuildRecord, RunRecord)

_TABLES: dict[type, str] = {BuildRecord: "builds", RunRecord: "runs"}
OPEN_BUILD_STATES = ("queued", "solving", "building")
OPEN_RUN_STATES = ("queued", "preparing", "running")
LATEST = "latest"
"""Stands for the id of the newest record."""
MAX_CANDIDATES = 5
"""Ids that an ambiguous prefix names."""


class RecordUnknownError(LookupFailedError):
    """There is no build or run of that id."""


class IdAmbiguousError(InvalidRequestError):
    """Several builds or runs have an id that begins like this."""

    code = "id-ambiguous"


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
        noun = kind.__name__.removesuffix("Record").lower()
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


def find_id(connection: sqlite3.Connection, kind: type[Record], text: str) -> str:
    """Return the id that ``text`` means: ``latest``, a whole id, or the beginning of one only.

    Raises:
        RecordUnknownError: there is none.
        IdAmbiguousError: there are several; the error names some of them, the newest first.
    """
    table, noun = _TABLES[kind], kind.__name__.removesuffix("Record").lower()
    if text == LATEST:
        found = _column(connection, f"SELECT id FROM {table} ORDER BY number DESC LIMIT 1")
    elif not is_text(text) or "\0" in text or not text:
        found = []
    else:
        found = _column(connection, f"SELECT id FROM {table} WHERE id = ?", text) or _column(
            connection,
            f"SELECT id FROM {table} WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT ?",
            text,
            text + "\U0010ffff",
            MAX_CANDIDATES + 1,
        )
    if not found:
        raise RecordUnknownError(
            f"No {noun} is recorded yet" if text == LATEST else f"No {noun} has the id {text!r}",
            hint=f"`roost {noun}s list` shows the latest ones.",
            fields={"id": text},
        )
    if len(found) > 1:
        shown, more = found[:MAX_CANDIDATES], len(found) > MAX_CANDIDATES
        raise IdAmbiguousError(
            f"The ids of several {noun}s begin with {text!r}: {', '.join(shown)}{', …' if more else ''}",
            hint=f"Type more of the id; `roost {noun}s list` shows them with what they did.",
            fields={"id": text, "candidates": shown},
        )
    return found[0]


def _column(connection: sqlite3.Connection, query: str, *values: object) -> list[str]:
    return [row[0] for row in connection.execute(query, values)]


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


def list_matching_runs(
    connection: sqlite3.Connection, wanted: RunFilter, limit: int, before: str | None
) -> list[RunRecord]:
    """Return the latest ``limit`` runs that ``wanted`` means, newest first; with ``before``, those older than that
    one. Only the records of these are read: what is searched are the narrow rows of ``run_facts``."""
    rows = connection.execute(*matching_runs_query(wanted, limit, before))
    return [msgspec.json.decode(row["record"], type=RunRecord) for row in rows]


def matching_runs_query(wanted: RunFilter, limit: int, before: str | None) -> tuple[str, list[object]]:
    """Return the query of ``list_matching_runs`` with its values. Pure."""
    conditions: list[tuple[str, tuple[object, ...]]] = []
    if before is not None:
        conditions.append(("number < (SELECT number FROM runs WHERE id = ?)", (before,)))
    for column, value in (
        ("environment", wanted.environment),
        ("version", wanted.version),
        ("experiment <> '' AND experiment", wanted.experiment),
        ("target", wanted.target),
    ):
        if value is not None:
            conditions.append((f"{column} = ?", (value,)))
    if wanted.states:
        conditions.append((f"state IN ({', '.join('?' * len(wanted.states))})", wanted.states))
    if wanted.since is not None:
        conditions.append(("created >= ?", (wanted.since,)))
    if wanted.command is not None:
        conditions.append(("command LIKE ? ESCAPE '\\'", (f"%{_escape_like(wanted.command)}%",)))
    if wanted.folder is not None:
        above = wanted.folder.rstrip("/")
        conditions.append(("(cwd = ? OR (cwd >= ? AND cwd < ?))", (wanted.folder, f"{above}/", f"{above}0")))
    conditions += [("number IN (SELECT number FROM run_tags WHERE tag = ?)", (tag,)) for tag in wanted.tags]
    where = " AND ".join(condition for condition, _ in conditions) or "true"
    query = (
        "SELECT r.record FROM "
        f"(SELECT number FROM run_facts WHERE {where} ORDER BY number DESC LIMIT ?) AS f "
        "CROSS JOIN runs AS r ON r.number = f.number ORDER BY f.number DESC"
    )
    return query, [*(value for _, values in conditions for value in values), limit]


def _escape_like(text: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", text)


def annotate_run(
    connection: sqlite3.Connection,
    run_id: str,
    *,
    note: str | None = None,
    add_tags: Iterable[str] = (),
    remove_tags: Iterable[str] = (),
) -> RunRecord:
    """Change the note and the tags of a run, and return it. ``note``: empty removes it, ``None`` leaves it.

    Raises:
        RecordUnknownError: there is no run of that id.
        InvalidRequestError: it would have too many tags.
    """
    found = find_record(connection, RunRecord, run_id)
    tags = sorted({*(found.tags if found else ()), *add_tags} - set(remove_tags))
    if len(tags) > MAX_TAGS:
        raise InvalidRequestError(
            f"Run {run_id} would have {len(tags)} tags, and a run can have {MAX_TAGS}",
            hint=f"Remove others first: roost runs tag {run_id} --remove TAG",
        )
    changed = update_record(
        connection, RunRecord, run_id, {"tags": tags, **({} if note is None else {"note": note or None})}
    )
    number = connection.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()["number"]
    connection.execute("DELETE FROM run_tags WHERE number = ?", (number,))
    connection.executemany("INSERT INTO run_tags VALUES (?, ?)", [(tag, number) for tag in tags])
    return changed


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

    async def find_id(self, text: str) -> str:
        """Return the id that ``text`` means, as ``find_id`` does. Raises: RecordUnknownError, IdAmbiguousError."""
        return await self.database.read(find_id, self._kind, text)

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

    list_matching = Scan(list_matching_runs)
    annotate = Write(annotate_run)

    def __init__(self, database: Database) -> None:
        super().__init__(database, RunRecord, OPEN_RUN_STATES)
