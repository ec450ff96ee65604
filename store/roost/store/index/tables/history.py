"""Events in their order, and durations of steps for estimates."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Iterable, Mapping

import msgspec

from roost.model.records import Estimate, Event
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Write

_ESTIMATE_SAMPLES = 15
"""Number of executions of a step, the latest ones, whose median is the estimate."""


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


def record_duration(connection: sqlite3.Connection, step: str, seconds: float, bytes: int | None = None) -> None:
    """Store the duration of a step, and its bytes if it moved any; only the latest executions of a step are stored."""
    connection.execute("INSERT INTO durations (step, seconds, bytes) VALUES (?, ?, ?)", (step, seconds, bytes))
    connection.execute(
        "DELETE FROM durations WHERE step = ? AND id <= "
        "(SELECT id FROM durations WHERE step = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (step, step, _ESTIMATE_SAMPLES),
    )


def estimate_durations(connection: sqlite3.Connection, steps: Iterable[str]) -> dict[str, Estimate]:
    """Return for each step the medians of its latest executions; ``None`` and 0 samples if there were none."""
    return {step: _estimate_step(connection, step) for step in steps}


def _estimate_step(connection: sqlite3.Connection, step: str) -> Estimate:
    rows = connection.execute("SELECT seconds, bytes FROM durations WHERE step = ?", (step,)).fetchall()
    sizes = [row["bytes"] for row in rows if row["bytes"] is not None]
    return Estimate(
        step=step,
        seconds=statistics.median(row["seconds"] for row in rows) if rows else None,
        bytes=round(statistics.median(sizes)) if sizes else None,
        samples=len(rows),
    )


class EventTable(Queries):
    """``index.events``: the numbered events."""

    append = Write(append_event)
    list_since = Read(list_events_since)
    find_last = Read(find_last_event)
    prune = Write(prune_events)


class DurationTable(Queries):
    """``index.durations``: durations of steps."""

    record = Write(record_duration)
    estimate = Read(estimate_durations)
