"""Which environments, generations, images, prefixes and runs hold a package. Each function reads one snapshot.

Lists come a page at a time. A place in one is the number of a lock and what tells rows of that lock apart, so that what
comes or goes meanwhile moves nothing else.

All of it is by lock: ``contents`` gives the locks that hold it, ``lock_uses`` has what refers to each lock counted, and
rows are fetched only for as many as are listed. So a package that every lock holds costs one pass over small rows. Only
environments need more, where a definition has several locks: a version counts once, in however many of them it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from roost.model.errors import InvalidRequestError
from roost.model.package_uses import (
    EnvironmentUse,
    GenerationUse,
    ImageUse,
    Package,
    PrefixUse,
    RunUse,
    UseCounts,
    UseKind,
    UsePage,
    Uses,
)
from roost.model.records import HOST_SCOPE, ImageRecord, RunRecord
from roost.model.syntax.pip_lines import normalise_name
from roost.store.disk.lease_files import latest_use
from roost.store.index.packages import SPAN_BITS
from roost.store.index.queries import Queries, Read, Scan

_SPANS = f"""
    WITH RECURSIVE spans (span) AS (
        SELECT 0 UNION ALL SELECT span + 1 FROM spans WHERE span < (SELECT max(lock) >> {SPAN_BITS} FROM lock_uses)
    )
"""
_COUNTED = ("generations", "current", "images", "prefixes", "runs", "versions", "shared")
Place = tuple[int | str, ...]
_KEYS: dict[UseKind, tuple[str, ...]] = {
    "environments": ("v.environment", "v.version"),
    "generations": ("g.definition_digest", "g.platform", "g.number"),
    "images": ("i.key",),
    "prefixes": ("a.id",),
    "runs": ("r.number",),
}
"""What tells rows of one lock apart; by it the last come first, as locks do."""
_OF_FEW = ("images", "prefixes")
"""Few locks have any: the search begins there, and not with the locks that hold the package."""
_ROWS: dict[UseKind, tuple[str, str]] = {
    "environments": (
        "e.name, v.version, v.archived OR e.archived AS archived, b.definition_digest",
        "contents AS c CROSS JOIN lock_bodies AS l USING (lock) CROSS JOIN bodies AS b ON b.id = l.body "
        "CROSS JOIN versions AS v ON v.body = b.id CROSS JOIN environments AS e ON e.id = v.environment",
    ),
    "generations": (
        "g.*",
        "contents AS c CROSS JOIN locks AS l ON l.id = c.lock CROSS JOIN generations AS g ON g.lock_digest = l.digest",
    ),
    "images": (
        "i.record",
        "lock_uses AS u INDEXED BY lock_uses_images CROSS JOIN locks AS l ON l.id = u.lock "
        "CROSS JOIN images AS i ON i.lock_digest = l.digest",
    ),
    "prefixes": (
        "a.id, a.path, a.key, a.last_used, a.lease_path",
        "lock_uses AS u INDEXED BY lock_uses_prefixes CROSS JOIN locks AS l ON l.id = u.lock "
        "CROSS JOIN artifacts AS a ON a.kind = 'prefix' AND a.key = l.digest AND a.state = 'ready'",
    ),
    "runs": (
        "r.record",
        "contents AS c CROSS JOIN lock_uses AS u USING (lock) CROSS JOIN locks AS l ON l.id = c.lock "
        "CROSS JOIN runs AS r ON r.lock_digest = l.digest",
    ),
}
"""Columns and tables. CROSS JOIN keeps SQLite to this order, from the newest lock on."""


class PlaceInvalidError(InvalidRequestError):
    """A list can't go on where it was asked to."""

    code = "place-invalid"


class KnownPackage(NamedTuple):
    """A version of a package that is in some lock, by its number in the index."""

    id: int
    package: Package


def list_package_versions(connection: sqlite3.Connection, name: str) -> list[KnownPackage]:
    """All versions under that name, of both worlds, in the order in which they came."""
    rows = connection.execute(
        "SELECT p.* FROM package_names AS n JOIN packages AS p ON p.name = n.id WHERE n.name = ? ORDER BY p.id",
        (normalise_name(name),),
    )
    return [KnownPackage(row["id"], _package(row)) for row in rows]


def find_uses(
    connection: sqlite3.Connection, name: str, ids: Sequence[int], limit: int = 100, part: UsePage | None = None
) -> Uses:
    """What holds one of these packages (``KnownPackage.id``) of that name, ``limit`` of each kind listed; or one more
    ``part`` of a kind. Raises PlaceInvalidError."""
    place = _place(part) if part is not None else None
    row = connection.execute("SELECT id FROM package_names WHERE name = ?", (normalise_name(name),)).fetchone()
    if row is None or not ids:
        return Uses(counts=UseCounts() if part is None else None)
    search = _Search(connection, int(row["id"]), ids)
    return search.uses(limit) if part is None else search.part(part.kind, place, limit)


def _place(part: UsePage) -> Place:
    try:
        place = msgspec.json.decode(part.before, type=Place)
    except msgspec.DecodeError:
        place = ()
    if len(place) != len(_KEYS[part.kind]) + 1 or not all(map(_is_kept, place)) or not isinstance(place[0], int):
        raise PlaceInvalidError(
            f"{part.before!r} is no place in a list of {part.kind}", hint="Send what 'next' of an answer has."
        )
    return place


def _is_kept(value: int | str) -> bool:
    return isinstance(value, str) or 0 <= value < 2**63


class _Search:
    """One search on one snapshot; what a lock was found to hold is remembered, since several lists name it."""

    def __init__(self, connection: sqlite3.Connection, name: int, ids: Sequence[int]) -> None:
        self._connection = connection
        self._known: dict[int, tuple[Package, ...]] = {}
        among = self._among(name, ids)
        self._spans = self._spans_of(name)
        # A lock that holds several packages of the name is found by the first of those that are meant.
        self._meant = f"""
            c.name = {name} {among.format("c")} AND (NOT c.several OR NOT EXISTS (
                SELECT 1 FROM contents AS o WHERE o.span = c.span AND o.name = c.name AND o.lock = c.lock
                    AND o.package < c.package {among.format("o")}
            ))
        """
        # CROSS JOIN keeps SQLite to this order: upwards, since from one row of `lock_uses` the next one is near.
        self._found = f"""
            {_SPANS}, found (lock) AS (
                SELECT c.lock FROM spans CROSS JOIN contents AS c ON c.span = spans.span WHERE {self._meant}
            )
        """
        self._of_lock = f"""
            SELECT p.* FROM contents AS c JOIN packages AS p ON p.id = c.package
            WHERE c.span = :lock >> {SPAN_BITS} AND c.name = {name} AND c.lock = :lock {among.format("c")}
            ORDER BY p.kind, p.id
        """
        self._holds = f"""
            EXISTS (SELECT 1 FROM contents AS c WHERE c.span = {{0}}.lock >> {SPAN_BITS} AND c.name = {name}
                AND c.lock = {{0}}.lock {among.format("c")})
        """

    def _spans_of(self, name: int) -> list[int]:
        """Those with a lock that holds any package of that name, the newest first."""
        query = f"""
            {_SPANS} SELECT span FROM spans
            WHERE EXISTS (SELECT 1 FROM contents AS c WHERE c.span = spans.span AND c.name = ?) ORDER BY span DESC
        """
        return [row["span"] for row in self._connection.execute(query, (name,))]

    def _among(self, name: int, ids: Sequence[int]) -> str:
        """The condition that a row's package is one of ``ids``; none where all packages of that name are."""
        whole: int = self._connection.execute("SELECT count(*) FROM packages WHERE name = ?", (name,)).fetchone()[0]
        return "" if len(ids) == whole else f"AND {{}}.package IN ({', '.join(str(int(each)) for each in ids)})"

    def uses(self, limit: int) -> Uses:
        """All counted, and the first of each kind."""
        counts = self._counts()
        pages = {kind: self._page(kind, None, limit, getattr(counts, kind)) for kind in _KEYS}
        return Uses(
            counts=counts,
            next={kind: following for kind, (_, following) in pages.items() if following is not None},
            **{kind: rows for kind, (rows, _) in pages.items()},
        )

    def part(self, kind: UseKind, place: Place | None, limit: int) -> Uses:
        """Those of one kind that come after a place."""
        rows, following = self._page(kind, place, limit, limit + 1)
        return Uses(counts=None, next={kind: following} if following is not None else {}, **{kind: rows})

    def _page(self, kind: UseKind, place: Place | None, limit: int, there: int) -> tuple[tuple[Any, ...], str | None]:
        """Rows, and where the next page begins; ``there``: how many there are at most."""
        rows = list(islice(self._rows(kind, place, min(limit + 1, there)), min(limit + 1, there)))
        shown = rows[:limit]
        made = tuple(getattr(self, f"_of_{kind}")(row) for row in shown)
        if len(rows) <= limit or not shown:
            return made, None
        last = shown[-1]
        following = (last["lock"], *(last[f"key{number}"] for number in range(len(_KEYS[kind]))))
        return made, msgspec.json.encode(following).decode()

    def _rows(self, kind: UseKind, place: Place | None, limit: int) -> Iterator[sqlite3.Row]:
        """Those of the newest locks first; where none is wanted, no search through all spans in vain."""
        query, at = self._query(kind, place, limit), {f"at{n}": value for n, value in enumerate(place or ())}
        if kind in _OF_FEW:
            yield from self._connection.execute(query, at)
            return
        for span in self._spans if limit else ():
            if place is None or span <= int(place[0]) >> SPAN_BITS:
                yield from self._connection.execute(query, {"span": span, **at})

    def _query(self, kind: UseKind, place: Place | None, limit: int) -> str:
        columns, tables = _ROWS[kind]
        order = ("u.lock" if kind in _OF_FEW else "c.lock", *_KEYS[kind])
        keys = ", ".join(f"{key} AS key{number}" for number, key in enumerate(order[1:]))
        after = f"({', '.join(order)}) < ({', '.join(f':at{number}' for number in range(len(order)))})"
        return f"""
            SELECT {order[0]} AS lock, {keys}, {columns} FROM {tables} WHERE {self._condition(kind)}
            {f"AND {order[0]} <= :at0 AND {after}" if place is not None else ""}
            ORDER BY {", ".join(f"{each} DESC" for each in order)} LIMIT {limit}
        """

    def _condition(self, kind: UseKind) -> str:
        if kind in _OF_FEW:
            return f"u.{kind} > 0 AND {self._holds.format('u')}"
        found = f"c.span = :span AND {self._meant}"
        if kind == "environments":  # a version is told once, with the newest of its locks that hold it
            return f"""
                {found} AND (l.alone OR NOT EXISTS (SELECT 1 FROM lock_bodies AS n
                    WHERE n.body = l.body AND n.lock > c.lock AND {self._holds.format("n")}))
            """
        return f"{found} AND u.runs > 0" if kind == "runs" else found

    def _counts(self) -> UseCounts:
        columns = ", ".join(f"coalesce(sum({each}), 0) AS {each}" for each in _COUNTED)
        query = f"{self._found} SELECT count(*) AS locks, {columns} FROM found CROSS JOIN lock_uses USING (lock)"
        row = self._connection.execute(query).fetchone()
        return UseCounts(
            locks=row["locks"],
            environments=row["versions"] + (self._shared_versions() if row["shared"] else 0),
            generations=row["generations"],
            current_generations=row["current"],
            images=row["images"],
            prefixes=row["prefixes"],
            runs=row["runs"],
        )

    def _shared_versions(self) -> int:
        """Versions whose definition has several locks: those with any of them among the found ones."""
        bodies = "SELECT b.body FROM found CROSS JOIN lock_bodies AS b USING (lock) WHERE NOT b.alone"
        query = f"{self._found} SELECT count(*) FROM versions WHERE body IN ({bodies})"
        found: int = self._connection.execute(query).fetchone()[0]
        return found

    def _of_environments(self, row: sqlite3.Row) -> EnvironmentUse:
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

    def _of_generations(self, row: sqlite3.Row) -> GenerationUse:
        return GenerationUse(
            definition_digest=row["definition_digest"],
            platform=row["platform"].removesuffix(HOST_SCOPE),
            host=row["platform"].endswith(HOST_SCOPE),
            number=row["number"],
            current=bool(row["current"]),
            lock_digest=row["lock_digest"],
            created=row["created"],
            packages=self._packages(row["lock"]),
        )

    def _of_images(self, row: sqlite3.Row) -> ImageUse:
        image = msgspec.json.decode(row["record"], type=ImageRecord)
        return ImageUse(
            key=image.key,
            name=image.name,
            config_digest=image.config_digest,
            lock_digest=image.lock_digest,
            registry_references=tuple(image.registry_digests),
            packages=self._packages(row["lock"]),
        )

    def _of_prefixes(self, row: sqlite3.Row) -> PrefixUse:
        return PrefixUse(
            id=row["id"],
            path=row["path"],
            lock_digest=row["key"],
            last_used=latest_use(row["last_used"], row["lease_path"]),
            packages=self._packages(row["lock"]),
        )

    def _of_runs(self, row: sqlite3.Row) -> RunUse:
        run = msgspec.json.decode(row["record"], type=RunRecord)
        return RunUse(
            id=run.id,
            state=run.state,
            environment=_reference(run),
            command=run.command,
            created=run.created,
            lock_digest=run.lock_digest or "",
            packages=self._packages(row["lock"]),
        )

    def _packages(self, lock: int) -> tuple[Package, ...]:
        if lock not in self._known:
            rows = self._connection.execute(self._of_lock, {"lock": lock})
            self._known[lock] = tuple(_package(row) for row in rows)
        return self._known[lock]


def _package(row: sqlite3.Row) -> Package:
    return Package(kind=row["kind"], name=row["spelled"], version=row["version"], build=row["build"])


def _reference(run: RunRecord) -> str | None:
    return f"{run.environment_name}:{run.environment_version}" if run.environment_name else None


class PackageTable(Queries):
    """``index.packages``: the packages that locks hold."""

    list_versions = Read(list_package_versions)
    find_uses = Scan(find_uses)
