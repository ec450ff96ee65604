"""Definitions with their sightings, and settings: content by digest. Each function is (part of) one transaction."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence

from roost.model.records import KnownDefinition
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Scan, Write

Digests = tuple[str, str]
"""The digests of a definition and of settings."""
CanonicalForms = tuple[bytes, bytes]
"""A definition and settings in their canonical form."""

_SELECT_SIGHTING = """
    SELECT d.digest, d.canonical, s.name, s.source FROM sightings AS s JOIN definitions AS d ON d.id = s.definition
"""


def record_sighting(
    connection: sqlite3.Connection, digest: str, canonical: bytes, name: str | None, source: str | None
) -> None:
    """Store a definition, and that it was seen now under this name and path."""
    connection.execute(
        "INSERT INTO definitions (digest, canonical, created) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        (digest, zlib.compress(canonical), utc_now()),
    )
    row = connection.execute("SELECT id FROM definitions WHERE digest = ?", (digest,)).fetchone()
    # REPLACE gives the sighting the largest id: "latest" goes by the last sighting, not by the first one.
    connection.execute(
        "INSERT OR REPLACE INTO sightings (definition, name, source) VALUES (?, ?, ?)",
        (row["id"], name or "", source or ""),
    )


def is_last_sighting(connection: sqlite3.Connection, digest: str, name: str | None, source: str | None) -> bool:
    """Return whether the last sighting of this path is this definition under this name."""
    row = connection.execute(
        "SELECT d.digest, s.name FROM sightings AS s JOIN definitions AS d ON d.id = s.definition "
        "WHERE s.source = ? ORDER BY s.id DESC LIMIT 1",
        (source or "",),
    ).fetchone()
    return row is not None and bool(source) and row["digest"] == digest and row["name"] == (name or "")


def is_known(connection: sqlite3.Connection, digest: str) -> bool:
    """Return whether the definition was ever seen."""
    return connection.execute("SELECT 1 FROM definitions WHERE digest = ?", (digest,)).fetchone() is not None


def find_definition(connection: sqlite3.Connection, digest: str) -> KnownDefinition | None:
    """Return a definition with its last sighting."""
    row = connection.execute(_SELECT_SIGHTING + "WHERE d.digest = ? ORDER BY s.id DESC LIMIT 1", (digest,)).fetchone()
    return _decode_sighting(row) if row else None


def list_candidates(
    connection: sqlite3.Connection, name: str | None = None, source: str | None = None, limit: int = 1000
) -> list[KnownDefinition]:
    """Return candidates for the nearest definition: the last ten of the same path, then the last ten of the same name,
    then the latest of all. Each definition once, ``limit`` in total."""
    rows: list[sqlite3.Row] = []
    for column, value in (("source", source), ("name", name)):
        if value:
            query = f"{_SELECT_SIGHTING} WHERE s.{column} = ? ORDER BY s.id DESC LIMIT 10"
            rows += connection.execute(query, (value,)).fetchall()
    rows += connection.execute(f"{_SELECT_SIGHTING} ORDER BY s.id DESC LIMIT ?", (limit,)).fetchall()
    by_digest: dict[str, sqlite3.Row] = {}
    for row in rows:
        by_digest.setdefault(row["digest"], row)
    return [_decode_sighting(row) for row in list(by_digest.values())[:limit]]


def _decode_sighting(row: sqlite3.Row) -> KnownDefinition:
    return KnownDefinition(
        digest=row["digest"],
        canonical=zlib.decompress(row["canonical"]),
        name=row["name"] or None,
        source=row["source"] or None,
    )


def put_settings(connection: sqlite3.Connection, digest: str, canonical: bytes) -> None:
    """Store settings; the same digest again changes nothing."""
    connection.execute(
        "INSERT INTO settings (digest, canonical, created) VALUES (?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        (digest, zlib.compress(canonical), utc_now()),
    )


def find_settings(connection: sqlite3.Connection, digest: str) -> bytes | None:
    """Return the canonical settings of that digest."""
    row = connection.execute("SELECT canonical FROM settings WHERE digest = ?", (digest,)).fetchone()
    return zlib.decompress(row["canonical"]) if row else None


def load_canonical_forms(connection: sqlite3.Connection, pairs: Sequence[Digests]) -> list[CanonicalForms]:
    """Return the canonical definition and settings of each pair. Both must be those of registered versions, which
    means that both exist."""
    definitions = _load_canonical(connection, "definitions", {definition for definition, _ in pairs})
    settings = _load_canonical(connection, "settings", {settings for _, settings in pairs})
    return [(definitions[definition], settings[setting]) for definition, setting in pairs]


def _load_canonical(connection: sqlite3.Connection, table: str, digests: Iterable[str]) -> dict[str, bytes]:
    query = f"SELECT canonical FROM {table} WHERE digest = ?"
    return {digest: zlib.decompress(connection.execute(query, (digest,)).fetchone()["canonical"]) for digest in digests}


class DefinitionTable(Queries):
    """``index.definitions``: definitions with their sightings, and settings."""

    find = Read(find_definition)
    list_candidates = Scan(list_candidates)
    find_settings = Read(find_settings)
    put_settings = Write(put_settings)
    load_canonical_forms = Scan(load_canonical_forms)

    async def record_sighting(
        self, digest: str, canonical: bytes, name: str | None = None, source: str | None = None
    ) -> None:
        """Store a definition, and that it was seen now under this name and path.

        A read comes first: if the last sighting of the path is this one already, nothing is written.
        """
        if not await self.database.read(is_last_sighting, digest, name, source):
            await self.database.write(record_sighting, digest, canonical, name, source)
