"""What the daemon does in idleness: when each work last ended, and when each prefix was last compared."""

from __future__ import annotations

import sqlite3

from roost.store.index.queries import Queries, Read, Write


def list_last_runs(connection: sqlite3.Connection) -> dict[str, str]:
    """Return when each idle work last ended, by its name."""
    return {row["name"]: row["ended"] for row in connection.execute("SELECT name, ended FROM idle_work")}


def record_run(connection: sqlite3.Connection, name: str, ended: str) -> None:
    """Store that the idle work ``name`` ended at that time."""
    connection.execute("INSERT OR REPLACE INTO idle_work (name, ended) VALUES (?, ?)", (name, ended))


class UpkeepTable(Queries):
    """``index.upkeep``: the idle work of the daemon."""

    list_last_runs = Read(list_last_runs)
    record_run = Write(record_run)
