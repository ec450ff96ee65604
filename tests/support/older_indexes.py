"""Indexes of older schemas, with some rows."""

from __future__ import annotations

import contextlib
import sqlite3

from roost.store.migrations.schema import MIGRATIONS, statements


def write_index(path: str, schema: int, rows: int = 20) -> None:
    """Write an index of ``schema`` in WAL mode, as that roost had left it, with some events."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for number in range(1, schema + 1):
            for statement in statements(MIGRATIONS[number]):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {schema}")
        add_events(connection, rows)


def add_events(connection: sqlite3.Connection, rows: int) -> None:
    connection.execute("BEGIN")
    for _ in range(rows):
        connection.execute("INSERT INTO events (time, kind, fields) VALUES ('2026', 'older', x'00')")
    connection.execute("COMMIT")


def read_index(path: str) -> tuple[int, int]:
    """The schema and the number of events of an index."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return schema, events
