"""Locks by their digest, and which of them are project layers. Each function is (part of) one transaction.

Separate since generations, images and environments all store the lock they refer to.
"""

from __future__ import annotations

import sqlite3
import zlib

import msgspec

from roost.model.locks.lock import Lock, digest_lock
from roost.store.clock import utc_now
from roost.store.index.packages import add_contents, delete_contents
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
    put_project_layer(connection, digest, lock)
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


def put_project_layer(connection: sqlite3.Connection, digest: str, lock: Lock) -> None:
    """Record what a lock that was just stored is the project layer of, if it is one."""
    layer = lock.layer
    if layer is None:
        return
    project = next(each for each in lock.wheels if each.name == layer.name and each.kind == "editable")
    connection.execute(
        "INSERT OR IGNORE INTO project_layers (lock, base, folder, files) VALUES (?, ?, ?, ?)",
        (digest, layer.base, project.path or "", project.sha256),
    )


def find_project_layer(connection: sqlite3.Connection, base: str, folder: str, files: str) -> str | None:
    """Return the digest of the lock that has the lock ``base`` and the project of ``folder``, whose build files have
    the sha256 ``files`` (64 hex digits)."""
    row = connection.execute(
        "SELECT lock FROM project_layers WHERE base = ? AND folder = ? AND files = ?", (base, folder, files)
    ).fetchone()
    return str(row["lock"]) if row else None


def find_layer_base(connection: sqlite3.Connection, digest: str) -> str | None:
    """Return the digest of the lock that a project layer is on; ``None`` if the lock is not one of a layer."""
    row = connection.execute("SELECT base FROM project_layers WHERE lock = ?", (digest,)).fetchone()
    return str(row["base"]) if row else None


def delete_unused_layers(connection: sqlite3.Connection) -> None:
    """Delete the locks of project layers without a prefix: nothing else refers to them, and the next build of a layer
    makes its lock again."""
    rows = connection.execute(
        "SELECT l.id, l.digest FROM project_layers AS p JOIN locks AS l ON l.digest = p.lock "
        "WHERE NOT EXISTS (SELECT 1 FROM artifacts AS a WHERE a.key = p.lock) "
        "AND NOT EXISTS (SELECT 1 FROM pins WHERE subject = p.lock)"
    ).fetchall()
    for row in rows:
        delete_contents(connection, row["id"])
        connection.execute("DELETE FROM project_layers WHERE lock = ?", (row["digest"],))
        connection.execute("DELETE FROM locks WHERE id = ?", (row["id"],))


class LockTable(Queries):
    """``index.locks``: locks, with the packages that each one holds."""

    put = Write(put_lock)
    find = Scan(find_lock)
    contains = Read(has_lock)
    find_project_layer = Read(find_project_layer)
    find_layer_base = Read(find_layer_base)
