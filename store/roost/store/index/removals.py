"""Removal of versions of environments. Each function is (part of) one transaction.

What is removed is the name: a version's number, its labels, and its content if no other version has that. Definitions,
locks, generations and artifacts stay as long as anything else needs them, so that runs can be repeated. The number is
recorded in ``removed_versions``, and no other content ever gets it; a removal that an older copy of the index does not
know is not undone when an index is rebuilt from that copy (``rebuild.filling``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from roost.model.errors import CodedError
from roost.model.names import VersionReference
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index.tables.environments import EnvironmentUnknownError, find_latest_visible, get_version

MOST_RUNS = 5
"""Ids of runs that a refusal names; the others are counted."""
_RUNS = """
    FROM run_facts AS f JOIN runs AS r ON r.number = f.number
    JOIN versions AS v ON v.environment = :environment AND v.version = f.version
    WHERE f.environment = :name AND (:version IS NULL OR f.version = :version)
"""


class VersionInUseError(CodedError):
    """Runs or labels refer to a version that is to be removed."""

    code = "version-in-use"
    http_status = 409


class RemovedVersions(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed of one environment."""

    name: str
    versions: tuple[int, ...]
    labels: tuple[str, ...]
    runs: int
    """Number of runs that still name one of them."""
    definitions: tuple[str, ...]
    """Digests of their definitions."""
    latest: int | None
    """The latest version that is left; ``None`` if none is left that is not archived."""


def remove_versions(
    connection: sqlite3.Connection, name: str, version: int | None, *, force: bool = False
) -> RemovedVersions:
    """Remove a version; all versions of ``name``, and the name, if ``version`` is ``None``.

    Raises:
        EnvironmentUnknownError: there is no such environment or version.
        VersionInUseError: runs or labels refer to one of them, without ``force``.
    """
    reference = VersionReference(name=name, version=version)
    if version is not None:
        get_version(connection, reference)
    row = connection.execute("SELECT id FROM environments WHERE name = ?", (name,)).fetchone()
    if row is None:
        get_version(connection, reference)  # raises with what there is instead
        raise EnvironmentUnknownError(f"No environment is registered as {name!r}")
    scope = {"environment": row["id"], "version": version, "name": name}
    labels = _list_labels(connection, scope)
    runs = int(connection.execute(f"SELECT count(*) {_RUNS}", scope).fetchone()[0])
    if (runs or labels) and not force:
        raise _describe_uses(connection, reference, scope, labels, runs)
    removed = connection.execute(
        "SELECT v.version, v.body, b.digest, b.definition_digest FROM versions AS v JOIN bodies AS b ON b.id = v.body "
        "WHERE v.environment = :environment AND (:version IS NULL OR v.version = :version) ORDER BY v.version",
        scope,
    ).fetchall()
    _delete_rows(connection, scope, removed)
    failpoint("remove-versions")
    return RemovedVersions(
        name=name,
        versions=tuple(each["version"] for each in removed),
        labels=labels,
        runs=runs,
        definitions=tuple(dict.fromkeys(each["definition_digest"] for each in removed)),
        latest=find_latest_visible(connection, row["id"]),
    )


def reserve_numbers(connection: sqlite3.Connection, lost: Iterable[str]) -> None:
    """Reserve the numbers of versions that were lost with an index: ``lost``, as ``NAME:VERSION``, and those that runs
    name. Their content is not known."""
    runs = "SELECT DISTINCT environment, version FROM run_facts WHERE environment <> '' AND version IS NOT NULL"
    named = [(row["environment"], row["version"]) for row in connection.execute(runs)]
    named += [(name, int(version)) for name, _, version in (each.rpartition(":") for each in lost)]
    connection.executemany(
        "INSERT INTO removed_versions (name, version, body, removed) SELECT :name, :version, '', :now WHERE NOT EXISTS "
        "(SELECT 1 FROM versions AS v JOIN environments AS e ON e.id = v.environment "
        "WHERE e.name = :name AND v.version = :version) ON CONFLICT (name, version) DO NOTHING",
        [{"name": name, "version": version, "now": utc_now()} for name, version in named],
    )


def _list_labels(connection: sqlite3.Connection, scope: dict[str, object]) -> tuple[str, ...]:
    query = "SELECT label FROM labels WHERE environment = :environment AND (:version IS NULL OR version = :version)"
    return tuple(sorted(row["label"] for row in connection.execute(query, scope)))


def _describe_uses(
    connection: sqlite3.Connection,
    reference: VersionReference,
    scope: dict[str, object],
    labels: Sequence[str],
    runs: int,
) -> VersionInUseError:
    query = f"SELECT r.id {_RUNS} ORDER BY r.number DESC LIMIT {MOST_RUNS}"
    ids = [row["id"] for row in connection.execute(query, scope)]
    more = f" and {runs - len(ids)} more" if runs > len(ids) else ""
    plural = len(labels) > 1
    uses = [f"{runs} run{'s'[runs == 1 :]} ({', '.join(ids)}{more})"] if runs else []
    uses += [f"the label{'s'[:plural]} {', '.join(labels)}"] if labels else []
    verb = "refer" if len(uses) > 1 or runs > 1 or (plural and not runs) else "refers"
    kept = "the runs keep their record and their lock" if runs else "the labels go with it"
    return VersionInUseError(
        f"{reference} was not removed: {' and '.join(uses)} {verb} to it",
        hint=f"`roost env remove {reference} --force` removes it all the same ({kept}); "
        f"`roost env archive {reference}` only hides it.",
        fields={"name": reference.name, "version": reference.version, "runs": runs, "labels": list(labels)},
    )


def _delete_rows(connection: sqlite3.Connection, scope: dict[str, object], removed: Sequence[sqlite3.Row]) -> None:
    environment = scope["environment"]
    chosen = "environment = :environment AND (:version IS NULL OR version = :version)"
    connection.execute(f"DELETE FROM labels WHERE {chosen}", scope)
    connection.execute(f"DELETE FROM versions WHERE {chosen}", scope)
    connection.executemany(
        "DELETE FROM bodies WHERE id = ? AND NOT EXISTS (SELECT 1 FROM versions WHERE body = bodies.id)",
        [(body,) for body in {row["body"] for row in removed}],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO removed_versions (name, version, body, removed) VALUES (?, ?, ?, ?)",
        [(scope["name"], row["version"], row["digest"], utc_now()) for row in removed],
    )
    empty = "id = ? AND NOT EXISTS (SELECT 1 FROM versions WHERE environment = environments.id)"
    connection.execute(f"DELETE FROM environments WHERE {empty}", (environment,))
