"""Named environments: versions, labels, archiving. Each function is (part of) one transaction.

A version never changes, except for its archived mark. The label ``latest`` is not stored: it is the highest version
that is not archived. Archived environments and versions are hidden from lists and from ``latest``; by number or label
they are found as before, because runs refer to them.
"""

from __future__ import annotations

import difflib
import sqlite3
import zlib
from collections.abc import Sequence

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.errors import CodedError, LookupFailedError
from roost.model.names import AZURE_PREFIX, CURATED_PREFIX, LATEST, VersionReference, find_counterpart
from roost.model.records import (
    CuratedFilter,
    EnvironmentBody,
    EnvironmentRow,
    EnvironmentVersion,
    NewVersion,
    RegistrationResult,
)
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.definitions import put_settings, record_sighting

_VERSION_COLUMNS = """
    e.id, e.name, v.version, b.definition_digest, b.settings_digest, v.created, v.kind, v.origin,
    v.archived OR e.archived AS archived,
    (SELECT group_concat(label, ' ') FROM labels AS l WHERE l.environment = e.id AND l.version = v.version) AS labels,
    v.version = (SELECT max(version) FROM versions AS n WHERE n.environment = e.id AND NOT n.archived) AS latest
"""
_SELECT_VERSION = f"""
    SELECT {_VERSION_COLUMNS} FROM versions AS v
    JOIN environments AS e ON e.id = v.environment JOIN bodies AS b ON b.id = v.body
"""
# Names tell curated environments apart, since nothing else may have such a name: rows are filtered before any join.
_IS_CURATED = f"e.name >= '{CURATED_PREFIX}' AND e.name < '{CURATED_PREFIX[:-1] + chr(ord(CURATED_PREFIX[-1]) + 1)}'"
_CURATED_FILTER = f"(:curated = 'with' OR (:curated = 'only') = ({_IS_CURATED}))"
# CROSS JOIN keeps SQLite to the order of names, so that it stops after the requested number of rows.
_SELECT_PAGE = f"""
    SELECT {_VERSION_COLUMNS},
        (SELECT count(*) FROM versions AS c WHERE c.environment = e.id AND (:all OR NOT c.archived)) AS versions
    FROM environments AS e CROSS JOIN versions AS v ON v.environment = e.id CROSS JOIN bodies AS b ON b.id = v.body
    WHERE e.name > :after AND {_CURATED_FILTER} AND (:all OR NOT e.archived) AND v.version =
        (SELECT max(version) FROM versions AS h WHERE h.environment = e.id AND (:all OR NOT h.archived))
    ORDER BY e.name LIMIT :limit
"""


class EnvironmentUnknownError(LookupFailedError):
    """There is no environment, version or label of that name."""

    code = "environment-unknown"


class VersionTakenError(CodedError):
    """A version of that number exists with other content."""

    code = "version-taken"
    http_status = 409


def register_version(connection: sqlite3.Connection, new: NewVersion) -> RegistrationResult:
    """Number ``new`` as the next version, unless a version of its name has the same content, and set its labels.

    Raises:
        VersionTakenError: ``new`` has a number that a version with other content has.
    """
    environment = _environment_id(connection, new.name, add=True)
    found = _find_existing_number(connection, environment, new)
    number = found if found is not None else _insert_version(connection, environment, new)
    if new.by_hand:
        connection.execute("UPDATE environments SET archived = 0 WHERE id = ? AND archived", (environment,))
        query = "UPDATE versions SET archived = 0 WHERE environment = ? AND version = ? AND archived"
        connection.execute(query, (environment, number))
    failpoint("register-version")
    for label in new.labels:
        _put_label(connection, environment, label, number)
    reference = VersionReference(name=new.name, version=number)
    return RegistrationResult(version=get_version(connection, reference), created=found is None)


def register_versions(connection: sqlite3.Connection, new: Sequence[NewVersion]) -> list[RegistrationResult]:
    """Register all of ``new``, or none of them if one raises."""
    return [register_version(connection, each) for each in new]


def find_same_version(
    connection: sqlite3.Connection, name: str, definition_digest: str, settings_digest: str
) -> EnvironmentVersion | None:
    """Return the newest version of that name with this definition and settings; archived ones come last."""
    row = connection.execute(
        _SELECT_VERSION + "WHERE e.name = ? AND b.definition_digest = ? AND b.settings_digest = ? "
        "ORDER BY v.archived, v.version DESC LIMIT 1",
        (name, definition_digest, settings_digest),
    ).fetchone()
    return _decode_version(row) if row else None


def _find_existing_number(connection: sqlite3.Connection, environment: int, new: NewVersion) -> int | None:
    """Return the number of the version with the same definition and settings, ``None`` if ``new`` is to be inserted."""
    rows = connection.execute(
        "SELECT v.version, v.archived FROM bodies AS b JOIN versions AS v ON v.body = b.id AND v.environment = ? "
        "WHERE b.definition_digest = ? AND b.settings_digest = ? ORDER BY v.archived, v.version DESC",
        (environment, new.definition_digest, new.settings_digest),
    ).fetchall()
    if new.number is not None:
        return _check_number(connection, environment, new, {row["version"] for row in rows})
    return int(rows[0]["version"]) if rows else None


def _check_number(connection: sqlite3.Connection, environment: int, new: NewVersion, same: set[int]) -> int | None:
    """Return ``new.number`` if one of the ``same`` versions has it, ``None`` if no version has it."""
    assert new.number is not None
    if new.number in same:
        return new.number
    taken = "SELECT 1 FROM versions WHERE environment = ? AND version = ?"
    state = "exists already"
    if connection.execute(taken, (environment, new.number)).fetchone() is None:
        removed = "SELECT body FROM removed_versions WHERE name = ? AND version = ?"
        row = connection.execute(removed, (new.name, new.number)).fetchone()
        if row is None or row["body"] in ("", digest_bytes(_encode_body(new))):
            return None
        state = "was removed, and existed"
    raise VersionTakenError(
        f"{new.name}:{new.number} {state} with another definition or other settings",
        hint="Versions never change: register the change without a number, as the next version.",
        fields={"name": new.name, "version": new.number},
    )


def _insert_version(connection: sqlite3.Connection, environment: int, new: NewVersion) -> int:
    record_sighting(connection, new.definition_digest, new.canonical, new.name, None)
    put_settings(connection, new.settings_digest, new.settings_canonical)
    number: int = new.number or _find_highest(connection, environment, new.name) + 1
    connection.execute("DELETE FROM removed_versions WHERE name = ? AND version = ?", (new.name, number))
    connection.execute(
        "INSERT INTO versions (environment, version, body, kind, created, origin) VALUES (?, ?, ?, ?, ?, ?)",
        (environment, number, _body_id(connection, new), new.kind, utc_now(), new.origin),
    )
    return number


def _find_highest(connection: sqlite3.Connection, environment: int, name: str) -> int:
    """Return the highest number that a version of an environment has or had."""
    row = connection.execute(
        "SELECT max(coalesce((SELECT max(version) FROM versions WHERE environment = ?), 0), "
        "coalesce((SELECT max(version) FROM removed_versions WHERE name = ?), 0))",
        (environment, name),
    ).fetchone()
    return int(row[0])


def _encode_body(new: NewVersion) -> bytes:
    return msgspec.json.encode(new.body, order="sorted")


def _body_id(connection: sqlite3.Connection, new: NewVersion) -> int:
    encoded = _encode_body(new)
    digest = digest_bytes(encoded)
    connection.execute(
        "INSERT INTO bodies (digest, definition_digest, settings_digest, body) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (digest) DO NOTHING",
        (digest, new.definition_digest, new.settings_digest, zlib.compress(encoded)),
    )
    found: int = connection.execute("SELECT id FROM bodies WHERE digest = ?", (digest,)).fetchone()["id"]
    return found


def get_version(connection: sqlite3.Connection, reference: VersionReference) -> EnvironmentVersion:
    """Return the version that ``reference`` names.

    Raises:
        EnvironmentUnknownError: it doesn't exist; the hint lists what does.
    """
    environment = _environment_id(connection, reference.name)
    number = _resolve_number(connection, environment, reference)
    row = connection.execute(
        _SELECT_VERSION + "WHERE v.environment = ? AND v.version = ?", (environment, number)
    ).fetchone()
    if row is None:
        latest = find_latest_visible(connection, environment)
        removed = _find_removal(connection, reference.name, number)
        raise EnvironmentUnknownError(
            f"{reference.name} has no version {number}" + (f": it was removed at {removed}" if removed else ""),
            hint=f"The latest is {latest}." if latest else f"`roost env versions {reference.name}` shows all versions.",
            fields={"name": reference.name, "version": number},
        )
    return _decode_version(row)


def _resolve_number(connection: sqlite3.Connection, environment: int, reference: VersionReference) -> int:
    if reference.version is not None:
        return reference.version
    if reference.label is not None and reference.label != LATEST:
        query = "SELECT version FROM labels WHERE environment = ? AND label = ?"
        row = connection.execute(query, (environment, reference.label)).fetchone()
        if row is None:
            raise _unknown_label_error(connection, environment, reference)
        return int(row["version"])
    latest = find_latest_visible(connection, environment)
    if latest is None:
        raise EnvironmentUnknownError(
            f"All versions of {reference.name} are archived",
            hint=f"`roost env restore {reference.name}` restores them; {reference.name}:VERSION selects one.",
        )
    return latest


def _unknown_label_error(
    connection: sqlite3.Connection, environment: int, reference: VersionReference
) -> EnvironmentUnknownError:
    rows = connection.execute("SELECT label FROM labels WHERE environment = ? ORDER BY label LIMIT 20", (environment,))
    labels = ", ".join([LATEST, *(row["label"] for row in rows)])
    return EnvironmentUnknownError(
        f"{reference.name} has no label {reference.label!r}",
        hint=f"Its labels: {labels}. `roost env label` sets one.",
        fields={"name": reference.name, "label": reference.label},
    )


def load_body(connection: sqlite3.Connection, name: str, version: int) -> EnvironmentBody:
    """Return the definition, settings and defaults of a version.

    Raises:
        EnvironmentUnknownError: there is no such version.
    """
    row = connection.execute(
        "SELECT b.body FROM environments AS e JOIN versions AS v ON v.environment = e.id JOIN bodies AS b "
        "ON b.id = v.body WHERE e.name = ? AND v.version = ?",
        (name, version),
    ).fetchone()
    if row is None:
        raise EnvironmentUnknownError(f"There is no {name}:{version}", hint="`roost env list` shows all environments.")
    return msgspec.json.decode(zlib.decompress(row["body"]), type=EnvironmentBody)


def list_environments(
    connection: sqlite3.Connection,
    limit: int = 100,
    after: str = "",
    *,
    archived: bool = False,
    curated: CuratedFilter = "without",
) -> list[EnvironmentRow]:
    """Return the environments whose names follow ``after``, by name, each with its latest version. ``archived``:
    include archived ones."""
    parameters = {"limit": limit, "after": after, "all": archived, "curated": curated}
    rows = connection.execute(_SELECT_PAGE, parameters).fetchall()
    return [EnvironmentRow(latest=_decode_version(row), versions=row["versions"]) for row in rows]


def list_versions(
    connection: sqlite3.Connection, name: str, limit: int = 100, before: int | None = None, *, archived: bool = False
) -> list[EnvironmentVersion]:
    """Return the versions of one environment, the newest first; ``before``: only those below that number.

    Raises:
        EnvironmentUnknownError: there is no environment of that name.
    """
    environment = _environment_id(connection, name)
    hidden = "" if archived else "AND NOT v.archived"
    query = _SELECT_VERSION + f"WHERE v.environment = ? AND v.version < ? {hidden} ORDER BY v.version DESC LIMIT ?"
    rows = connection.execute(query, (environment, before if before is not None else 2**62, limit))
    return [_decode_version(row) for row in rows]


def find_latest_number(connection: sqlite3.Connection, name: str) -> int | None:
    """Return the highest number of a version of an environment, archived or not; ``None`` if there is none."""
    query = "SELECT max(v.version) FROM versions AS v JOIN environments AS e ON e.id = v.environment WHERE e.name = ?"
    number: int | None = connection.execute(query, (name,)).fetchone()[0]
    return number


def list_references(connection: sqlite3.Connection, limit: int, versions: int) -> dict[str, list[str]]:
    """Return what may follow a name in a reference, by the names of the ``limit`` newest environments that are not
    archived: labels (``@prod``) and the last ``versions`` numbers (``:3``), each label before its version."""
    rows = connection.execute(
        "SELECT e.name, v.version, (SELECT group_concat(label, ' ') FROM labels AS l WHERE l.environment = e.id AND "
        "l.version = v.version) AS labels FROM (SELECT id, name FROM environments WHERE NOT archived ORDER BY id DESC "
        "LIMIT ?) AS e CROSS JOIN versions AS v ON v.environment = e.id WHERE NOT v.archived AND (labels IS NOT NULL "
        "OR v.version > (SELECT max(version) FROM versions AS h WHERE h.environment = e.id) - ?) "
        "ORDER BY e.id DESC, v.version DESC",
        (limit, versions),
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        marks = found.setdefault(row["name"], [])
        marks += [f"@{label}" for label in (*(row["labels"] or "").split(), *(() if marks else (LATEST,)))]
        marks.append(f":{row['version']}")
    return found


def list_versions_by_definition(connection: sqlite3.Connection, digest: str) -> list[EnvironmentVersion]:
    """Return all versions with this definition, by name and version."""
    query = _SELECT_VERSION + "WHERE b.definition_digest = ? ORDER BY e.name, v.version"
    return [_decode_version(row) for row in connection.execute(query, (digest,))]


def put_labels(connection: sqlite3.Connection, name: str, labels: Sequence[str], version: int) -> EnvironmentVersion:
    """Set labels on a version, or move them to it.

    Raises:
        EnvironmentUnknownError: there is no such version.
    """
    found = get_version(connection, VersionReference(name=name, version=version))
    environment = _environment_id(connection, name)
    for label in labels:
        _put_label(connection, environment, label, version)
    failpoint("put-label")
    return get_version(connection, VersionReference(name=name, version=found.version))


def delete_label(connection: sqlite3.Connection, name: str, label: str) -> None:
    """Delete a label.

    Raises:
        EnvironmentUnknownError: there is no such environment or label.
    """
    environment = _environment_id(connection, name)
    query = "DELETE FROM labels WHERE environment = ? AND label = ?"
    if not connection.execute(query, (environment, label)).rowcount:
        raise _unknown_label_error(connection, environment, VersionReference(name=name, label=label))


def set_archived(connection: sqlite3.Connection, name: str, version: int | None, archived: bool) -> None:
    """Archive or restore an environment, or one version of it.

    Restoring a version of an archived environment restores that version only: the others become archived one by one.
    Restoring an environment restores the versions that were visible before; if it was not archived, or none would be
    visible, all of its versions.

    Raises:
        EnvironmentUnknownError: there is no such environment or version.
    """
    environment = _environment_id(connection, name)
    if version is not None:
        get_version(connection, VersionReference(name=name, version=version))
        if not archived and _mark_environment(connection, environment, False):
            connection.execute("UPDATE versions SET archived = 1 WHERE environment = ?", (environment,))
        query = "UPDATE versions SET archived = ? WHERE environment = ? AND version = ?"
        connection.execute(query, (archived, environment, version))
        return
    changed = _mark_environment(connection, environment, archived)
    if not archived and not (changed and find_latest_visible(connection, environment)):
        connection.execute("UPDATE versions SET archived = 0 WHERE environment = ?", (environment,))


def _mark_environment(connection: sqlite3.Connection, environment: int, archived: bool) -> bool:
    """Set the archived mark and return whether that changed it."""
    query = "UPDATE environments SET archived = ? WHERE id = ? AND archived <> ?"
    return connection.execute(query, (archived, environment, archived)).rowcount > 0


def _put_label(connection: sqlite3.Connection, environment: int, label: str, version: int) -> None:
    connection.execute(
        "INSERT INTO labels (environment, label, version) VALUES (?, ?, ?) "
        "ON CONFLICT (environment, label) DO UPDATE SET version = excluded.version",
        (environment, label, version),
    )


def _environment_id(connection: sqlite3.Connection, name: str, *, add: bool = False) -> int:
    if add:
        query = "INSERT INTO environments (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
        connection.execute(query, (name, utc_now()))
    row = connection.execute("SELECT id FROM environments WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise _unknown_name_error(connection, name)
    return int(row["id"])


def _unknown_name_error(connection: sqlite3.Connection, name: str) -> EnvironmentUnknownError:
    names = [row["name"] for row in connection.execute("SELECT name FROM environments ORDER BY id DESC LIMIT 1000")]
    if name.lower().startswith(AZURE_PREFIX.lower()):
        hint = _explain_azure_name(connection, name)
    elif close := difflib.get_close_matches(name, names, n=1):
        hint = f"Did you mean {close[0]!r}? `roost env list` shows all environments."
    else:
        hint = "`roost env list` shows all environments; `roost env register` adds one."
    removed = _find_removal(connection, name)
    return EnvironmentUnknownError(
        f"No environment is registered as {name!r}" + (f": it was removed at {removed}" if removed else ""),
        hint=hint,
        fields={"name": name},
    )


def _find_removal(connection: sqlite3.Connection, name: str, number: int | None = None) -> str | None:
    """Return when a version was removed, or the last of an environment; ``None`` if none was."""
    query = "SELECT max(removed) FROM removed_versions WHERE name = ? AND body <> '' AND (? IS NULL OR version = ?)"
    removed = connection.execute(query, (name, number, number)).fetchone()[0]
    return f"{removed[:19]}Z" if removed else None


def _explain_azure_name(connection: sqlite3.Connection, name: str) -> str:
    """Return the hint for the name of one of Azure's curated environments, which are in Azure's registry only."""
    query = f"SELECT name FROM environments AS e WHERE {_IS_CURATED}"
    counterpart = find_counterpart(name, [row["name"] for row in connection.execute(query)])
    if counterpart is None:
        return "Azure's curated environments are not part of roost; `roost curated list` shows those that are."
    return f"It is one of Azure's curated environments; roost's own for this is {counterpart!r} (`roost curated list`)."


def find_latest_visible(connection: sqlite3.Connection, environment: int) -> int | None:
    """Return the highest version that is not archived."""
    query = "SELECT max(version) AS latest FROM versions WHERE environment = ? AND NOT archived"
    latest: int | None = connection.execute(query, (environment,)).fetchone()["latest"]
    return latest


def _decode_version(row: sqlite3.Row) -> EnvironmentVersion:
    return EnvironmentVersion(
        name=row["name"],
        version=row["version"],
        definition_digest=row["definition_digest"],
        settings_digest=row["settings_digest"],
        created=row["created"],
        kind=row["kind"],
        labels=(*([LATEST] if row["latest"] else []), *sorted((row["labels"] or "").split())),
        archived=bool(row["archived"]),
        origin=row["origin"],
    )


class EnvironmentTable(Queries):
    """``index.environments``: names, their versions and labels."""

    register = Write(register_version)
    register_all = Write(register_versions)
    get = Read(get_version)
    load_body = Read(load_body)
    find_same = Read(find_same_version)
    find_latest_number = Read(find_latest_number)
    list_references = Scan(list_references)
    list_page = Scan(list_environments)
    list_versions = Scan(list_versions)
    list_by_definition = Scan(list_versions_by_definition)
    put_labels = Write(put_labels)
    delete_label = Write(delete_label)
    set_archived = Write(set_archived)
