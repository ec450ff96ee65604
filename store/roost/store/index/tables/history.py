"""Events in their order, and durations of steps for estimates."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from roost.model.errors import MALFORMED_JSON
from roost.model.records import Event, StepObservation
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Write

STORED_DURATIONS = 60
"""Number of executions of a step, the latest ones, that are stored."""


def append_event(connection: sqlite3.Connection, kind: str, fields: Mapping[str, object] | None = None) -> Event:
    """Store an event under the next number."""
    time, body = utc_now(), msgspec.json.encode(fields or {})
    cursor = connection.execute("INSERT INTO events (time, kind, fields) VALUES (?, ?, ?)", (time, kind, body))
    assert cursor.lastrowid is not None  # an INSERT that did not raise has a row
    return Event(seq=cursor.lastrowid, time=time, kind=kind, fields=msgspec.json.decode(body, type=dict[str, object]))


def list_events_since(connection: sqlite3.Connection, seq: int, limit: int = 1000) -> list[Event]:
    """Return the events after number ``seq``, in order. If the first is not ``seq + 1``, those between were pruned."""
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


def find_last_event(connection: sqlite3.Connection) -> int:
    """Return the highest number that an event ever had; 0 before the first event."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row["seq"]) if row else 0


def prune_events(connection: sqlite3.Connection, keep: int) -> int:
    """Delete all events except the latest ``keep``, and return how many."""
    return connection.execute("DELETE FROM events WHERE seq <= ?", (find_last_event(connection) - keep,)).rowcount


def record_duration(connection: sqlite3.Connection, observation: StepObservation) -> None:
    """Store how long a step took, and what it had to do; only the latest executions of a step are stored."""
    step, amounts = observation.step, msgspec.json.encode(observation.amounts).decode()
    connection.execute(
        "INSERT INTO durations (step, seconds, amounts, subject) VALUES (?, ?, ?, ?)",
        (step, observation.seconds, amounts, observation.subject),
    )
    connection.execute(
        "DELETE FROM durations WHERE step = ? AND id <= "
        "(SELECT id FROM durations WHERE step = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (step, step, STORED_DURATIONS),
    )


def record_durations(connection: sqlite3.Connection, observations: Iterable[StepObservation]) -> None:
    """Store several of them, in their order."""
    for each in observations:
        record_duration(connection, each)


def list_durations(connection: sqlite3.Connection, after: int = 0) -> list[tuple[int, StepObservation]]:
    """Return numbers and rows of the durations whose number is greater than ``after``, in order.

    Rows of older versions, and those that can't be read, are left out.
    """
    rows = connection.execute(
        "SELECT id, step, seconds, amounts, subject FROM durations WHERE id > ? AND amounts IS NOT NULL ORDER BY id",
        (after,),
    )
    found = []
    for row in rows:
        with suppress(*MALFORMED_JSON):
            body = {key: row[key] for key in ("step", "seconds", "subject")}
            amounts = msgspec.json.decode(row["amounts"], type=dict[str, float])
            found.append((int(row["id"]), msgspec.convert({**body, "amounts": amounts}, StepObservation)))
    return found


class EventTable(Queries):
    """``index.events``: the numbered events."""

    append = Write(append_event)
    list_since = Read(list_events_since)
    find_last = Read(find_last_event)
    prune = Write(prune_events)


class DurationTable(Queries):
    """``index.durations``: durations of steps."""

    record = Write(record_duration)
    record_all = Write(record_durations)
    list_since = Read(list_durations)
