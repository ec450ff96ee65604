"""Which locks hold which packages: written in the transaction that keeps a lock, so that it never differs from them.

``contents`` has one row for each lock and package, ``package_names`` and ``packages`` the names and versions once. Its
key begins with the lock's *span*, the lock's number divided by 128: keeping a lock touches the few pages of its span,
where a key that begins with the package would touch one page for each package; a search looks into every span once.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter

import msgspec

from roost.model.locks.lock import Lock
from roost.model.package_uses import Package
from roost.model.syntax.pip_lines import normalise_name

SPAN_BITS = 7
"""A span is 2 to this power locks, by their numbers."""

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


class _CondaNames(msgspec.Struct):
    name: str
    version: str
    build: str


class _WheelNames(msgspec.Struct):
    name: str
    version: str


class _Names(msgspec.Struct):
    """Of a lock's body what is needed here: its records are large."""

    conda: tuple[_CondaNames, ...] = ()
    wheels: tuple[_WheelNames, ...] = ()


_BODY = msgspec.json.Decoder(_Names)


def packages_of(lock: Lock | _Names) -> list[Package]:
    """The packages of a lock, each once. A name that is no longer a name when it is normalised stays as it is."""
    conda = (
        Package(kind="conda", name=each.name.lower(), version=each.version, build=each.build) for each in lock.conda
    )
    wheels = (Package(kind="pip", name=normalise_name(each.name), version=each.version) for each in lock.wheels)
    return list(dict.fromkeys([*conda, *wheels]))


def add_contents(connection: sqlite3.Connection, lock_id: int, lock: Lock | _Names) -> None:
    """Note what a lock that was just kept holds. Most of its packages are known from other locks."""
    packages = packages_of(lock)
    names = [normalise_name(package.name) for package in packages]
    count = Counter(names)
    rows = [
        (lock_id >> SPAN_BITS, lock_id, count[name] > 1, name, each.kind, each.name, each.version, each.build)
        for each, name in zip(packages, names, strict=True)
    ]
    cursor = connection.cursor()  # one for all: making them takes as long as using them
    new = [row for row in rows if cursor.execute(_ADD_CONTENT, row).rowcount == 0]
    cursor.executemany(_ADD_NAME, [(row[3],) for row in new])
    cursor.executemany(_ADD_PACKAGE, [(*row[4:], row[3]) for row in new])
    cursor.executemany(_ADD_CONTENT, new)


def fill_contents(connection: sqlite3.Connection) -> None:
    """Note what all locks hold: the rest of the migration to schema 5, for locks that were kept before it."""
    for row in connection.execute("SELECT id, body FROM locks ORDER BY id"):
        add_contents(connection, row["id"], _BODY.decode(zlib.decompress(row["body"])))
