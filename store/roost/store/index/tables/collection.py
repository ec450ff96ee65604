"""What garbage collection needs without looking at the disk: how much is stored, and what it remembers.

Triggers of the schema maintain the sums in the transactions that publish and delete (``migrations.schema``): a table of
cached files adds its own triggers for the kinds that it has.
"""

from __future__ import annotations

import sqlite3

from roost.store.index.queries import Queries, Read, Write


def map_disk_usage(connection: sqlite3.Connection) -> dict[str, int]:
    """Return kind to bytes on disk. ``prefix`` does not count what prefixes share with the caches; ``image`` is on the
    disk of an engine."""
    return {row["kind"]: row["bytes"] for row in connection.execute("SELECT kind, bytes FROM disk_usage ORDER BY kind")}


def find_collection_state(connection: sqlite3.Connection, name: str) -> str | None:
    """Return what was stored under ``name``: ``begins``, the time at which collection begins by itself in a root that
    an older version filled."""
    row = connection.execute("SELECT value FROM collection_state WHERE name = ?", (name,)).fetchone()
    return str(row["value"]) if row else None


def put_collection_state(connection: sqlite3.Connection, name: str, value: str | None) -> None:
    """Store ``value`` under ``name``; ``None`` deletes what was stored."""
    if value is None:
        connection.execute("DELETE FROM collection_state WHERE name = ?", (name,))
    else:
        connection.execute("INSERT OR REPLACE INTO collection_state (name, value) VALUES (?, ?)", (name, value))


class CollectionTable(Queries):
    """``index.collection``: sums of what is stored, and what garbage collection remembers."""

    map_usage = Read(map_disk_usage)
    find_state = Read(find_collection_state)
    put_state = Write(put_collection_state)
