"""Locks by their digest. Each function is (part of) one transaction.

Separate since generations, images and environments all store the lock they refer to.
"""

from __future__ import annotations

import sqlite3
import zlib

import msgspec

from roost.model.locks.lock import Lock, digest_lock
from roost.store.clock import utc_now
from roost.store.index.packages import add_contents
from roost.store.index.queries import Queries, Read, Scan, Write


def put_lock(connection: sqlite3.Connection, lock: Lock) -> str:
    """Store a lock and return its digest. The first body of a digest is kept: later ones differ at most in the
    locations of packages. Only markers that were not known then are added to it."""
    digest = digest_lock(lock)
    if has_lock(connection, digest):
        if lock.markers_known:
            _add_markers(connection, digest, lock)
        return digest
    added = connection.execute(
        "INSERT INTO locks (digest, platform, body, created) VALUES (?, ?, ?, ?)",
        (digest, lock.platform, zlib.compress(msgspec.json.encode(lock)), utc_now()),
    )
    assert added.lastrowid is not None  # an INSERT that did not raise has a row
    add_contents(connection, added.lastrowid, lock)
    return digest


def _add_markers(connection: sqlite3.Connection, digest: str, lock: Lock) -> None:
    known = find_lock(connection, digest)
    if known is not None and not known.markers_known:
        complete = msgspec.structs.replace(known, markers=lock.markers, markers_known=True)
        body = zlib.compress(msgspec.json.encode(complete))
        connection.execute("UPDATE locks SET body = ? WHERE digest = ?", (body, digest))


def find_lock(connection: sqlite3.Connection, digest: str) -> Lock | None:
    """Return the lock of that digest."""
    row = connection.execute("SELECT body FROM locks WHERE digest = ?", (digest,)).fetchone()
    return msgspec.json.decode(zlib.decompress(row["body"]), type=Lock) if row else None


def has_lock(connection: sqlite3.Connection, digest: str) -> bool:
    """Return whether a lock is stored, without reading its body."""
    return connection.execute("SELECT 1 FROM locks WHERE digest = ?", (digest,)).fetchone() is not None


class LockTable(Queries):
    """``index.locks``: locks, with the packages that each one holds."""

    put = Write(put_lock)
    find = Scan(find_lock)
    contains = Read(has_lock)
