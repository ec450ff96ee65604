"""Transactions that span several table families, and the one snapshot of a plan.

The commit point of publishing a prefix or an image, the begin and end of a run, a version with its lock, and the end of
what a daemon that died left open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from roost.model.errors import StoreError
from roost.model.locks.lock import Lock
from roost.model.records import (
    Artifact,
    BuildRecord,
    Event,
    Generation,
    ImageRecord,
    IndexFacts,
    Known,
    NewGeneration,
    NewVersion,
    Registered,
    RunRecord,
)
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index import artifacts
from roost.store.index.definitions import is_known, is_last_sighting, put_settings, record_sighting
from roost.store.index.environments import register_version
from roost.store.index.generations import add_generation, complete_base, find_current_generation, find_generation
from roost.store.index.history import append_event, estimate_durations
from roost.store.index.images import put_image
from roost.store.index.locks import put_lock
from roost.store.index.records import (
    OPEN_BUILD_STATES,
    OPEN_RUN_STATES,
    find_record,
    insert_record,
    list_records_in,
    update_record,
)


def load_facts(
    connection: sqlite3.Connection,
    definition_digest: str,
    platform: str,
    steps: Sequence[str] = (),
    *,
    number: int | None = None,
) -> IndexFacts:
    """Return all that a plan needs from the index; ``number`` asks for that generation instead of the current one."""
    if number is None:
        found = find_current_generation(connection, definition_digest, platform)
    else:
        found = find_generation(connection, definition_digest, platform, number)
    return IndexFacts(
        known=found is not None or is_known(connection, definition_digest),
        generation=found,
        lock_known=found is not None,  # the schema lets no generation refer to a lock that is not there
        artifact=artifacts.find_ready_artifact(connection, "prefix", found.lock_digest) if found else None,
        estimates=estimate_durations(connection, steps),
    )


def publish_rows(
    connection: sqlite3.Connection, artifact: Artifact, lock: Lock, generation: NewGeneration | None
) -> Artifact:
    """Make the artifact ready together with its lock and generation. If another one of the same key became ready
    meanwhile, that one is returned, the generation points at the lock as well, and ours stays ``building``."""
    put_lock(connection, lock)
    if generation is not None:
        add_generation(connection, generation, lock)
    existing = artifacts.find_ready_artifact(connection, artifact.kind, artifact.key)
    if existing is not None:
        return existing
    artifacts.mark_ready(connection, artifact)
    failpoint("publish.in-transaction")
    ready = artifacts.find_artifact(connection, artifact.id)
    if ready is None or ready.state != "ready":
        raise StoreError(
            f"The index lost the row of {artifact.path} while it was being filled",
            hint="Try again; if it happens again, look at `roost doctor`.",
            fields={"artifact": artifact.id},
        )
    return ready


def publish_image(
    connection: sqlite3.Connection,
    artifact: Artifact | None,
    image: ImageRecord,
    lock: Lock,
    generation: NewGeneration | Generation | None,
) -> tuple[Artifact | None, Generation | None]:
    """One transaction: the lock, the generation (a new one, or one that gets its base), the image, and with
    ``artifact`` that the engine has it."""
    put_lock(connection, lock)
    numbered = _resolve_generation(connection, generation, image, lock)
    put_image(connection, image)
    ready = _make_ready(connection, artifact) if artifact is not None else None
    failpoint("image.in-transaction")
    return ready, numbered


def _resolve_generation(
    connection: sqlite3.Connection, generation: NewGeneration | Generation | None, image: ImageRecord, lock: Lock
) -> Generation | None:
    if isinstance(generation, NewGeneration):
        whole = msgspec.structs.replace(generation, base_digest=image.base_digest, steps_digest=image.steps_digest)
        return add_generation(connection, whole, lock)
    if generation is not None and generation.base_digest is None:
        return complete_base(connection, generation, image.base_digest, image.steps_digest)
    return generation


def _make_ready(connection: sqlite3.Connection, artifact: Artifact) -> Artifact:
    """The one row of a key; an image that was lost and made again keeps its id."""
    there = artifacts.find_ready_artifact(connection, artifact.kind, artifact.key)
    if there is not None:
        connection.execute(
            "UPDATE artifacts SET path = ?, bytes = ?, last_used = ? WHERE id = ?",
            (artifact.path, artifact.bytes, artifact.last_used, there.id),
        )
        return msgspec.structs.replace(there, path=artifact.path, bytes=artifact.bytes, last_used=artifact.last_used)
    artifacts.insert_ready(connection, artifact)
    return artifact


def register_locked(
    connection: sqlite3.Connection, new: NewVersion, generation: NewGeneration, lock: Lock
) -> Registered:
    """Register ``new`` with the lock that came along as its first generation; one that is there stays current."""
    registered = register_version(connection, new)
    query = "SELECT 1 FROM generations WHERE definition_digest = ? AND platform = ?"
    if connection.execute(query, (generation.definition_digest, generation.platform)).fetchone() is None:
        add_generation(connection, generation, lock)
        failpoint("register-locked")
    return registered


def begin_run(
    connection: sqlite3.Connection,
    run: RunRecord,
    seen: Known,
    settings: bytes,
    kind: str,
    fields: Mapping[str, object],
) -> tuple[RunRecord, Event]:
    """Keep a new run, the definition (as it was ``seen``) and the canonical settings that it runs in, and the event
    ``kind`` that tells of it."""
    if not is_last_sighting(connection, seen.digest, seen.name, seen.source):
        record_sighting(connection, seen.digest, seen.canonical, seen.name, seen.source)
    put_settings(connection, run.settings_digest, settings)
    insert_record(connection, run)
    return run, append_event(connection, kind, fields)


def end_run(
    connection: sqlite3.Connection, run_id: str, end: Mapping[str, object], kind: str, fields: Mapping[str, object]
) -> tuple[RunRecord, Event | None]:
    """Change a run to one that is over, and keep the event that tells of it; one that is over stays as it is, and
    tells nothing. Raises as ``update_record``."""
    found = find_record(connection, RunRecord, run_id)
    if found is not None and found.state not in OPEN_RUN_STATES:
        return found, None
    return update_record(connection, RunRecord, run_id, end), append_event(connection, kind, fields)


def wait_for_writes(connection: sqlite3.Connection) -> None:
    """An empty transaction: when it is over, all that were begun before it are."""


def end_builds(connection: sqlite3.Connection, error: Mapping[str, object]) -> list[str]:
    """Fail what a daemon that is gone was building, and end the leases of builds; the ids of those builds."""
    open_builds = list_records_in(connection, BuildRecord, OPEN_BUILD_STATES)
    for build in open_builds:
        fields = {"state": "failed", "ended": utc_now(), "error": dict(error)}
        update_record(connection, BuildRecord, build.id, fields)
    connection.execute("DELETE FROM leases WHERE holder LIKE 'build:%'")
    artifacts.delete_expired_leases(connection, utc_now())
    return [build.id for build in open_builds]


def end_runs(connection: sqlite3.Connection, outcomes: Mapping[str, Mapping[str, object]]) -> None:
    """Write what became of runs, by id; a run that has ended in the meantime keeps its end."""
    for run in list_records_in(connection, RunRecord, OPEN_RUN_STATES):
        if run.id in outcomes:
            update_record(connection, RunRecord, run.id, outcomes[run.id])
