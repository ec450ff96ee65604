"""Which environments, generations, images, prefixes and runs hold a package. Each function reads one snapshot.

Lists come in pages. A position in a list (``Place``) is the number of a lock and the key of a row within that lock, so
that rows that are added or deleted meanwhile move no other row.

Everything goes by lock: ``contents`` has the locks that hold a package, ``lock_uses`` the counts of rows that refer to
each lock, and rows are fetched only as many as are listed. A package that every lock holds therefore costs one pass
over small rows. Environments need more if a definition has several locks: a version counts once, whichever number of
these locks holds the package.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from roost.model.errors import MALFORMED_JSON, InvalidRequestError
from roost.model.package_uses import (
    EnvironmentUse,
    GenerationUse,
    ImageUse,
    PackageVersion,
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
_COUNT_COLUMNS = ("generations", "current", "images", "prefixes", "runs", "versions", "shared")
Place = tuple[int | str, ...]
"""A position in a list: the number of a lock, then the values of the columns in ``_ROW_KEYS``."""
_ROW_KEYS: dict[UseKind, tuple[str, ...]] = {
    "environments": ("v.environment", "v.version"),
    "generations": ("g.definition_digest", "g.platform", "g.number"),
    "images": ("i.key",),
    "prefixes": ("a.id",),
    "runs": ("r.number",),
}
"""Columns that tell the rows of one lock apart; rows are in descending order of them, as locks are."""
_RARE_KINDS = ("images", "prefixes")
"""Kinds that few locks have: their search begins with those locks, not with the locks that hold the package."""
_QUERIES: dict[UseKind, tuple[str, str]] = {
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
"""Columns and tables of each kind. CROSS JOIN keeps SQLite to this order of tables, from the newest lock on."""


class PlaceInvalidError(InvalidRequestError):
    """The requested position in a list is not valid."""

    code = "place-invalid"


class KnownPackage(NamedTuple):
    """A version of a package that some lock holds, with its number in the index."""

    id: int
    package: PackageVersion


class HeldPackage(NamedTuple):
    """A version of a package that some generation holds."""

    package: PackageVersion
    purls: tuple[str, ...]
    """Package URLs in the record of a conda package: what else it is."""


class _CondaPurls(msgspec.Struct):
    """A conda package of a lock's body, without the rest of its record."""

    class Record(msgspec.Struct):
        purls: list[str] | None = None

    name: str
    version: str
    build: str
    record: Record = msgspec.field(default_factory=Record)


class _LockedPurls(msgspec.Struct):
    conda: tuple[_CondaPurls, ...] = ()


_PURLS = msgspec.json.Decoder(_LockedPurls)


def list_held_packages(connection: sqlite3.Connection, current: bool) -> list[HeldPackage]:
    """Return each version of each package that a generation holds, or a current one: by name and version.

    One pass over ``contents``. Package URLs are read from as few locks as hold all conda packages, the newest ones.
    """
    column = "current" if current else "generations"
    rows = connection.execute(
        f"SELECT p.*, max(c.lock) AS lock FROM contents AS c CROSS JOIN lock_uses AS u USING (lock) "
        f"CROSS JOIN packages AS p ON p.id = c.package WHERE u.{column} > 0 GROUP BY p.id ORDER BY p.spelled, p.id"
    ).fetchall()
    purls: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for lock in sorted({row["lock"] for row in rows if row["kind"] == "conda"}):
        body = connection.execute("SELECT body FROM locks WHERE id = ?", (lock,)).fetchone()["body"]
        for each in _PURLS.decode(zlib.decompress(body)).conda:
            purls[each.name.lower(), each.version, each.build] = tuple(each.record.purls or ())
    packages = map(_decode_package, rows)
    return [
        HeldPackage(each, purls.get((each.name, each.version, each.build), ()) if each.kind == "conda" else ())
        for each in packages
    ]


def list_package_versions(connection: sqlite3.Connection, name: str) -> list[KnownPackage]:
    """Return all versions of a package, of conda and of pip, in the order in which they were first stored.

    ``name`` may be any spelling that PEP 503 normalises to the same name.
    """
    rows = connection.execute(
        "SELECT p.* FROM package_names AS n JOIN packages AS p ON p.name = n.id WHERE n.name = ? ORDER BY p.id",
        (normalise_name(name),),
    )
    return [KnownPackage(row["id"], _decode_package(row)) for row in rows]


def find_uses(
    connection: sqlite3.Connection, name: str, ids: Sequence[int], limit: int = 100, part: UsePage | None = None
) -> Uses:
    """Return the uses of the packages of that name with one of ``ids`` (``KnownPackage.id``).

    Counts, and the first ``limit`` rows of each kind; with ``part``, one more page of one kind instead.

    Raises:
        PlaceInvalidError: ``part`` has an invalid position.
    """
    place = _decode_place(part) if part is not None else None
    row = connection.execute("SELECT id FROM package_names WHERE name = ?", (normalise_name(name),)).fetchone()
    if row is None or not ids:
        return Uses(counts=UseCounts() if part is None else None)
    search = _Search(connection, int(row["id"]), ids)
    return search.find_all(limit) if part is None else search.find_page(part.kind, place, limit)


def _decode_place(part: UsePage) -> Place:
    try:
        place = msgspec.json.decode(part.before, type=Place)
    except MALFORMED_JSON:
        place = ()
    if (
        len(place) != len(_ROW_KEYS[part.kind]) + 1
        or not all(map(_fits_sqlite, place))
        or not isinstance(place[0], int)
    ):
        raise PlaceInvalidError(
            f"{part.before!r} is not a valid position in a list of {part.kind}",
            hint="Send the value of 'next' from an answer.",
        )
    return place


def _fits_sqlite(value: int | str) -> bool:
    """Return whether SQLite can compare the value: its integers are signed and have 64 bits."""
    return isinstance(value, str) or 0 <= value < 2**63


class _Search:
    """One search on one snapshot. Packages found in a lock are cached, since several lists name them."""

    def __init__(self, connection: sqlite3.Connection, name: int, ids: Sequence[int]) -> None:
        self._connection = connection
        self._decoders: dict[UseKind, Callable[[sqlite3.Row], Any]] = {
            "environments": self._environment_use,
            "generations": self._generation_use,
            "images": self._image_use,
            "prefixes": self._prefix_use,
            "runs": self._run_use,
        }
        self._packages_by_lock: dict[int, tuple[PackageVersion, ...]] = {}
        id_condition = self._id_condition(name, ids)
        self._spans = self._list_spans(name)
        # A lock that holds several of the packages is found by the first one only.
        self._match_condition = f"""
            c.name = {name} {id_condition.format("c")} AND (NOT c.several OR NOT EXISTS (
                SELECT 1 FROM contents AS o WHERE o.span = c.span AND o.name = c.name AND o.lock = c.lock
                    AND o.package < c.package {id_condition.format("o")}
            ))
        """
        # CROSS JOIN keeps SQLite to this order, upwards by lock: consecutive rows of `lock_uses` are near each other.
        self._with_locks = f"""
            {_SPANS}, found (lock) AS (
                SELECT c.lock FROM spans CROSS JOIN contents AS c ON c.span = spans.span WHERE {self._match_condition}
            )
        """
        self._select_packages = f"""
            SELECT p.* FROM contents AS c JOIN packages AS p ON p.id = c.package
            WHERE c.span = :lock >> {SPAN_BITS} AND c.name = {name} AND c.lock = :lock {id_condition.format("c")}
            ORDER BY p.kind, p.id
        """
        self._lock_holds = f"""
            EXISTS (SELECT 1 FROM contents AS c WHERE c.span = {{0}}.lock >> {SPAN_BITS} AND c.name = {name}
                AND c.lock = {{0}}.lock {id_condition.format("c")})
        """

    def _list_spans(self, name: int) -> list[int]:
        """Return the spans with a lock that holds any package of that name, the newest first."""
        query = f"""
            {_SPANS} SELECT span FROM spans
            WHERE EXISTS (SELECT 1 FROM contents AS c WHERE c.span = spans.span AND c.name = ?) ORDER BY span DESC
        """
        return [row["span"] for row in self._connection.execute(query, (name,))]

    def _id_condition(self, name: int, ids: Sequence[int]) -> str:
        """Return the condition that a row's package is one of ``ids``; empty if these are all packages of the name."""
        count: int = self._connection.execute("SELECT count(*) FROM packages WHERE name = ?", (name,)).fetchone()[0]
        return "" if len(ids) == count else f"AND {{}}.package IN ({', '.join(str(int(package)) for package in ids)})"

    def find_all(self, limit: int) -> Uses:
        """Return all counts, and the first rows of each kind."""
        counts = self._count_uses()
        pages = {kind: self._page(kind, None, limit, getattr(counts, kind)) for kind in _ROW_KEYS}
        return Uses(
            counts=counts,
            next={kind: following for kind, (_, following) in pages.items() if following is not None},
            **{kind: rows for kind, (rows, _) in pages.items()},
        )

    def find_page(self, kind: UseKind, place: Place | None, limit: int) -> Uses:
        """Return the rows of one kind after a position."""
        rows, following = self._page(kind, place, limit, limit + 1)
        return Uses(counts=None, next={kind: following} if following is not None else {}, **{kind: rows})

    def _page(self, kind: UseKind, place: Place | None, limit: int, total: int) -> tuple[tuple[Any, ...], str | None]:
        """Return up to ``limit`` rows and the position of the next page; there are at most ``total`` rows."""
        rows = list(islice(self._iterate_rows(kind, place, min(limit + 1, total)), min(limit + 1, total)))
        page = rows[:limit]
        uses = tuple(map(self._decoders[kind], page))
        if len(rows) <= limit or not page:
            return uses, None
        last = page[-1]
        following = (last["lock"], *(last[f"key{number}"] for number in range(len(_ROW_KEYS[kind]))))
        return uses, msgspec.json.encode(following).decode()

    def _iterate_rows(self, kind: UseKind, place: Place | None, limit: int) -> Iterator[sqlite3.Row]:
        """Yield the rows of the newest locks first. With a ``limit`` of 0 no span is searched."""
        query = self._build_query(kind, place, limit)
        position = {f"at{number}": value for number, value in enumerate(place or ())}
        if kind in _RARE_KINDS:
            yield from self._connection.execute(query, position)
            return
        for span in self._spans if limit else ():
            if place is None or span <= int(place[0]) >> SPAN_BITS:
                yield from self._connection.execute(query, {"span": span, **position})

    def _build_query(self, kind: UseKind, place: Place | None, limit: int) -> str:
        columns, tables = _QUERIES[kind]
        order = ("u.lock" if kind in _RARE_KINDS else "c.lock", *_ROW_KEYS[kind])
        keys = ", ".join(f"{key} AS key{number}" for number, key in enumerate(order[1:]))
        after = f"({', '.join(order)}) < ({', '.join(f':at{number}' for number in range(len(order)))})"
        return f"""
            SELECT {order[0]} AS lock, {keys}, {columns} FROM {tables} WHERE {self._condition(kind)}
            {f"AND {order[0]} <= :at0 AND {after}" if place is not None else ""}
            ORDER BY {", ".join(f"{column} DESC" for column in order)} LIMIT {limit}
        """

    def _condition(self, kind: UseKind) -> str:
        if kind in _RARE_KINDS:
            return f"u.{kind} > 0 AND {self._lock_holds.format('u')}"
        condition = f"c.span = :span AND {self._match_condition}"
        if kind == "environments":  # a version is listed once, with the newest of its locks that hold the package
            return f"""
                {condition} AND (l.alone OR NOT EXISTS (SELECT 1 FROM lock_bodies AS n
                    WHERE n.body = l.body AND n.lock > c.lock AND {self._lock_holds.format("n")}))
            """
        return f"{condition} AND u.runs > 0" if kind == "runs" else condition

    def _count_uses(self) -> UseCounts:
        columns = ", ".join(f"coalesce(sum({column}), 0) AS {column}" for column in _COUNT_COLUMNS)
        query = f"{self._with_locks} SELECT count(*) AS locks, {columns} FROM found CROSS JOIN lock_uses USING (lock)"
        row = self._connection.execute(query).fetchone()
        return UseCounts(
            locks=row["locks"],
            environments=row["versions"] + (self._count_shared_versions() if row["shared"] else 0),
            generations=row["generations"],
            current_generations=row["current"],
            images=row["images"],
            prefixes=row["prefixes"],
            runs=row["runs"],
        )

    def _count_shared_versions(self) -> int:
        """Count the versions whose definition has several locks, at least one of them among the found ones."""
        bodies = "SELECT b.body FROM found CROSS JOIN lock_bodies AS b USING (lock) WHERE NOT b.alone"
        query = f"{self._with_locks} SELECT count(*) FROM versions WHERE body IN ({bodies})"
        count: int = self._connection.execute(query).fetchone()[0]
        return count

    def _environment_use(self, row: sqlite3.Row) -> EnvironmentUse:
        current = self._current_packages(row["definition_digest"])
        return EnvironmentUse(
            name=row["name"],
            version=row["version"],
            archived=bool(row["archived"]),
            current=bool(current),
            packages=current or self._packages_of_lock(row["lock"]),
        )

    def _current_packages(self, definition_digest: str) -> tuple[PackageVersion, ...]:
        """Return the packages in the current generations of a definition, on all platforms."""
        rows = self._connection.execute(
            "SELECT l.id FROM generations AS g JOIN locks AS l ON l.digest = g.lock_digest "
            "WHERE g.definition_digest = ? AND g.current = 1 ORDER BY g.platform",
            (definition_digest,),
        ).fetchall()
        return tuple(dict.fromkeys(package for row in rows for package in self._packages_of_lock(row["id"])))

    def _generation_use(self, row: sqlite3.Row) -> GenerationUse:
        return GenerationUse(
            definition_digest=row["definition_digest"],
            platform=row["platform"].removesuffix(HOST_SCOPE),
            host=row["platform"].endswith(HOST_SCOPE),
            number=row["number"],
            current=bool(row["current"]),
            lock_digest=row["lock_digest"],
            created=row["created"],
            packages=self._packages_of_lock(row["lock"]),
        )

    def _image_use(self, row: sqlite3.Row) -> ImageUse:
        image = msgspec.json.decode(row["record"], type=ImageRecord)
        return ImageUse(
            key=image.key,
            name=image.name,
            config_digest=image.config_digest,
            lock_digest=image.lock_digest,
            registry_references=tuple(image.registry_digests),
            packages=self._packages_of_lock(row["lock"]),
        )

    def _prefix_use(self, row: sqlite3.Row) -> PrefixUse:
        return PrefixUse(
            id=row["id"],
            path=row["path"],
            lock_digest=row["key"],
            last_used=latest_use(row["last_used"], row["lease_path"]),
            packages=self._packages_of_lock(row["lock"]),
        )

    def _run_use(self, row: sqlite3.Row) -> RunUse:
        run = msgspec.json.decode(row["record"], type=RunRecord)
        return RunUse(
            id=run.id,
            state=run.state,
            environment=_environment_reference(run),
            command=run.command,
            created=run.created,
            lock_digest=run.lock_digest or "",
            packages=self._packages_of_lock(row["lock"]),
        )

    def _packages_of_lock(self, lock: int) -> tuple[PackageVersion, ...]:
        if lock not in self._packages_by_lock:
            rows = self._connection.execute(self._select_packages, {"lock": lock})
            self._packages_by_lock[lock] = tuple(_decode_package(row) for row in rows)
        return self._packages_by_lock[lock]


def _decode_package(row: sqlite3.Row) -> PackageVersion:
    return PackageVersion(kind=row["kind"], name=row["spelled"], version=row["version"], build=row["build"])


def _environment_reference(run: RunRecord) -> str | None:
    return f"{run.environment_name}:{run.environment_version}" if run.environment_name else None


class PackageTable(Queries):
    """``index.packages``: the packages that locks hold."""

    list_versions = Read(list_package_versions)
    list_held = Scan(list_held_packages)
    find_uses = Scan(find_uses)
