"""Definitions, where they were seen, settings and locks. Each function is (part of) one transaction."""

from __future__ import annotations

import sqlite3
import zlib

import msgspec

from roost.model.locks.lock import Lock, lock_digest
from roost.model.records import Known
from roost.store.clock import utc_now
from roost.store.index.packages import add_contents

_KNOWN = """
    SELECT d.digest, d.canonical, s.name, s.source FROM sightings AS s JOIN definitions AS d ON d.id = s.definition
"""


def remember_definition(
    connection: sqlite3.Connection, digest: str, canonical: bytes, name: str | None, source: str | None
) -> None:
    """Keep a definition, and that it was now seen under this name and path."""
    connection.execute(
        "INSERT INTO definitions (digest, canonical, created) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        (digest, zlib.compress(canonical), utc_now()),
    )
    row = connection.execute("SELECT id FROM definitions WHERE digest = ?", (digest,)).fetchone()
    # Replaced, so that the sighting gets the largest id: "latest" is by what happened last, not by what came first.
    connection.execute(
        "INSERT OR REPLACE INTO sightings (definition, name, source) VALUES (?, ?, ?)",
        (row["id"], name or "", source or ""),
    )


def seen_last(connection: sqlite3.Connection, digest: str, name: str | None, source: str | None) -> bool:
    """Whether the last sighting of this path under this name is this definition already."""
    row = connection.execute(
        "SELECT d.digest, s.name FROM sightings AS s JOIN definitions AS d ON d.id = s.definition "
        "WHERE s.source = ? ORDER BY s.id DESC LIMIT 1",
        (source or "",),
    ).fetchone()
    return row is not None and bool(source) and row["digest"] == digest and row["name"] == (name or "")


def is_known(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether the definition was ever seen."""
    return connection.execute("SELECT 1 FROM definitions WHERE digest = ?", (digest,)).fetchone() is not None


def known_definition(connection: sqlite3.Connection, digest: str) -> Known | None:
    """The definition with where it was seen last."""
    row = connection.execute(_KNOWN + "WHERE d.digest = ? ORDER BY s.id DESC LIMIT 1", (digest,)).fetchone()
    return _known(row) if row else None


def nearest_candidates(connection: sqlite3.Connection, name: str | None, source: str | None, limit: int) -> list[Known]:
    """The last few of the same path, then of the same name, then the latest of all; ``limit`` in all."""
    rows: list[sqlite3.Row] = []
    for column, value in (("source", source), ("name", name)):
        if value:
            query = f"{_KNOWN} WHERE s.{column} = ? ORDER BY s.id DESC LIMIT 10"
            rows += connection.execute(query, (value,)).fetchall()
    rows += connection.execute(f"{_KNOWN} ORDER BY s.id DESC LIMIT ?", (limit,)).fetchall()
    first: dict[str, sqlite3.Row] = {}
    for row in rows:
        first.setdefault(row["digest"], row)
    return [_known(row) for row in list(first.values())[:limit]]


def _known(row: sqlite3.Row) -> Known:
    return Known(
        digest=row["digest"],
        canonical=zlib.decompress(row["canonical"]),
        name=row["name"] or None,
        source=row["source"] or None,
    )


def remember_settings(connection: sqlite3.Connection, digest: str, canonical: bytes) -> None:
    """Keep settings; the same digest again changes nothing."""
    connection.execute(
        "INSERT INTO settings (digest, canonical, created) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        (digest, zlib.compress(canonical), utc_now()),
    )


def settings(connection: sqlite3.Connection, digest: str) -> bytes | None:
    """The canonical settings of that digest."""
    row = connection.execute("SELECT canonical FROM settings WHERE digest = ?", (digest,)).fetchone()
    return zlib.decompress(row["canonical"]) if row else None


def put_lock(connection: sqlite3.Connection, lock: Lock) -> str:
    """Keep a lock; its digest. The first body of a digest stays: others differ at most in where things come from."""
    digest = lock_digest(lock)
    if has_lock(connection, digest):
        return digest
    added = connection.execute(
        "INSERT INTO locks (digest, platform, body, created) VALUES (?, ?, ?, ?)",
        (digest, lock.platform, zlib.compress(msgspec.json.encode(lock)), utc_now()),
    )
    assert added.lastrowid is not None  # an INSERT that did not raise has a row
    add_contents(connection, added.lastrowid, lock)
    return digest


def lock(connection: sqlite3.Connection, digest: str) -> Lock | None:
    """The lock of that digest."""
    row = connection.execute("SELECT body FROM locks WHERE digest = ?", (digest,)).fetchone()
    return msgspec.json.decode(zlib.decompress(row["body"]), type=Lock) if row else None


def has_lock(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether the lock's body is here, without reading it."""
    return connection.execute("SELECT 1 FROM locks WHERE digest = ?", (digest,)).fetchone() is not None
