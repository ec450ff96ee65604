"""Which origin an automatic name of an environment belongs to. Each function is (part of) one transaction.

Beside the tables, because a claim spans names, versions and sightings.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence

from roost.model.names import derive_name
from roost.model.origins import FOLDER, NameClaim, NameOrigin
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint


def find_claimed_name(connection: sqlite3.Connection, key: str) -> str | None:
    """Return the name that belongs to the origin ``key``."""
    row = connection.execute("SELECT name FROM environment_origins WHERE key = ?", (key,)).fetchone()
    return row["name"] if row else None


def list_owners(connection: sqlite3.Connection, names: Iterable[str]) -> list[str]:
    """Return the folders and files whose absence from the disk decides who may claim one of ``names``."""
    paths: set[str] = set()
    for name in names:
        keys = _list_keys(connection, name)
        paths.update(key.removeprefix(FOLDER) for key in keys if key.startswith(FOLDER))
        paths.update([] if keys else _list_makers(connection, name))
    return sorted(paths)


def claim_name(
    connection: sqlite3.Connection,
    origin: NameOrigin,
    names: Sequence[str],
    definition_digest: str,
    gone: frozenset[str] = frozenset(),
) -> NameClaim | None:
    """Return the first of ``names`` that may belong to ``origin``, which it does from now on; ``None`` if none may.

    1. An origin keeps the name that it has.
    2. A place keeps its name when its repository gets a remote, loses it, or (with a definition that the environment
       has) gets another one.
    3. A name that nobody has is free.
    4. A name of folders that are ``gone`` passes to whoever has one of its definitions: a project that was moved.
    5. An environment without an origin (by hand, or of an older version) belongs to the files that its first version
       was read from; if there are none, to whoever has one of its definitions.
    """
    if (own := find_claimed_name(connection, origin.key)) is not None:
        return NameClaim(name=own)
    former = _find_former_name(connection, origin, definition_digest)
    owner = ""
    for name in [former] if former is not None else names:
        keys = _list_keys(connection, name)
        if former is None and not _may_claim(connection, name, keys, origin, definition_digest, gone):
            owner = owner or (keys[0] if keys else next(iter(_list_makers(connection, name)), name))
            continue
        query = "INSERT INTO environment_origins (key, name, place, created) VALUES (?, ?, ?, ?)"
        connection.execute(query, (origin.key, name, origin.place, utc_now()))
        failpoint("claim-name")
        return NameClaim(name=name, wanted=names[0] if owner else None, owner=owner)
    return None


def _find_former_name(connection: sqlite3.Connection, origin: NameOrigin, digest: str) -> str | None:
    rows = connection.execute(
        "SELECT key, name FROM environment_origins WHERE place = ? ORDER BY created DESC", (origin.place,)
    )
    former = rows.fetchall()
    is_bare = origin.key.startswith(FOLDER) or all(row["key"].startswith(FOLDER) for row in former)
    return next((row["name"] for row in former if is_bare or _has_definition(connection, row["name"], digest)), None)


def _may_claim(
    connection: sqlite3.Connection,
    name: str,
    keys: Sequence[str],
    origin: NameOrigin,
    digest: str,
    gone: frozenset[str],
) -> bool:
    if keys:
        is_moved = all(key.startswith(FOLDER) and key.removeprefix(FOLDER) in gone for key in keys)
        return is_moved and _has_definition(connection, name, digest)
    if connection.execute("SELECT 1 FROM environments WHERE name = ?", (name,)).fetchone() is None:
        return True
    makers = _list_makers(connection, name)
    if any(origin.place in (maker, os.path.dirname(maker)) for maker in makers):
        return True
    return gone.issuperset(makers) and _has_definition(connection, name, digest)


def _list_keys(connection: sqlite3.Connection, name: str) -> list[str]:
    rows = connection.execute("SELECT key FROM environment_origins WHERE name = ? ORDER BY created, key", (name,))
    return [row["key"] for row in rows]


def _list_makers(connection: sqlite3.Connection, name: str) -> list[str]:
    """Return the files that the first version of ``name`` was read from under that name."""
    rows = connection.execute(
        "SELECT s.name, s.source FROM environments AS e JOIN versions AS v ON v.environment = e.id "
        "JOIN bodies AS b ON b.id = v.body JOIN definitions AS d ON d.digest = b.definition_digest "
        "JOIN sightings AS s ON s.definition = d.id WHERE e.name = ? AND s.source <> '' "
        "AND v.version = (SELECT min(version) FROM versions WHERE environment = e.id) ORDER BY s.id",
        (name,),
    )
    return [row["source"] for row in rows if derive_name(row["name"]) == name]


def _has_definition(connection: sqlite3.Connection, name: str, digest: str) -> bool:
    query = (
        "SELECT 1 FROM environments AS e JOIN versions AS v ON v.environment = e.id JOIN bodies AS b ON b.id = v.body "
        "WHERE e.name = ? AND b.definition_digest = ? LIMIT 1"
    )
    return connection.execute(query, (name, digest)).fetchone() is not None
