"""Leases: protection of artifacts from deletion until a time, and what each protects.

A lease of a build protects the artifact that is being filled. A client's lease names a target, which is resolved to
*subjects* when the lease is put: the id of an artifact, a lock digest (which every prefix of that lock has as its key),
the key of an image, or ``<lock digest>@<base digest>`` (every image of that lock on that base).

A lease on an environment also follows its definition: triggers add the subjects of every generation that becomes
current while the lease is in the index (``migrations.schema``). Renewing a lease removes no subject: what was current
when an editor or a kernel started stays protected as long as it renews.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable

from roost.model.errors import CodedError, LookupFailedError
from roost.model.names import parse_reference
from roost.model.records import Lease, LeaseTarget
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.environments import get_version
from roost.store.index.tables.generations import GenerationUnknownError
from roost.store.index.tables.images import find_image
from roost.store.index.tables.locks import find_layer_base

_DIGEST = "sha256:"
_ARTIFACT_ID = re.compile(r"[pi]-[0-9a-f]{16}")
_COLUMNS = "id, kind, target, generation, definition_digest, holder, created, expires"


class LeaseTakenError(CodedError):
    """A lease of that id has another holder."""

    code = "lease-taken"
    http_status = 409


class LeaseTargetError(LookupFailedError):
    """The target of a lease does not exist."""

    code = "lease-target-unknown"


def put_build_lease(connection: sqlite3.Connection, lease_id: str, artifact_id: str, holder: str, expires: str) -> None:
    """Protect an artifact that is being built."""
    lease = Lease(id=lease_id, kind="artifact", target=artifact_id, holder=holder, created=utc_now(), expires=expires)
    _write_lease(connection, lease)
    _add_subjects(connection, lease_id, (artifact_id,))


def put_lease(connection: sqlite3.Connection, lease_id: str, target: LeaseTarget, holder: str, expires: str) -> Lease:
    """Protect ``target`` until ``expires`` (RFC 3339 UTC). The same id again renews the lease: its subjects stay, and
    those of now are added. With another target it begins anew.

    Raises:
        LeaseTargetError, EnvironmentUnknownError, GenerationUnknownError: there is no such target.
        LeaseTakenError: a lease of that id that has not expired has another holder.
        NameInvalidError: the target is not a valid reference to an environment.
    """
    now = utc_now()
    delete_expired_leases(connection, now)
    before = find_lease(connection, lease_id)
    if before is not None and before.holder != holder:
        raise LeaseTakenError(
            f"The lease {lease_id!r} is held by {before.holder!r} until {before.expires}",
            hint="Choose another id, for example a random one.",
            fields={"id": lease_id, "holder": before.holder, "expires": before.expires},
        )
    definition, subjects = _resolve_target(connection, target)
    is_renewal = before is not None and before.is_on(target) and before.definition_digest == definition
    if not is_renewal:
        delete_lease(connection, lease_id)
    lease = Lease(
        id=lease_id,
        kind=target.kind,
        target=target.subject,
        generation=target.generation,
        definition_digest=definition,
        holder=holder,
        created=before.created if before is not None and is_renewal else now,
        expires=expires,
    )
    _write_lease(connection, lease)
    _add_subjects(connection, lease_id, subjects)
    failpoint("lease.in-transaction")
    return lease


def _write_lease(connection: sqlite3.Connection, lease: Lease) -> None:
    connection.execute(
        f"INSERT INTO leases ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, holder = excluded.holder",
        (
            lease.id,
            lease.kind,
            lease.target,
            lease.generation,
            lease.definition_digest,
            lease.holder,
            lease.created,
            lease.expires,
        ),
    )


def _add_subjects(connection: sqlite3.Connection, lease_id: str, subjects: Iterable[str]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO lease_subjects (subject, lease) VALUES (?, ?)",
        [(subject, lease_id) for subject in subjects],
    )


def _resolve_target(connection: sqlite3.Connection, target: LeaseTarget) -> tuple[str | None, tuple[str, ...]]:
    """Return the definition of an environment or a generation, and the subjects of now."""
    match target.kind:
        case "environment":
            definition = _find_definition(connection, target.subject)
            return definition, _generation_subjects(connection, definition, None)
        case "generation":
            definition = _find_definition(connection, target.subject)
            subjects = _generation_subjects(connection, definition, target.generation)
            if not subjects:
                raise _no_generation(target)
            return definition, subjects
        case "prefix":
            return None, _find_prefixes(connection, target.subject)
        case "image":
            return None, _find_images(connection, target.subject)
        case "artifact":
            return None, _find_artifacts(connection, target.subject)


def resolve_pin(connection: sqlite3.Connection, subject: str, *, current: bool) -> tuple[str, ...]:
    """Return what a pin on ``subject`` is on: itself if it is an artifact or a lock; of a reference to an environment,
    the locks of its ``current`` generations on all platforms, or of all of its generations.

    Raises:
        LeaseTargetError, EnvironmentUnknownError, NameInvalidError: there is nothing of that name.
    """
    query = "SELECT 1 FROM artifacts WHERE id = ? AND state <> 'deleting' UNION SELECT 1 FROM locks WHERE digest = ?"
    if connection.execute(query, (subject, subject)).fetchone():
        return (subject,)
    if subject.startswith(_DIGEST) or _ARTIFACT_ID.fullmatch(subject):
        hint = "`roost cache df` lists the existing ones; a lock digest or the name of an environment is good too."
        raise LeaseTargetError(f"There is no artifact and no lock {subject}", hint=hint)
    definition = get_version(connection, parse_reference(subject)).definition_digest
    condition = " AND current = 1" if current else ""
    rows = connection.execute(
        f"SELECT DISTINCT lock_digest FROM generations WHERE definition_digest = ?{condition} ORDER BY lock_digest",
        (definition,),
    ).fetchall()
    if not rows:
        raise LeaseTargetError(
            f"{subject} was never built, so that nothing of it is stored", hint=f"`roost build -e {subject}` builds it."
        )
    return tuple(row["lock_digest"] for row in rows)


def _find_definition(connection: sqlite3.Connection, subject: str) -> str:
    """Return the digest of a definition that was used before, or that a version of an environment has."""
    if not subject.startswith(_DIGEST):
        return get_version(connection, parse_reference(subject)).definition_digest
    for table, column in (
        ("definitions", "digest"),
        ("bodies", "definition_digest"),
        ("generations", "definition_digest"),
    ):
        if connection.execute(f"SELECT 1 FROM {table} WHERE {column} = ? LIMIT 1", (subject,)).fetchone():
            return subject
    raise LeaseTargetError(
        f"There is no definition {subject}", hint="`roost plan` shows the digest of a definition, and makes it known."
    )


def _generation_subjects(connection: sqlite3.Connection, definition: str, number: int | None) -> tuple[str, ...]:
    """Return the subjects of a generation, or of the current ones, on all platforms."""
    condition, values = ("number = ?", (definition, number)) if number is not None else ("current = 1", (definition,))
    rows = connection.execute(
        f"SELECT lock_digest, base_digest FROM generations WHERE definition_digest = ? AND {condition}", values
    ).fetchall()
    return tuple(subject for row in rows for subject in _content_subjects(row["lock_digest"], row["base_digest"]))


def _content_subjects(lock: str, base: str | None) -> tuple[str, ...]:
    """Return the subjects of everything that is built from a lock. The triggers of the schema compute the same."""
    return (lock, f"{lock}@{base}") if base else (lock,)


def _no_generation(target: LeaseTarget) -> GenerationUnknownError:
    return GenerationUnknownError(
        f"{target.subject} has no generation {target.generation}",
        hint="`roost env show NAME` and `roost builds list` show the generations that exist.",
        fields={"subject": target.subject, "generation": target.generation},
    )


def _find_prefixes(connection: sqlite3.Connection, subject: str) -> tuple[str, ...]:
    """Return the subject of one prefix, by its path or the artifact's id, or of all of a lock, by its digest."""
    if subject.startswith(_DIGEST):
        if connection.execute("SELECT 1 FROM locks WHERE digest = ?", (subject,)).fetchone():
            return (subject,)
    elif found := connection.execute(
        "SELECT id FROM artifacts WHERE kind = 'prefix' AND ? IN (id, path) AND state <> 'deleting'", (subject,)
    ).fetchone():
        return (found["id"],)
    raise LeaseTargetError(
        f"There is no prefix {subject}", hint="`roost cache df` lists the existing ones; a lock digest is good too."
    )


def _find_images(connection: sqlite3.Connection, subject: str) -> tuple[str, ...]:
    """Return the keys of images, by key, config digest or artifact."""
    rows = connection.execute(
        "SELECT key FROM images WHERE ? IN (key, config_digest) UNION "
        "SELECT key FROM artifacts WHERE kind = 'image' AND ? IN (id, path) AND state <> 'deleting'",
        (subject, subject),
    ).fetchall()
    if not rows:
        raise LeaseTargetError(f"There is no image {subject}", hint="`roost image list` lists the existing ones.")
    return tuple(row["key"] for row in rows)


def _find_artifacts(connection: sqlite3.Connection, subject: str) -> tuple[str, ...]:
    """Return the id of an artifact of any kind, or a lock digest."""
    query = (
        "SELECT 1 FROM artifacts WHERE ? IN (id, key) AND state <> 'deleting' "
        "UNION SELECT 1 FROM locks WHERE digest = ?"
    )
    if connection.execute(query, (subject, subject)).fetchone():
        return (subject,)
    raise LeaseTargetError(f"There is no artifact {subject}", hint="`roost cache df` lists the existing ones.")


def find_lease(connection: sqlite3.Connection, lease_id: str) -> Lease | None:
    """Return the lease of that id, whether it has expired or not."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM leases WHERE id = ?", (lease_id,)).fetchone()
    return Lease(**dict(row)) if row else None


def delete_lease(connection: sqlite3.Connection, lease_id: str) -> bool:
    """End a lease and return whether it existed. A trigger deletes its subjects."""
    existed = connection.execute("DELETE FROM leases WHERE id = ?", (lease_id,)).rowcount > 0
    failpoint("lease.deleted-in-transaction")
    return existed


def list_active_leases(connection: sqlite3.Connection, now: str | None = None) -> list[Lease]:
    """Return the leases that have not expired (at ``now``), by id."""
    query = f"SELECT {_COLUMNS} FROM leases WHERE expires > ? ORDER BY id"
    return [Lease(**dict(row)) for row in connection.execute(query, (now or utc_now(),))]


def list_subjects(connection: sqlite3.Connection, lease_id: str) -> list[str]:
    """Return what a lease protects, sorted."""
    query = "SELECT subject FROM lease_subjects WHERE lease = ? ORDER BY subject"
    return [row["subject"] for row in connection.execute(query, (lease_id,))]


def delete_expired_leases(connection: sqlite3.Connection, now: str) -> int:
    """Delete the leases that have expired and return how many."""
    return connection.execute("DELETE FROM leases WHERE expires <= ?", (now,)).rowcount


def list_artifact_leases(connection: sqlite3.Connection, artifact_id: str, key: str, now: str) -> list[str]:
    """Return the ids of the leases that protect an artifact. One on a lock protects the project layers on it, too."""
    subjects = [artifact_id, key]
    if (base := find_layer_base(connection, key)) is not None:
        subjects.append(base)
    image = find_image(connection, key)
    if image is not None:
        subjects.append(f"{image.lock_digest}@{image.base_digest}")
    marks = ", ".join("?" * len(subjects))
    rows = connection.execute(
        f"SELECT DISTINCT l.id FROM lease_subjects s JOIN leases l ON l.id = s.lease "
        f"WHERE s.subject IN ({marks}) AND l.expires > ? ORDER BY l.id",
        (*subjects, now),
    )
    return [row["id"] for row in rows]


def map_protected_artifacts(connection: sqlite3.Connection, now: str | None = None) -> dict[str, list[str]]:
    """Return the ids of the clients' leases that protect each artifact, by the artifact's id."""
    artifacts = connection.execute("SELECT id, key FROM artifacts").fetchall()
    found = {row["id"]: list_artifact_leases(connection, row["id"], row["key"], now or utc_now()) for row in artifacts}
    return {artifact: leases for artifact, leases in found.items() if leases}


class LeaseTable(Queries):
    """``index.leases``: protection of artifacts until a time."""

    put = Write(put_lease)
    find = Read(find_lease)
    delete = Write(delete_lease)
    list_active = Read(list_active_leases)
    list_subjects = Read(list_subjects)
    map_protected = Scan(map_protected_artifacts)
