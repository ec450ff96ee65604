"""Which environments, generations, images, prefixes and runs hold a package. Each function reads one snapshot.

All of it is by lock: ``contents`` gives the locks (newest first), ``lock_uses`` has what refers to each lock counted,
and rows are fetched only for as many as are listed. A package that every lock holds costs one pass over small rows for
the counts, one for the environments (a version counts once, however many of its generations hold the package).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from roost.store.index_packages import SPAN_BITS
from roost.store.pip_lines import normalise_name
from roost.store.records import KeptImage, Run
from roost.store.where_used import (
    EnvironmentUse,
    GenerationUse,
    ImageUse,
    Package,
    PrefixUse,
    RunUse,
    UseCounts,
    Uses,
)


class KnownPackage(NamedTuple):
    """A version of a package that is in some lock, by its number in the index."""

    id: int
    package: Package


def known_packages(connection: sqlite3.Connection, name: str) -> list[KnownPackage]:
    """All versions under that name, of both worlds, in the order in which they came."""
    rows = connection.execute(
        "SELECT p.* FROM package_names AS n JOIN packages AS p ON p.name = n.id WHERE n.name = ? ORDER BY p.id",
        (normalise_name(name),),
    )
    return [KnownPackage(row["id"], _package(row)) for row in rows]


def where_used(connection: sqlite3.Connection, name: str, ids: Sequence[int], limit: int) -> Uses:
    """What holds one of these packages (``KnownPackage.id``) of that name, ``limit`` of each kind listed."""
    row = connection.execute("SELECT id FROM package_names WHERE name = ?", (normalise_name(name),)).fetchone()
    if row is None or not ids:
        return Uses()
    return _Search(connection, int(row["id"]), ids).uses(limit)


class _Search:
    """One search on one snapshot; what a lock was found to hold is remembered, since several lists name it."""

    def __init__(self, connection: sqlite3.Connection, name: int, ids: Sequence[int]) -> None:
        self._connection = connection
        self._known: dict[int, tuple[Package, ...]] = {}
        among = ", ".join(str(int(each)) for each in ids)
        # CROSS JOIN keeps SQLite to this order. The newest span is first, and its newest lock.
        self._found = f"""
            WITH RECURSIVE spans (span) AS (
                SELECT max(lock) >> {SPAN_BITS} FROM lock_uses UNION ALL SELECT span - 1 FROM spans WHERE span > 0
            ), found (lock) AS (
                SELECT c.lock FROM spans CROSS JOIN contents AS c ON c.span = spans.span
                WHERE c.name = {name} AND c.package IN ({among}) AND (NOT c.several OR NOT EXISTS (
                    SELECT 1 FROM contents AS o WHERE o.span = c.span AND o.name = c.name AND o.lock = c.lock
                        AND o.package < c.package AND o.package IN ({among})
                ))
            )
        """
        self._holds = f"""
            (SELECT 1 FROM contents AS c WHERE c.span = u.lock >> {SPAN_BITS} AND c.name = {name} AND c.lock = u.lock
                AND c.package IN ({among}))
        """
        self._of_lock = f"""
            SELECT p.* FROM contents AS c JOIN packages AS p ON p.id = c.package
            WHERE c.span = :lock >> {SPAN_BITS} AND c.name = {name} AND c.lock = :lock AND c.package IN ({among})
            ORDER BY p.kind, p.id
        """

    def uses(self, limit: int) -> Uses:
        counts = self._counts()
        return Uses(
            counts=counts,
            environments=tuple(self._environments(min(limit, counts.environments))),
            generations=tuple(self._generations(min(limit, counts.generations))),
            images=tuple(self._images(min(limit, counts.images))),
            prefixes=tuple(self._prefixes(min(limit, counts.prefixes))),
            runs=tuple(self._runs(min(limit, counts.runs))),
        )

    def _counts(self) -> UseCounts:
        sums = ("generations", "current", "images", "prefixes", "runs")
        columns = ", ".join(f"coalesce(sum({each}), 0) AS {each}" for each in sums)
        query = f"{self._found} SELECT count(*) AS locks, {columns} FROM found CROSS JOIN lock_uses USING (lock)"
        row = self._connection.execute(query).fetchone()
        fields = {key: row[key] for key in ("locks", "generations", "images", "prefixes", "runs")}
        return UseCounts(environments=self._count_versions(), current_generations=row["current"], **fields)

    def _count_versions(self) -> int:
        bodies = "SELECT b.body FROM found CROSS JOIN lock_bodies AS b USING (lock)"
        query = f"{self._found} SELECT count(*) FROM versions WHERE body IN ({bodies})"
        found: int = self._connection.execute(query).fetchone()[0]
        return found

    def _environments(self, limit: int) -> Iterator[EnvironmentUse]:
        query = f"""
            {self._found}
            SELECT found.lock, e.name, v.version, v.archived OR e.archived AS archived, b.definition_digest
            FROM found CROSS JOIN lock_bodies AS l USING (lock) CROSS JOIN bodies AS b ON b.id = l.body
            CROSS JOIN versions AS v ON v.body = b.id CROSS JOIN environments AS e ON e.id = v.environment
        """
        seen: set[tuple[str, int]] = set()
        for row in self._rows(query, limit):
            if len(seen) == limit:
                break
            if (row["name"], row["version"]) not in seen:
                seen.add((row["name"], row["version"]))
                yield self._environment(row)

    def _environment(self, row: sqlite3.Row) -> EnvironmentUse:
        current = self._current(row["definition_digest"])
        return EnvironmentUse(
            name=row["name"],
            version=row["version"],
            archived=bool(row["archived"]),
            current=bool(current),
            packages=current or self._packages(row["lock"]),
        )

    def _current(self, definition_digest: str) -> tuple[Package, ...]:
        """What the current generations of a definition hold, on all platforms."""
        rows = self._connection.execute(
            "SELECT l.id FROM generations AS g JOIN locks AS l ON l.digest = g.lock_digest "
            "WHERE g.definition_digest = ? AND g.current = 1 ORDER BY g.platform",
            (definition_digest,),
        ).fetchall()
        return tuple(dict.fromkeys(package for row in rows for package in self._packages(row["id"])))

    def _generations(self, limit: int) -> Iterator[GenerationUse]:
        query = f"""
            {self._found} SELECT found.lock, g.* FROM found CROSS JOIN locks AS l ON l.id = found.lock
            CROSS JOIN generations AS g ON g.lock_digest = l.digest LIMIT {limit}
        """
        for row in self._rows(query, limit):
            yield GenerationUse(
                definition_digest=row["definition_digest"],
                platform=row["platform"],
                number=row["number"],
                current=bool(row["current"]),
                lock_digest=row["lock_digest"],
                created=row["created"],
                packages=self._packages(row["lock"]),
            )

    def _images(self, limit: int) -> Iterator[ImageUse]:
        query = f"""
            SELECT u.lock, i.record FROM lock_uses AS u INDEXED BY lock_uses_images
            CROSS JOIN locks AS l ON l.id = u.lock CROSS JOIN images AS i ON i.lock_digest = l.digest
            WHERE u.images > 0 AND EXISTS {self._holds} ORDER BY u.lock DESC LIMIT {limit}
        """
        for row in self._rows(query, limit):
            image = msgspec.json.decode(row["record"], type=KeptImage)
            yield ImageUse(
                key=image.key,
                name=image.name,
                config_digest=image.config_digest,
                lock_digest=image.lock_digest,
                places=tuple(image.places),
                packages=self._packages(row["lock"]),
            )

    def _prefixes(self, limit: int) -> Iterator[PrefixUse]:
        query = f"""
            SELECT u.lock, a.id, a.path, a.key, a.last_used FROM lock_uses AS u INDEXED BY lock_uses_prefixes
            CROSS JOIN locks AS l ON l.id = u.lock
            CROSS JOIN artifacts AS a ON a.kind = 'prefix' AND a.key = l.digest AND a.state = 'ready'
            WHERE u.prefixes > 0 AND EXISTS {self._holds} ORDER BY u.lock DESC LIMIT {limit}
        """
        for row in self._rows(query, limit):
            yield PrefixUse(
                id=row["id"],
                path=row["path"],
                lock_digest=row["key"],
                last_used=row["last_used"],
                packages=self._packages(row["lock"]),
            )

    def _runs(self, limit: int) -> Iterator[RunUse]:
        query = f"""
            {self._found} SELECT found.lock, r.record FROM found CROSS JOIN lock_uses AS u USING (lock)
            CROSS JOIN locks AS l ON l.id = found.lock CROSS JOIN runs AS r ON r.lock_digest = l.digest
            WHERE u.runs > 0 LIMIT {limit}
        """
        for row in self._rows(query, limit):
            run = msgspec.json.decode(row["record"], type=Run)
            yield RunUse(
                id=run.id,
                state=run.state,
                environment=_reference(run),
                command=run.command,
                created=run.created,
                lock_digest=run.lock_digest or "",
                packages=self._packages(row["lock"]),
            )

    def _rows(self, query: str, limit: int) -> Iterator[sqlite3.Row]:
        """Row by row; where nothing is wanted, no search that would go through all locks in vain."""
        return iter(self._connection.execute(query)) if limit else iter(())

    def _packages(self, lock: int) -> tuple[Package, ...]:
        if lock not in self._known:
            rows = self._connection.execute(self._of_lock, {"lock": lock})
            self._known[lock] = tuple(_package(row) for row in rows)
        return self._known[lock]


def _package(row: sqlite3.Row) -> Package:
    return Package(kind=row["kind"], name=row["spelled"], version=row["version"], build=row["build"])


def _reference(run: Run) -> str | None:
    return f"{run.environment_name}:{run.environment_version}" if run.environment_name else None
