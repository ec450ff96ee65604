"""Which locks hold which packages: written in the transaction that keeps a lock, so that it never differs from them.

``contents`` has one row for each lock and package, ``package_names`` and ``packages`` the names and versions once. Its
key begins with the lock's *span*, the lock's number divided by 128: keeping a lock touches the few pages of its span,
where a key that begins with the package would touch one page for each package; a search looks into every span once.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from collections.abc import Mapping

import msgspec

from roost.store.lock import Lock
from roost.store.pip_lines import normalise_name
from roost.store.where_used import Package

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
    count = Counter(normalise_name(package.name) for package in packages)
    new = [package for package in packages if not _add_content(connection, lock_id, package, count)]
    names = [normalise_name(package.name) for package in new]
    connection.executemany(_ADD_NAME, [(name,) for name in names])
    connection.executemany(
        _ADD_PACKAGE, [(p.kind, p.name, p.version, p.build, name) for p, name in zip(new, names, strict=True)]
    )
    for package in new:
        _add_content(connection, lock_id, package, count)


def _add_content(connection: sqlite3.Connection, lock_id: int, package: Package, count: Mapping[str, int]) -> bool:
    """Whether the package was known, and so could be added."""
    name = normalise_name(package.name)
    row = (lock_id >> SPAN_BITS, lock_id, count[name] > 1, name)
    added = connection.execute(_ADD_CONTENT, (*row, package.kind, package.name, package.version, package.build))
    return added.rowcount > 0


def fill_contents(connection: sqlite3.Connection) -> None:
    """Note what all locks hold: the rest of the migration to schema 5, for locks that were kept before it."""
    for row in connection.execute("SELECT id, body FROM locks ORDER BY id"):
        add_contents(connection, row["id"], _BODY.decode(zlib.decompress(row["body"])))
