"""What happened: events, and how long steps took."""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Iterable, Mapping

import msgspec

from roost.model.records import Estimate, Event
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Write

_SAMPLES = 15
"""Latest executions of a step that an estimate is the median of."""


def append_event(connection: sqlite3.Connection, kind: str, fields: Mapping[str, object] | None = None) -> Event:
    """Number and keep an event."""
    time, body = utc_now(), msgspec.json.encode(fields or {})
    cursor = connection.execute("INSERT INTO events (time, kind, fields) VALUES (?, ?, ?)", (time, kind, body))
    assert cursor.lastrowid is not None  # an INSERT that did not raise has a row
    return Event(seq=cursor.lastrowid, time=time, kind=kind, fields=msgspec.json.decode(body, type=dict[str, object]))


def list_events_since(connection: sqlite3.Connection, seq: int, limit: int = 1000) -> list[Event]:
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


def find_last_event(connection: sqlite3.Connection) -> int:
    """The number that was given last; 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row["seq"]) if row else 0


def prune_events(connection: sqlite3.Connection, keep: int) -> int:
    """Forget all but the latest ``keep``; how many went."""
    return connection.execute("DELETE FROM events WHERE seq <= ?", (find_last_event(connection) - keep,)).rowcount


def record_duration(connection: sqlite3.Connection, step: str, seconds: float, bytes: int | None = None) -> None:
    """Keep what a step took; only the latest executions of each step are kept."""
    connection.execute("INSERT INTO durations (step, seconds, bytes) VALUES (?, ?, ?)", (step, seconds, bytes))
    connection.execute(
        "DELETE FROM durations WHERE step = ? AND id <= "
        "(SELECT id FROM durations WHERE step = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (step, step, _SAMPLES),
    )


def estimate_durations(connection: sqlite3.Connection, steps: Iterable[str]) -> dict[str, Estimate]:
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


class EventTable(Queries):
    """``index.events``."""

    append = Write(append_event)
    list_since = Read(list_events_since)
    find_last = Read(find_last_event)
    prune = Write(prune_events)


class DurationTable(Queries):
    """``index.durations``."""

    record = Write(record_duration)
    estimate = Read(estimate_durations)
