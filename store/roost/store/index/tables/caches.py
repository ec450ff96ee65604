"""What is in the caches, with its size when it was stored: ``cached_files``.

A row has the path below the root as its id. It is inserted after the content is in place, by comparing the names in the
caches' folders with the rows (``roost.daemon.caches.ledger``), and deleted after the content: a crash in between leaves
a row without content, or content that the next comparison finds. What has no size yet is not listed, and stays.

Which prefixes are made of an item follows from its key (``cache_keys``). An item that left its cache although prefixes
have hard links to its files stays as a row with ``cached`` = 0: its bytes are on the disk until the last of these goes.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Sequence

from roost.model.caches import CachedFile, CacheItem, CacheKind
from roost.store.clock import utc_now
from roost.store.index.cache_keys import file_key
from roost.store.index.queries import Queries, Read, Scan, Write

_PUT_FILE = """
    INSERT INTO cached_files (id, kind, key, bytes, stamp, last_used, files, sources, source_bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        kind = excluded.kind, key = excluded.key, bytes = excluded.bytes, stamp = excluded.stamp, cached = 1,
        files = excluded.files, sources = excluded.sources, source_bytes = excluded.source_bytes
"""
_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
_MOST_VALUES = 500
"""Values in one statement."""
_LINKED_KINDS: tuple[CacheKind, ...] = ("package", "wheel", "bytecode")
"""Kinds whose files prefixes have hard links to."""


def put_cached_files(connection: sqlite3.Connection, files: Iterable[CachedFile]) -> None:
    """Store rows; one of the same id is replaced, except for its last use."""
    connection.executemany(
        _PUT_FILE,
        [
            (
                each.id,
                each.kind,
                each.key,
                each.bytes,
                each.stamp,
                each.last_used,
                each.files,
                each.sources,
                each.source_bytes,
            )
            for each in files
        ],
    )


def drop_cached_files(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Delete the rows of content that is no longer in its cache; one that prefixes are linked from stays, as not
    cached."""
    for each in ids:
        kept = connection.execute(
            f"UPDATE cached_files SET cached = 0 WHERE id = ? AND bytes > 0 AND kind IN {_LINKED_KINDS!r} "
            "AND EXISTS (SELECT 1 FROM cache_uses AS u WHERE u.key = cached_files.key)",
            (each,),
        )
        if kept.rowcount == 0:
            connection.execute("DELETE FROM cached_files WHERE id = ?", (each,))


def rename_cached_file(connection: sqlite3.Connection, old: str, new: str, kind: CacheKind) -> None:
    """Record that content was moved, to be deleted there."""
    connection.execute("DELETE FROM cached_files WHERE id = ?", (new,))
    connection.execute("UPDATE cached_files SET id = ?, kind = ?, key = '' WHERE id = ?", (new, kind, old))


def map_stamps(connection: sqlite3.Connection) -> dict[str, int]:
    """Return id to stamp of all that is cached; -1 if it has not been measured."""
    rows = connection.execute(
        "SELECT id, CASE WHEN bytes IS NULL THEN -1 ELSE stamp END FROM cached_files WHERE cached"
    )
    return dict(map(tuple, rows))


def list_unmeasured(connection: sqlite3.Connection, limit: int) -> list[CachedFile]:
    """Return at most ``limit`` rows without a size."""
    rows = connection.execute("SELECT * FROM cached_files WHERE bytes IS NULL LIMIT ?", (limit,))
    return [
        CachedFile(id=row["id"], kind=row["kind"], key=row["key"], stamp=row["stamp"], last_used=row["last_used"])
        for row in rows
    ]


def find_users(connection: sqlite3.Connection, item_id: str) -> list[str]:
    """Return the ids of the prefixes that are made of an item, in any state."""
    rows = connection.execute(
        "SELECT u.artifact FROM cached_files AS f JOIN cache_uses AS u ON u.key = f.key WHERE f.id = ?", (item_id,)
    )
    return [row["artifact"] for row in rows]


def touch_used_files(connection: sqlite3.Connection, artifact_id: str) -> None:
    """Record a use, now, of everything that a prefix is made of."""
    connection.execute(
        "UPDATE cached_files SET last_used = ? WHERE key IN (SELECT key FROM cache_uses WHERE artifact = ?)",
        (utc_now(), artifact_id),
    )


def list_cache_items(connection: sqlite3.Connection) -> list[CacheItem]:
    """Return everything in the caches that has been measured, with what of the index needs it."""
    artifacts = {
        row["id"]: (row["key"], row["state"], f"build:{row['build_id']}")
        for row in connection.execute("SELECT id, key, state, build_id FROM artifacts WHERE kind = 'prefix'")
    }
    cursor = connection.cursor()
    cursor.row_factory = None  # there may be 100,000 rows
    rows = cursor.execute(
        "SELECT id, kind, bytes, last_used, cached, "
        "(SELECT group_concat(u.artifact) FROM cache_uses AS u WHERE u.key = f.key) "
        "FROM cached_files AS f WHERE bytes IS NOT NULL"
    )
    items = []
    for item_id, kind, size, last_used, cached, users in rows:
        found = [artifacts[user] for user in users.split(",") if user in artifacts] if users else ()
        needed = [build for _, state, build in found if state == "building"]
        items.append(
            CacheItem(
                kind=kind,
                id=item_id,
                bytes=size,
                last_used=last_used,
                needed_by=tuple(needed),
                linked_by=tuple([digest for digest, state, _ in found if state != "building"]),
                is_cached=bool(cached),
            )
        )
    return items


def find_cached_files(connection: sqlite3.Connection, keys: Sequence[str], ids: Sequence[str]) -> list[CachedFile]:
    """Return what is in the caches under one of ``keys``, or as one of ``ids``, measured or not."""
    found = []
    for column, values in (("key", keys), ("id", ids)):
        for start in range(0, len(values), _MOST_VALUES):
            part = values[start : start + _MOST_VALUES]
            marks = ",".join("?" * len(part))
            rows = connection.execute(f"SELECT * FROM cached_files WHERE cached AND {column} IN ({marks})", part)
            found += [
                CachedFile(
                    id=row["id"],
                    kind=row["kind"],
                    key=row["key"],
                    bytes=row["bytes"],
                    stamp=row["stamp"],
                    last_used=row["last_used"],
                    files=row["files"],
                    sources=row["sources"],
                    source_bytes=row["source_bytes"],
                )
                for row in rows
            ]
    return found


def count_unmeasured(connection: sqlite3.Connection) -> int:
    """Return how many items have no size yet."""
    return int(connection.execute("SELECT count(*) FROM cached_files WHERE bytes IS NULL").fetchone()[0])


def has_locked_wheel(connection: sqlite3.Connection, name: str, version: Sequence[str]) -> bool:
    """Return whether a lock has the distribution ``name`` in one of the spellings of its version."""
    marks = ",".join("?" * len(version))
    found = connection.execute(
        "SELECT 1 FROM package_names AS n JOIN packages AS p ON p.name = n.id "
        f"WHERE n.name = ? AND p.kind = 'pip' AND p.version IN ({marks})",
        (name, *version),
    )
    return found.fetchone() is not None


def list_known_files(connection: sqlite3.Connection, digests: Collection[str]) -> frozenset[str]:
    """Return those of ``digests`` (64 hex digits) of packages' files that are in a cache, or that a prefix is made
    of."""
    found: set[str] = set()
    keys = [file_key(each) for each in digests]
    for start in range(0, len(keys), _MOST_VALUES):
        some = keys[start : start + _MOST_VALUES]
        for table in ("cached_files", "cache_uses"):
            rows = connection.execute(f"SELECT key FROM {table} WHERE key IN ({','.join('?' * len(some))})", some)
            found.update(str(row["key"]).removeprefix("sha256:") for row in rows)
    return frozenset(found)


def list_content_digests(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the digests (64 hex digits) in the bodies of all versions: what they refer to is among them."""
    found: set[bytes] = set()
    for (body,) in connection.execute("SELECT body FROM bodies"):
        found.update(_DIGEST.findall(zlib.decompress(body)))
    return frozenset(digest.decode() for digest in found)


class CacheTable(Queries):
    """``index.caches``: what is in the caches."""

    put = Write(put_cached_files)
    drop = Write(drop_cached_files)
    rename = Write(rename_cached_file)
    map_stamps = Scan(map_stamps)
    list_unmeasured = Read(list_unmeasured)
    find = Read(find_cached_files)
    count_unmeasured = Read(count_unmeasured)
    list_known = Read(list_known_files)
    find_users = Read(find_users)
    touch_used = Write(touch_used_files)
    has_locked_wheel = Read(has_locked_wheel)
    list_items = Scan(list_cache_items)
    list_content_digests = Scan(list_content_digests)
