"""Which locks hold which packages. Written in the transaction that stores a lock, so that both always agree.

``contents`` has one row for each lock and package; ``package_names`` and ``packages`` have each name and version once.
The key of ``contents`` begins with the lock's *span*, the lock's number divided by 128: storing a lock touches the few
pages of its span, whereas a key that begins with the package would touch one page for each package. A search looks into
every span once.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter

import msgspec

from roost.model.locks.lock import Lock
from roost.model.package_uses import PackageVersion
from roost.model.syntax.pip_lines import normalise_name

SPAN_BITS = 7
"""A span holds 2 to this power locks, by their numbers."""

_ADD_NAME = "INSERT INTO package_names (name) VALUES (?) ON CONFLICT (name) DO NOTHING"
_ADD_PACKAGE = """
    INSERT INTO packages (name, kind, spelled, version, build)
    SELECT id, ?, ?, ?, ? FROM package_names WHERE name = ? ON CONFLICT DO NOTHING
"""
_ADD_CONTENT = """
    INSERT INTO contents (span, name, lock, package, several)
    SELECT ?, n.id, ?, p.id, ? FROM package_names AS n CROSS JOIN packages AS p
    WHERE n.name = ? AND p.name = n.id AND p.kind = ? AND p.spelled = ? AND p.version = ? AND p.build = ?
"""


class _CondaName(msgspec.Struct):
    name: str
    version: str
    build: str


class _WheelName(msgspec.Struct):
    name: str
    version: str


class _JarName(_WheelName):
    group: str


class _LockedNames(msgspec.Struct):
    """The names and versions in a lock's body, without its large records."""

    conda: tuple[_CondaName, ...] = ()
    wheels: tuple[_WheelName, ...] = ()
    jars: tuple[_JarName, ...] = ()
    r: tuple[_WheelName, ...] = ()


_BODY = msgspec.json.Decoder(_LockedNames)


def packages_of(lock: Lock | _LockedNames) -> list[PackageVersion]:
    """Return the packages of a lock, each once. A name that can't be normalised stays as it is."""
    conda = (
        PackageVersion(kind="conda", name=one.name.lower(), version=one.version, build=one.build) for one in lock.conda
    )
    wheels = (
        PackageVersion(kind="pip", name=normalise_name(wheel.name), version=wheel.version) for wheel in lock.wheels
    )
    jars = (PackageVersion(kind="jar", name=f"{jar.group}:{jar.name}", version=jar.version) for jar in lock.jars)
    r = (PackageVersion(kind="r", name=package.name, version=package.version) for package in lock.r)
    return list(dict.fromkeys([*conda, *wheels, *jars, *r]))


def add_contents(connection: sqlite3.Connection, lock_id: int, lock: Lock | _LockedNames) -> None:
    """Record the packages of a lock that was just stored. Most of them are known from other locks."""
    packages = packages_of(lock)
    names = [normalise_name(package.name) for package in packages]
    count = Counter(names)
    rows = [
        (lock_id >> SPAN_BITS, lock_id, count[name] > 1, name, each.kind, each.name, each.version, each.build)
        for each, name in zip(packages, names, strict=True)
    ]
    cursor = connection.cursor()  # one for all statements: creating a cursor takes as long as using it
    new = [row for row in rows if cursor.execute(_ADD_CONTENT, row).rowcount == 0]
    cursor.executemany(_ADD_NAME, [(row[3],) for row in new])
    cursor.executemany(_ADD_PACKAGE, [(*row[4:], row[3]) for row in new])
    cursor.executemany(_ADD_CONTENT, new)


def delete_contents(connection: sqlite3.Connection, lock_id: int) -> None:
    """Delete what is recorded of the packages of a lock to which nothing refers, and which is about to be deleted."""
    connection.execute("DELETE FROM contents WHERE span = ? AND lock = ?", (lock_id >> SPAN_BITS, lock_id))
    connection.execute("DELETE FROM lock_uses WHERE lock = ?", (lock_id,))


def fill_contents(connection: sqlite3.Connection) -> None:
    """Record the packages of all locks: the part of the migration to schema 5 for locks stored before it."""
    for row in connection.execute("SELECT id, body FROM locks ORDER BY id"):
        add_contents(connection, row["id"], _BODY.decode(zlib.decompress(row["body"])))
