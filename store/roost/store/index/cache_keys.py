"""How locks call what is in the caches, and which prefix needs what of it.

A row of ``cache_uses`` is written before the build of a prefix begins to use a cache, and a trigger deletes it with the
row of the prefix: what has none is not linked into any prefix. Separate from the table of the caches since a migration
fills it.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable

import msgspec
from packaging.version import InvalidVersion, Version

from roost.model.locks.lock import Lock


class _CondaKey(msgspec.Struct):
    name: str
    version: str
    build: str
    sha256: str = ""
    record: dict[str, object] = {}


class _WheelKey(msgspec.Struct):
    name: str
    version: str
    sha256: str = ""


class _LockKeys(msgspec.Struct):
    """What the keys of a stored lock are made of."""

    conda: tuple[_CondaKey, ...] = ()
    wheels: tuple[_WheelKey, ...] = ()


_BODY = msgspec.json.Decoder(_LockKeys)


def conda_key(folder: str) -> str:
    """Return the key of a conda package, by the name of its folder in the cache: ``<name>-<version>-<build>``."""
    return f"conda:{folder}"


def wheel_key(name: str, version: str) -> str:
    """Return the key of a distribution; ``name`` is normalised by PEP 503. Spellings of a version are one (PEP 440)."""
    try:
        return f"pip:{name}=={Version(version)}"
    except InvalidVersion:
        return f"pip:{name}=={version}"


def file_key(sha256: str) -> str:
    """Return the key of what is stored under the sha256 of a package's file: byte-code, and wheels as files."""
    return f"sha256:{sha256}"


def list_cache_keys(lock: Lock | _LockKeys) -> list[str]:
    """Return the keys of all that a prefix of ``lock`` is made of, each once."""
    keys = dict.fromkeys(conda_key(f"{each.name}-{each.version}-{each.build}") for each in lock.conda)
    keys |= dict.fromkeys(
        file_key(each.sha256) for each in lock.conda if each.sha256 and each.record.get("noarch") == "python"
    )
    keys |= dict.fromkeys(wheel_key(each.name, each.version) for each in lock.wheels)
    keys |= dict.fromkeys(file_key(each.sha256) for each in lock.wheels if each.sha256)
    return list(keys)


def put_cache_uses(connection: sqlite3.Connection, artifact_id: str, keys: Iterable[str]) -> None:
    """Record what a prefix needs of the caches, until its row is deleted."""
    rows = [(key, artifact_id) for key in keys]
    if rows:
        connection.executemany("INSERT OR IGNORE INTO cache_uses (key, artifact) VALUES (?, ?)", rows)


def fill_cache_uses(connection: sqlite3.Connection) -> None:
    """Record what all prefixes need: the part of the migration to schema 7 for those from before it."""
    query = "SELECT a.id, l.body FROM artifacts AS a JOIN locks AS l ON l.digest = a.key WHERE a.kind = 'prefix'"
    for row in connection.execute(query).fetchall():
        put_cache_uses(connection, row["id"], list_cache_keys(_BODY.decode(zlib.decompress(row["body"]))))
