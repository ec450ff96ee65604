"""What garbage collection needs without looking at the disk: how much is stored, and what it remembers.

Triggers of the schema maintain the sums in the transactions that publish and delete (``migrations.schema``): a table of
cached files adds its own triggers for the kinds that it has.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from roost.store.index.queries import Queries, Read, Scan, Write

_MOST_VALUES = 500
"""Values in one statement."""


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


def list_prefix_sources(connection: sqlite3.Connection) -> list[tuple[str, str, bool]]:
    """Return for each prefix the places that its definitions were seen at: lock digest, path (empty: it came without a
    file), and whether a version of an environment has the definition. A project layer has its project's file only."""
    query = """
        SELECT DISTINCT g.lock_digest, s.source,
            EXISTS (SELECT 1 FROM bodies AS b WHERE b.definition_digest = g.definition_digest)
        FROM artifacts AS a
        JOIN generations AS g ON g.lock_digest = a.key
        JOIN definitions AS d ON d.digest = g.definition_digest
        JOIN sightings AS s ON s.definition = d.id
        WHERE a.kind = 'prefix'
        UNION SELECT lock, folder || '/pyproject.toml', 0 FROM project_layers
    """
    return [(lock, source, bool(is_registered)) for lock, source, is_registered in connection.execute(query)]


def list_lock_environments(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return for each lock of a prefix or an image the environments with a version that has it: lock digest, name. A
    project layer is of the environments of the lock that it is on."""
    query = """
        WITH used (lock, base) AS (
            SELECT a.key, coalesce(p.base, a.key) FROM artifacts AS a LEFT JOIN project_layers AS p ON p.lock = a.key
                WHERE a.kind = 'prefix'
            UNION SELECT lock_digest, lock_digest FROM images WHERE lock_digest IS NOT NULL
        )
        SELECT DISTINCT u.lock, e.name FROM used AS u JOIN generations AS g ON g.lock_digest = u.base
        JOIN bodies AS b ON b.definition_digest = g.definition_digest JOIN versions AS v ON v.body = b.id
        JOIN environments AS e ON e.id = v.environment
    """
    return [(lock, name) for lock, name in connection.execute(query)]


def map_run_places(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the environment and the working folder of runs; empty texts for what is not known."""
    found: dict[str, tuple[str, str]] = {}
    for start in range(0, len(ids), _MOST_VALUES):
        part = ids[start : start + _MOST_VALUES]
        marks = ",".join("?" * len(part))
        query = (
            f"SELECT r.id, f.environment, f.cwd FROM runs AS r JOIN run_facts AS f USING (number) WHERE id IN ({marks})"
        )
        found |= {run: (environment, folder) for run, environment, folder in connection.execute(query, part)}
    return found


class CollectionTable(Queries):
    """``index.collection``: sums of what is stored, and what garbage collection remembers."""

    map_usage = Read(map_disk_usage)
    find_state = Read(find_collection_state)
    put_state = Write(put_collection_state)
    list_sources = Scan(list_prefix_sources)
    list_environments = Scan(list_lock_environments)
    map_runs = Scan(map_run_places)
