"""What happened: builds, runs, events, and how long steps took."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from roost.model.errors import LookupFailedError
from roost.model.records import BuildRecord, Estimate, Event, Known, RunRecord
from roost.store.clock import utc_now
from roost.store.index.definitions import remember_definition, remember_settings, seen_last

Record = TypeVar("Record", BuildRecord, RunRecord)

_TABLES: dict[type, str] = {BuildRecord: "builds", RunRecord: "runs"}
OPEN_RUN_STATES = ("queued", "preparing", "running")
_SAMPLES = 15
"""Latest executions of a step that an estimate is the median of."""


class RecordUnknownError(LookupFailedError):
    """There is no build or run of that id."""

    code = "record-unknown"


def insert_record(connection: sqlite3.Connection, record: BuildRecord | RunRecord) -> None:
    """Keep a new build or run."""
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
    """Change fields of a build or run; what it is afterwards.

    Raises:
        RecordUnknownError: there is none of that id.
        msgspec.ValidationError: a value is not of its field's type.
    """
    found = record(connection, kind, record_id)
    if found is None:
        noun = kind.__name__.lower()
        raise RecordUnknownError(
            f"There is no {noun} {record_id}",
            hint=f"`roost {noun}s list` shows those there are.",
            fields={"id": record_id},
        )
    changed = msgspec.convert({**msgspec.to_builtins(found), **msgspec.to_builtins(dict(fields))}, kind)
    connection.execute(
        f"UPDATE {_TABLES[kind]} SET state = ?, lock_digest = ?, record = ? WHERE id = ?",
        (changed.state, changed.lock_digest, msgspec.json.encode(changed), record_id),
    )
    return changed


def begin_run(
    connection: sqlite3.Connection,
    run: RunRecord,
    seen: Known,
    settings: bytes,
    kind: str,
    fields: Mapping[str, object],
) -> tuple[RunRecord, Event]:
    """Keep a new run, the definition (as it was ``seen``) and the canonical settings that it runs in, and the event
    ``kind`` that tells of it."""
    if not seen_last(connection, seen.digest, seen.name, seen.source):
        remember_definition(connection, seen.digest, seen.canonical, seen.name, seen.source)
    remember_settings(connection, run.settings_digest, settings)
    insert_record(connection, run)
    return run, append_event(connection, kind, fields)


def end_run(
    connection: sqlite3.Connection, run_id: str, end: Mapping[str, object], kind: str, fields: Mapping[str, object]
) -> tuple[RunRecord, Event | None]:
    """Change a run to one that is over, and keep the event that tells of it; one that is over stays as it is, and
    tells nothing. Raises as ``update_record``."""
    found = record(connection, RunRecord, run_id)
    if found is not None and found.state not in OPEN_RUN_STATES:
        return found, None
    return update_record(connection, RunRecord, run_id, end), append_event(connection, kind, fields)


def record(connection: sqlite3.Connection, kind: type[Record], record_id: str) -> Record | None:
    """The build or run of that id."""
    row = connection.execute(f"SELECT record FROM {_TABLES[kind]} WHERE id = ?", (record_id,)).fetchone()
    return msgspec.json.decode(row["record"], type=kind) if row else None


def records(connection: sqlite3.Connection, kind: type[Record], limit: int, before: str | None) -> list[Record]:
    """The latest ``limit`` builds or runs, newest first; with ``before``, those that are older than that one."""
    table = _TABLES[kind]
    rows = connection.execute(
        f"SELECT record FROM {table} "
        f"WHERE ? IS NULL OR number < (SELECT number FROM {table} WHERE id = ?) ORDER BY number DESC LIMIT ?",
        (before, before, limit),
    )
    return [msgspec.json.decode(row["record"], type=kind) for row in rows]


def records_in(connection: sqlite3.Connection, kind: type[Record], states: Iterable[str]) -> list[Record]:
    """The builds or runs in one of these states, the oldest first."""
    wanted = tuple(states)
    marks = ", ".join("?" * len(wanted))
    rows = connection.execute(f"SELECT record FROM {_TABLES[kind]} WHERE state IN ({marks}) ORDER BY number", wanted)
    return [msgspec.json.decode(row["record"], type=kind) for row in rows]


def append_event(connection: sqlite3.Connection, kind: str, fields: Mapping[str, object]) -> Event:
    """Number and keep an event."""
    time, body = utc_now(), msgspec.json.encode(fields)
    cursor = connection.execute("INSERT INTO events (time, kind, fields) VALUES (?, ?, ?)", (time, kind, body))
    assert cursor.lastrowid is not None  # an INSERT that did not raise has a row
    return Event(seq=cursor.lastrowid, time=time, kind=kind, fields=msgspec.json.decode(body, type=dict[str, object]))


def events_since(connection: sqlite3.Connection, seq: int, limit: int) -> list[Event]:
    """Events after number ``seq``, in order. If the first is not ``seq + 1``, those between were pruned."""
    rows = connection.execute(
        "SELECT seq, time, kind, fields FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (seq, limit)
    )
    return [
        Event(
            seq=row["seq"],
            time=row["time"],
            kind=row["kind"],
            fields=msgspec.json.decode(row["fields"], type=dict[str, object]),
        )
        for row in rows
    ]


def last_event(connection: sqlite3.Connection) -> int:
    """The number that was given last; 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row["seq"]) if row else 0


def prune_events(connection: sqlite3.Connection, keep: int) -> int:
    """Forget all but the latest ``keep``; how many went."""
    return connection.execute("DELETE FROM events WHERE seq <= ?", (last_event(connection) - keep,)).rowcount


def record_duration(connection: sqlite3.Connection, step: str, seconds: float, size: int | None) -> None:
    """Keep what a step took; only the latest executions of each step are kept."""
    connection.execute("INSERT INTO durations (step, seconds, bytes) VALUES (?, ?, ?)", (step, seconds, size))
    connection.execute(
        "DELETE FROM durations WHERE step = ? AND id <= "
        "(SELECT id FROM durations WHERE step = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (step, step, _SAMPLES),
    )


def estimates(connection: sqlite3.Connection, steps: Iterable[str]) -> dict[str, Estimate]:
    """For each step the medians of its latest executions; ``None`` and 0 samples where there was none."""
    return {step: _estimate(connection, step) for step in steps}


def _estimate(connection: sqlite3.Connection, step: str) -> Estimate:
    rows = connection.execute("SELECT seconds, bytes FROM durations WHERE step = ?", (step,)).fetchall()
    sizes = [row["bytes"] for row in rows if row["bytes"] is not None]
    return Estimate(
        step=step,
        seconds=statistics.median(row["seconds"] for row in rows) if rows else None,
        bytes=round(statistics.median(sizes)) if sizes else None,
        samples=len(rows),
    )
