"""Artifacts and what protects them: leases and pins. The state of an artifact moves only through these functions.

``building`` → ``ready`` → (``retired`` →) ``deleting`` → no row. Only ``mark_ready`` makes a row ready.
"""

from __future__ import annotations

import sqlite3

import msgspec

from roost.model.records import Artifact, Change, FileStamp, Lease
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Scan, Write

_COLUMNS = (
    "id, kind, key, platform, state, path, lease_path, bytes, shared_bytes, created, last_used, activation, guards"
)
_SELECT = f"SELECT {_COLUMNS} FROM artifacts"

BUILD_LEASE_EXPIRES = "9999-12-31T00:00:00.000000Z"
"""The lease of a build ends with the build, or with the daemon: recovery drops it with the row."""


def insert_building(connection: sqlite3.Connection, artifact: Artifact, build_id: str) -> None:
    """A row for content that is about to be made, with the lease of its build."""
    connection.execute(
        f"INSERT INTO artifacts ({_COLUMNS}, build_id) VALUES "
        "(?, ?, ?, ?, 'building', ?, ?, 0, 0, ?, ?, '[]', '[]', ?)",
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
    put_lease(connection, build_lease(artifact.id), artifact.id, f"build:{build_id}", BUILD_LEASE_EXPIRES)


def insert_ready(connection: sqlite3.Connection, artifact: Artifact) -> None:
    """A row for content that is complete elsewhere (in an engine) and has no folder here."""
    connection.execute(
        f"INSERT INTO artifacts ({_COLUMNS}) VALUES (?, ?, ?, ?, 'ready', ?, '', ?, 0, ?, ?, '[]', '[]')",
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


def build_lease(artifact_id: str) -> str:
    """The id of the lease under which an artifact is built."""
    return f"build-{artifact_id}"


def mark_ready(connection: sqlite3.Connection, artifact: Artifact) -> None:
    """The commit point of publishing: sizes, activation and guards are written with the state, and the lease ends."""
    connection.execute(
        "UPDATE artifacts SET state = 'ready', bytes = ?, shared_bytes = ?, last_used = ?, activation = ?, guards = ? "
        "WHERE id = ? AND state = 'building'",
        (
            artifact.bytes,
            artifact.shared_bytes,
            artifact.last_used,
            msgspec.json.encode(artifact.activation),
            msgspec.json.encode(artifact.guards),
            artifact.id,
        ),
    )
    delete_lease(connection, build_lease(artifact.id))


def mark_retired(connection: sqlite3.Connection, artifact_id: str) -> bool:
    """Take an artifact out of every plan; whether there was one to take."""
    changed = connection.execute(
        "UPDATE artifacts SET state = 'retired' WHERE id = ? AND state IN ('ready', 'deleting')", (artifact_id,)
    )
    return changed.rowcount > 0


def mark_deleting(connection: sqlite3.Connection, artifact_id: str) -> bool:
    """Begin to delete; ``False`` if it is being built, pinned or leased, or not there."""
    row = connection.execute("SELECT key, state FROM artifacts WHERE id = ?", (artifact_id,)).fetchone()
    if row is None or row["state"] == "building" or protections(connection, artifact_id, row["key"], utc_now()):
        return False
    connection.execute("UPDATE artifacts SET state = 'deleting' WHERE id = ?", (artifact_id,))
    return True


def delete_artifact_row(connection: sqlite3.Connection, artifact_id: str) -> None:
    """Forget an artifact whose content is gone, and the lease of its build."""
    connection.execute("DELETE FROM artifacts WHERE id = ?", (artifact_id,))
    delete_lease(connection, build_lease(artifact_id))


def touch_artifact(connection: sqlite3.Connection, artifact_id: str, when: str | None = None) -> None:
    """Record a use, now or at ``when``; an earlier time than the recorded one changes nothing."""
    connection.execute(
        "UPDATE artifacts SET last_used = max(last_used, ?) WHERE id = ?", (when or utc_now(), artifact_id)
    )


def find_ready_artifact(connection: sqlite3.Connection, kind: str, key: str) -> Artifact | None:
    """The one artifact that may be used for this key."""
    row = connection.execute(f"{_SELECT} WHERE kind = ? AND key = ? AND state = 'ready'", (kind, key)).fetchone()
    return _artifact(row) if row else None


def find_artifact(connection: sqlite3.Connection, artifact_id: str) -> Artifact | None:
    """The artifact of that id, in whatever state."""
    row = connection.execute(f"{_SELECT} WHERE id = ?", (artifact_id,)).fetchone()
    return _artifact(row) if row else None


def list_artifacts(connection: sqlite3.Connection) -> list[Artifact]:
    """All artifacts in whatever state, the oldest first."""
    return [_artifact(row) for row in connection.execute(f"{_SELECT} ORDER BY created, id")]


def _artifact(row: sqlite3.Row) -> Artifact:
    fields = dict(row)
    fields["activation"] = msgspec.json.decode(fields["activation"], type=tuple[Change, ...])
    fields["guards"] = msgspec.json.decode(fields["guards"], type=tuple[FileStamp, ...])
    return Artifact(**fields)


def put_lease(connection: sqlite3.Connection, lease_id: str, subject: str, holder: str, expires: str) -> None:
    """Protect ``subject`` until ``expires``; the same id again renews it."""
    connection.execute(
        "INSERT OR REPLACE INTO leases (id, subject, holder, expires) VALUES (?, ?, ?, ?)",
        (lease_id, subject, holder, expires),
    )


def delete_lease(connection: sqlite3.Connection, lease_id: str) -> bool:
    """End a lease; whether there was one."""
    return connection.execute("DELETE FROM leases WHERE id = ?", (lease_id,)).rowcount > 0


def list_active_leases(connection: sqlite3.Connection, now: str | None = None) -> list[Lease]:
    """Return the leases that have not expired (at ``now``), by id."""
    query = "SELECT id, subject, holder, expires FROM leases WHERE expires > ? ORDER BY id"
    rows = connection.execute(query, (now or utc_now(),))
    return [Lease(**dict(row)) for row in rows]


def delete_expired_leases(connection: sqlite3.Connection, now: str) -> int:
    """Forget leases that have expired; how many."""
    return connection.execute("DELETE FROM leases WHERE expires <= ?", (now,)).rowcount


def add_pin(connection: sqlite3.Connection, subject: str) -> None:
    """Protect an artifact's id or a lock digest until it is unpinned."""
    connection.execute("INSERT OR IGNORE INTO pins (subject, created) VALUES (?, ?)", (subject, utc_now()))


def delete_pin(connection: sqlite3.Connection, subject: str) -> bool:
    """End a pin; whether there was one."""
    return connection.execute("DELETE FROM pins WHERE subject = ?", (subject,)).rowcount > 0


def list_pins(connection: sqlite3.Connection) -> list[str]:
    """What is pinned."""
    return [row["subject"] for row in connection.execute("SELECT subject FROM pins ORDER BY subject")]


def protections(connection: sqlite3.Connection, artifact_id: str, key: str, now: str) -> tuple[str, ...]:
    """``pin`` and ``lease:<id>`` for everything in the index that protects an artifact, by its id or its key."""
    subjects = (artifact_id, key)
    pinned = connection.execute("SELECT 1 FROM pins WHERE subject IN (?, ?)", subjects).fetchone()
    held = connection.execute(
        "SELECT id FROM leases WHERE subject IN (?, ?) AND expires > ? ORDER BY id", (*subjects, now)
    ).fetchall()
    return (*(("pin",) if pinned else ()), *(f"lease:{row['id']}" for row in held))


class ArtifactTable(Queries):
    """``index.artifacts``: prefixes, and images in an engine."""

    find_ready = Read(find_ready_artifact)
    find = Read(find_artifact)
    list_all = Scan(list_artifacts)
    insert_building = Write(insert_building)
    mark_retired = Write(mark_retired)
    mark_deleting = Write(mark_deleting)
    delete = Write(delete_artifact_row)
    touch = Write(touch_artifact)


class LeaseTable(Queries):
    """``index.leases``: protection of an artifact, by its id or key, until a time."""

    put = Write(put_lease)
    delete = Write(delete_lease)
    list_active = Read(list_active_leases)


class PinTable(Queries):
    """``index.pins``: protection of an artifact, by its id or key, until the pin is deleted."""

    add = Write(add_pin)
    delete = Write(delete_pin)
    list_all = Read(list_pins)
