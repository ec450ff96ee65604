"""Watched definitions: which files are watched, and what came of their last content.

The daemon holds all of them in memory while it runs and writes what changed in batches; it reads them at its start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from roost.model.records import WatchRecord
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index.queries import Queries, Read, Scan, Write


def list_watches(connection: sqlite3.Connection) -> list[WatchRecord]:
    """Return all watches, by path."""
    query = "SELECT id, path, origin, paused, last_used, record, inputs FROM watches ORDER BY path"
    return [
        WatchRecord(
            id=row["id"],
            path=row["path"],
            origin=row["origin"],
            paused=bool(row["paused"]),
            last_used=row["last_used"],
            body=_as_bytes(row["record"]),
            inputs=_as_bytes(row["inputs"]),
        )
        for row in connection.execute(query)
    ]


def _as_bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def put_watches(connection: sqlite3.Connection, records: Sequence[WatchRecord], removed: Sequence[str] = ()) -> None:
    """Delete the watches with the ids ``removed``, and insert or update ``records``. A path has one watch: the last."""
    connection.executemany("DELETE FROM watches WHERE id = ?", [(watch_id,) for watch_id in removed])
    connection.executemany("DELETE FROM watches WHERE path = ? AND id <> ?", [(each.path, each.id) for each in records])
    connection.executemany(
        "INSERT INTO watches (id, path, origin, paused, last_used, record, inputs) "
        "VALUES (:id, :path, :origin, :paused, :last_used, :body, coalesce(:inputs, '{}')) "
        "ON CONFLICT (id) DO UPDATE SET path = :path, origin = :origin, paused = :paused, last_used = :last_used, "
        "record = :body, inputs = coalesce(:inputs, inputs)",
        [msgspec.structs.asdict(each) for each in records],
    )
    failpoint("watches.in-transaction")


def list_news(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what was reported last of each subject."""
    return {row["subject"]: row["found"] for row in connection.execute("SELECT subject, found FROM watch_news")}


def replace_news(connection: sqlite3.Connection, found: dict[str, str]) -> None:
    """Store what was reported last of each subject; others are forgotten."""
    connection.execute("DELETE FROM watch_news")
    rows = [(subject, value, utc_now()) for subject, value in found.items()]
    connection.executemany("INSERT INTO watch_news (subject, found, created) VALUES (?, ?, ?)", rows)


def list_collected(connection: sqlite3.Connection, digests: Sequence[str]) -> set[str]:
    """Return those of the definitions that have locks, and neither a prefix nor an image of one of these any more."""
    query = """
        SELECT EXISTS (SELECT 1 FROM generations WHERE definition_digest = :digest) AND NOT EXISTS (
            SELECT 1 FROM generations AS g JOIN artifacts AS a ON a.key = g.lock_digest
                WHERE g.definition_digest = :digest AND a.state = 'ready'
            UNION ALL SELECT 1 FROM generations AS g JOIN images AS i ON i.lock_digest = g.lock_digest
                JOIN artifacts AS a ON a.key = i.key WHERE g.definition_digest = :digest AND a.state = 'ready')
    """
    return {digest for digest in digests if connection.execute(query, {"digest": digest}).fetchone()[0]}


def list_definitions_of(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    """Return the digests of the definitions whose current generation, or that of a lock file, has one of these
    artifacts, by their keys: that of a prefix is the digest of its lock, or of a project layer on it."""
    query = """
        SELECT g.definition_digest FROM generations AS g
        WHERE (g.current OR g.origin = 'file') AND g.lock_digest IN (
            SELECT :key UNION SELECT lock_digest FROM images WHERE key = :key
            UNION SELECT base FROM project_layers WHERE lock = :key
        )
    """
    return {row["definition_digest"] for key in keys for row in connection.execute(query, {"key": key})}


def list_ready_definitions(connection: sqlite3.Connection) -> set[str]:
    """Return the digests of the definitions whose current generation, or that of a lock file, has a ready artifact, for
    whatever target."""
    query = """
        SELECT DISTINCT g.definition_digest FROM artifacts AS a
        LEFT JOIN images AS i ON i.key = a.key
        LEFT JOIN project_layers AS p ON p.lock = a.key
        JOIN generations AS g ON g.lock_digest = coalesce(i.lock_digest, p.base, a.key)
            AND (g.current OR g.origin = 'file')
        WHERE a.state = 'ready'
    """
    return {row["definition_digest"] for row in connection.execute(query)}


def shrink_memory(connection: sqlite3.Connection) -> None:
    """Free the pages that the connection holds of what was written: of thousands of watches, all that it may hold."""
    connection.execute("PRAGMA shrink_memory")


class WatchTable(Queries):
    """``index.watches``: watched definitions."""

    list_all = Scan(list_watches)
    list_definitions_of = Scan(list_definitions_of)
    list_ready_definitions = Scan(list_ready_definitions)
    put = Write(put_watches)
    shrink_memory = Write(shrink_memory)
    list_collected = Scan(list_collected)
    list_news = Read(list_news)
    replace_news = Write(replace_news)
