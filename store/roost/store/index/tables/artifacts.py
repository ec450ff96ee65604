"""Artifacts, and the pins that protect them. Only these functions change the state of an artifact.

``building`` → ``ready`` → (``retired`` →) ``deleting`` → no row. A prefix becomes ready by ``mark_ready`` only; the row
of an image, whose content an engine holds, is inserted as ready.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from roost.model.records import BUILD_HOLDER, BUILD_LEASE, Artifact, FileStamp, PrefixPython, VariableChange
from roost.store.clock import utc_now
from roost.store.index.cache_keys import put_cache_uses
from roost.store.index.database import Database
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.leases import delete_lease, list_artifact_leases, put_build_lease, resolve_pin
from roost.store.index.tables.locks import delete_unused_layers

T = TypeVar("T")

_ARTIFACT_COLUMNS = (
    "id, kind, key, platform, state, path, lease_path, bytes, shared_bytes, created, last_used, activation, guards, "
    "python"
)
_SELECT_ARTIFACT = f"SELECT {_ARTIFACT_COLUMNS}, manifest, bytecode_due FROM artifacts"

BUILD_LEASE_EXPIRES = "9999-12-31T00:00:00.000000Z"
"""Expiry of a build's lease, which ends with the build, or with the daemon: recovery deletes it with the row."""


def insert_building(
    connection: sqlite3.Connection, artifact: Artifact, build_id: str, uses: Iterable[str] = ()
) -> None:
    """Insert a row for content that is about to be created, the lease of its build, and what it needs of the caches
    (``uses``: see ``caches``)."""
    connection.execute(
        f"INSERT INTO artifacts ({_ARTIFACT_COLUMNS}, build_id) VALUES "
        "(?, ?, ?, ?, 'building', ?, ?, 0, 0, ?, ?, '[]', '[]', NULL, ?)",
        (
            artifact.id,
            artifact.kind,
            artifact.key,
            artifact.platform,
            artifact.path,
            artifact.lease_path,
            artifact.created,
            artifact.created,
            build_id,
        ),
    )
    put_build_lease(connection, build_lease(artifact.id), artifact.id, f"{BUILD_HOLDER}{build_id}", BUILD_LEASE_EXPIRES)
    put_cache_uses(connection, artifact.id, uses)


def put_ready_artifact(connection: sqlite3.Connection, artifact: Artifact) -> Artifact:
    """Store a row for content that is complete in an engine and has no folder under the root.

    A ready row of the same key is updated and keeps its id: the image was lost and built again.
    """
    existing = find_ready_artifact(connection, artifact.kind, artifact.key)
    if existing is not None:
        connection.execute(
            "UPDATE artifacts SET path = ?, bytes = ?, last_used = ? WHERE id = ?",
            (artifact.path, artifact.bytes, artifact.last_used, existing.id),
        )
        return msgspec.structs.replace(existing, path=artifact.path, bytes=artifact.bytes, last_used=artifact.last_used)
    connection.execute(
        f"INSERT INTO artifacts ({_ARTIFACT_COLUMNS}) VALUES "
        "(?, ?, ?, ?, 'ready', ?, '', ?, 0, ?, ?, '[]', '[]', NULL)",
        (
            artifact.id,
            artifact.kind,
            artifact.key,
            artifact.platform,
            artifact.path,
            artifact.bytes,
            artifact.created,
            artifact.last_used,
        ),
    )
    return artifact


def restore_artifact(connection: sqlite3.Connection, artifact: Artifact) -> None:
    """Store the row of an artifact that is whole, in an index that is being rebuilt. One of the same key stays."""
    connection.execute(
        f"INSERT INTO artifacts ({_ARTIFACT_COLUMNS}, manifest, bytecode_due, checked) "
        "VALUES (?, ?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            artifact.id,
            artifact.kind,
            artifact.key,
            artifact.platform,
            artifact.path,
            artifact.lease_path,
            artifact.bytes,
            artifact.shared_bytes,
            artifact.created,
            artifact.last_used,
            msgspec.json.encode(artifact.activation),
            msgspec.json.encode(artifact.stamps),
            msgspec.json.encode(artifact.python).decode() if artifact.python else None,
            artifact.manifest,
            artifact.bytecode_due,
            utc_now(),
        ),
    )


def build_lease(artifact_id: str) -> str:
    """Return the id of the lease under which an artifact is built."""
    return f"{BUILD_LEASE}{artifact_id}"


def mark_ready(connection: sqlite3.Connection, artifact: Artifact) -> None:
    """Make a building row ready: the commit point of publishing. Writes sizes, activation, guards and the digest of
    the manifest with the state, and whether byte-code is due, and ends the lease of the build."""
    connection.execute(
        "UPDATE artifacts SET state = 'ready', bytes = ?, shared_bytes = ?, last_used = ?, activation = ?, guards = ?, "
        "python = ?, manifest = ?, bytecode_due = ? WHERE id = ? AND state = 'building'",
        (
            artifact.bytes,
            artifact.shared_bytes,
            artifact.last_used,
            msgspec.json.encode(artifact.activation),
            msgspec.json.encode(artifact.stamps),
            msgspec.json.encode(artifact.python).decode() if artifact.python else None,
            artifact.manifest,
            artifact.bytecode_due,
            artifact.id,
        ),
    )
    delete_lease(connection, build_lease(artifact.id))


def mark_retired(connection: sqlite3.Connection, artifact_id: str) -> bool:
    """Withdraw an artifact from all plans. Return whether there was a ready or half deleted one."""
    changed = connection.execute(
        "UPDATE artifacts SET state = 'retired' WHERE id = ? AND state IN ('ready', 'deleting')", (artifact_id,)
    )
    return changed.rowcount > 0


def put_seal(connection: sqlite3.Connection, artifact_id: str, stamps: Sequence[FileStamp], manifest: str) -> bool:
    """Replace the guards of a ready prefix and the digest of its manifest. Return ``False`` if it is no longer
    ready."""
    changed = connection.execute(
        "UPDATE artifacts SET guards = ?, manifest = ? WHERE id = ? AND state = 'ready'",
        (msgspec.json.encode(stamps), manifest, artifact_id),
    )
    return changed.rowcount > 0


def finish_bytecode(connection: sqlite3.Connection, artifact_id: str, total: int, shared: int) -> None:
    """Record that a prefix has all byte-code that it gets, and its sizes with it."""
    connection.execute(
        "UPDATE artifacts SET bytecode_due = 0, bytes = ?, shared_bytes = ? WHERE id = ?", (total, shared, artifact_id)
    )


def require_bytecode(connection: sqlite3.Connection, artifact_id: str) -> bool:
    """Record that a ready prefix lacks byte-code. Return ``False`` if it is no longer ready."""
    changed = connection.execute(
        "UPDATE artifacts SET bytecode_due = 1 WHERE id = ? AND state = 'ready'", (artifact_id,)
    )
    return changed.rowcount > 0


def list_bytecode_due(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of the ready prefixes whose byte-code is still to be compiled, the oldest first."""
    rows = connection.execute(
        "SELECT id FROM artifacts WHERE bytecode_due = 1 AND state = 'ready' ORDER BY created, id"
    )
    return [row["id"] for row in rows]


def mark_deleting(connection: sqlite3.Connection, artifact_id: str) -> bool:
    """Begin a deletion. Return ``False`` if the artifact is being built, pinned, leased or doesn't exist."""
    row = connection.execute("SELECT key, state FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
    if row is None or row["state"] == "building" or list_protections(connection, artifact_id, row["key"], utc_now()):
        return False
    connection.execute("UPDATE artifacts SET state = 'deleting' WHERE id = ?", (artifact_id,))
    return True


def delete_artifact_row(connection: sqlite3.Connection, artifact_id: str) -> None:
    """Delete the row of an artifact whose content is deleted, and the lease of its build. The lock of a project layer
    goes with its last prefix."""
    connection.execute("DELETE FROM artifacts WHERE id = ?", (artifact_id,))
    delete_lease(connection, build_lease(artifact_id))
    delete_unused_layers(connection)


def touch_artifact(connection: sqlite3.Connection, artifact_id: str, when: str | None = None) -> None:
    """Record a use, now or at ``when``; an earlier time than the recorded one changes nothing."""
    connection.execute(
        "UPDATE artifacts SET last_used = max(last_used, ?) WHERE id = ?", (when or utc_now(), artifact_id)
    )


def touch_image(connection: sqlite3.Connection, artifact_id: str | None) -> None:
    """Record that a run uses an image now. Prefixes have lease files for that."""
    connection.execute(
        "UPDATE artifacts SET last_used = max(last_used, ?) WHERE id = ? AND kind = 'image'", (utc_now(), artifact_id)
    )


def find_ready_artifact(connection: sqlite3.Connection, kind: str, key: str) -> Artifact | None:
    """Return the artifact that may be used for this key; there is at most one."""
    row = connection.execute(
        f"{_SELECT_ARTIFACT} WHERE kind = ? AND key = ? AND state = 'ready'", (kind, key)
    ).fetchone()
    return _decode_artifact(row) if row else None


def find_artifact(connection: sqlite3.Connection, artifact_id: str) -> Artifact | None:
    """Return the artifact of that id, in any state; only a ``ready`` one may be used."""
    row = connection.execute(f"{_SELECT_ARTIFACT} WHERE id = ?", (artifact_id,)).fetchone()
    return _decode_artifact(row) if row else None


def list_artifacts(connection: sqlite3.Connection) -> list[Artifact]:
    """Return all artifacts, in any state, the oldest first."""
    return [_decode_artifact(row) for row in connection.execute(f"{_SELECT_ARTIFACT} ORDER BY created, id")]


def _decode_artifact(row: sqlite3.Row) -> Artifact:
    fields = dict(row)
    fields["activation"] = msgspec.json.decode(fields["activation"], type=tuple[VariableChange, ...])
    fields["stamps"] = msgspec.json.decode(fields.pop("guards"), type=tuple[FileStamp, ...])
    fields["bytecode_due"] = bool(fields["bytecode_due"])
    fields["python"] = msgspec.json.decode(fields["python"], type=PrefixPython) if fields["python"] else None
    return Artifact(**fields)


def add_pin(connection: sqlite3.Connection, subject: str) -> None:
    """Protect ``subject`` (an artifact's id or a lock digest) until the pin is deleted."""
    connection.execute("INSERT OR IGNORE INTO pins (subject, created) VALUES (?, ?)", (subject, utc_now()))


def pin_target(connection: sqlite3.Connection, target: str) -> list[str]:
    """Protect an artifact, a lock, or the locks of an environment's current generations; return the subjects.

    Raises:
        LeaseTargetError, EnvironmentUnknownError, NameInvalidError: there is no such target.
    """
    subjects = resolve_pin(connection, target, current=True)
    for subject in subjects:
        add_pin(connection, subject)
    return list(subjects)


def unpin_target(connection: sqlite3.Connection, target: str) -> list[str]:
    """Delete the pins on an artifact, a lock, or any lock that an environment ever had; return those that existed.

    Raises:
        LeaseTargetError, EnvironmentUnknownError, NameInvalidError: there is no such target, and no pin of that name.
    """
    if delete_pin(connection, target):  # what it was on may no longer exist
        return [target]
    return [each for each in resolve_pin(connection, target, current=False) if delete_pin(connection, each)]


def delete_pin(connection: sqlite3.Connection, subject: str) -> bool:
    """Delete a pin and return whether it existed."""
    return connection.execute("DELETE FROM pins WHERE subject = ?", (subject,)).rowcount > 0


def list_pins(connection: sqlite3.Connection) -> list[str]:
    """Return the pinned subjects, sorted."""
    return [row["subject"] for row in connection.execute("SELECT subject FROM pins ORDER BY subject")]


def list_pinned_artifacts(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of the artifacts that a pin protects. One on a lock protects the images of it too, and
    no prefix that was found broken: what is built in its place is protected."""
    query = """
        SELECT a.id FROM artifacts AS a JOIN pins AS p ON p.subject = a.id OR p.subject = a.key AND a.state <> 'retired'
        UNION SELECT a.id FROM artifacts AS a JOIN images AS i ON i.key = a.key
            JOIN pins AS p ON p.subject = i.lock_digest
    """
    return [row["id"] for row in connection.execute(query)]


def list_artifact_protections(connection: sqlite3.Connection, artifact_id: str) -> tuple[str, ...]:
    """Return the same for an artifact by its id alone; nothing if it does not exist."""
    row = connection.execute("SELECT key FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
    return list_protections(connection, artifact_id, row["key"], utc_now()) if row else ()


def list_protections(connection: sqlite3.Connection, artifact_id: str, key: str, now: str) -> tuple[str, ...]:
    """Return ``pin`` and ``lease:<id>`` for every row that protects an artifact."""
    pinned = connection.execute(
        "SELECT 1 FROM pins WHERE subject = ? OR subject = ? "
        "AND NOT EXISTS (SELECT 1 FROM artifacts WHERE id = ? AND state = 'retired') "
        "UNION SELECT 1 FROM pins JOIN images AS i ON i.lock_digest = pins.subject WHERE i.key = ?",
        (artifact_id, key, artifact_id, key),
    ).fetchone()
    leases = list_artifact_leases(connection, artifact_id, key, now)
    return (*(("pin",) if pinned else ()), *(f"lease:{lease}" for lease in leases))


class ArtifactTable(Queries):
    """``index.artifacts``: prefixes, and images in an engine."""

    find_ready = Read(find_ready_artifact)
    find = Read(find_artifact)
    list_all = Scan(list_artifacts)
    insert_building = Write(insert_building)
    put_seal = Write(put_seal)
    finish_bytecode = Write(finish_bytecode)
    require_bytecode = Write(require_bytecode)
    list_bytecode_due = Read(list_bytecode_due)
    touch = Write(touch_artifact)
    list_protections = Read(list_artifact_protections)

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.on_gone: Callable[[str], None] = lambda key: None
        """Called in the event loop with the key of a ready artifact that is not ready any more."""

    async def mark_retired(self, artifact_id: str) -> bool:
        """Withdraw an artifact from all plans. Return whether there was a ready or half deleted one."""
        return await self._withdraw(mark_retired, artifact_id)

    async def mark_deleting(self, artifact_id: str) -> bool:
        """Begin a deletion. Return ``False`` if the artifact is being built, pinned, leased or doesn't exist."""
        return await self._withdraw(mark_deleting, artifact_id)

    async def delete(self, artifact_id: str) -> None:
        """Delete the row of an artifact whose content is deleted, and the lease of its build."""
        await self._withdraw(delete_artifact_row, artifact_id)

    async def _withdraw(self, query: Callable[[sqlite3.Connection, str], T], artifact_id: str) -> T:
        before = await self.find(artifact_id)
        result = await self.database.write(query, artifact_id)
        if before is not None and before.state == "ready" and result is not False:
            self.on_gone(before.key)
        return result


class PinTable(Queries):
    """``index.pins``: protection of an artifact, by its id or key, until the pin is deleted."""

    add = Write(add_pin)
    delete = Write(delete_pin)
    list_all = Read(list_pins)
    list_artifacts = Scan(list_pinned_artifacts)
    pin = Write(pin_target)
    unpin = Write(unpin_target)
