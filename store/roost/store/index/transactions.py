"""Transactions that span several table families, and the snapshot that a plan is made from.

In this order: the facts of a plan; the commit points of publishing a prefix and an image; a version with its lock; a
bundle; the begin and end of a run; recovery of what a dead daemon left open. ``Index`` offers each as a method.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence

import msgspec

from roost.model.errors import StoreError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import (
    Artifact,
    BaseRecord,
    BuildRecord,
    Event,
    Generation,
    ImageRecord,
    IndexFacts,
    KnownDefinition,
    NewGeneration,
    NewVersion,
    RegistrationResult,
    RunRecord,
)
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.index.tables import artifacts
from roost.store.index.tables.caches import touch_used_files
from roost.store.index.tables.definitions import is_known, is_last_sighting, put_settings, record_sighting
from roost.store.index.tables.environments import VersionTakenError, register_version
from roost.store.index.tables.generations import (
    add_generation,
    complete_base,
    find_current_generation,
    find_generation,
    find_generation_of_lock,
    list_generations,
)
from roost.store.index.tables.history import append_event
from roost.store.index.tables.images import put_base, put_image
from roost.store.index.tables.leases import delete_expired_leases
from roost.store.index.tables.locks import put_lock
from roost.store.index.tables.records import (
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
    *,
    number: int | None = None,
    lock: str | None = None,
) -> IndexFacts:
    """Return all that a plan needs from the index; ``number`` asks for that generation instead of the current one,
    ``lock`` for that with the lock which a lock file states."""
    if lock is not None:
        found = find_generation_of_lock(connection, definition_digest, platform, lock)
    elif number is None:
        found = find_current_generation(connection, definition_digest, platform)
    else:
        found = find_generation(connection, definition_digest, platform, number)
    return IndexFacts(
        known=found is not None or is_known(connection, definition_digest),
        generation=found,
        lock_known=found is not None,  # a foreign key: every generation refers to a stored lock
        artifact=artifacts.find_ready_artifact(connection, "prefix", found.lock_digest) if found else None,
    )


def publish_prefix(
    connection: sqlite3.Connection, artifact: Artifact, lock: Lock, generation: NewGeneration | None
) -> Artifact:
    """Make a prefix ready, store its lock, and add its generation: the commit point of publishing.

    If another artifact of the same key became ready meanwhile, return that one; the generation is added all the same,
    and ``artifact`` stays ``building``.

    Raises:
        StoreError: the row of ``artifact`` no longer exists.
    """
    put_lock(connection, lock)
    if generation is not None:
        add_generation(connection, generation, lock)
    touch_used_files(connection, artifact.id)
    existing = artifacts.find_ready_artifact(connection, artifact.kind, artifact.key)
    if existing is not None:
        return existing
    artifacts.mark_ready(connection, artifact)
    failpoint("publish.in-transaction")
    ready = artifacts.find_artifact(connection, artifact.id)
    if ready is None or ready.state != "ready":
        raise StoreError(
            f"The index lost the row of {artifact.path} while it was being filled",
            hint="Try again; if it happens again, see `roost doctor`.",
            fields={"artifact": artifact.id},
        )
    return ready


def reuse_prefix(
    connection: sqlite3.Connection, key: str, lock: Lock, generation: NewGeneration | None
) -> Artifact | None:
    """Return the ready prefix of ``key``, and add a generation of it; ``None``, and nothing is added, if there is
    none any more."""
    existing = artifacts.find_ready_artifact(connection, "prefix", key)
    if existing is not None:
        put_lock(connection, lock)
        if generation is not None:
            add_generation(connection, generation, lock)
    return existing


def publish_image(
    connection: sqlite3.Connection,
    artifact: Artifact | None,
    image: ImageRecord,
    lock: Lock,
    generation: NewGeneration | Generation | None,
) -> tuple[Artifact | None, Generation | None]:
    """Record a complete image with its lock and generation: the commit point of an image.

    A ``NewGeneration`` is numbered, with the base of the image; a ``Generation`` without a base gets that of the image.
    ``artifact``, if given, records that the engine has the image. Return the artifact and the generation as stored.
    """
    put_lock(connection, lock)
    stored: Generation | None
    if isinstance(generation, NewGeneration):
        new = msgspec.structs.replace(generation, base_digest=image.base_digest, steps_digest=image.steps_digest)
        stored = add_generation(connection, new, lock)
    elif generation is not None and generation.base_digest is None:
        stored = complete_base(connection, generation, image.base_digest, image.steps_digest)
    else:
        stored = generation
    put_image(connection, image)
    ready = artifacts.put_ready_artifact(connection, artifact) if artifact is not None else None
    failpoint("image.in-transaction")
    return ready, stored


def register_locked(
    connection: sqlite3.Connection, new: NewVersion, generation: NewGeneration, lock: Lock
) -> RegistrationResult:
    """Register ``new``, and make ``lock`` the first generation of its definition if that has none on the platform."""
    registered = register_version(connection, new)
    query = "SELECT 1 FROM generations WHERE definition_digest = ? AND platform = ?"
    if connection.execute(query, (generation.definition_digest, generation.platform)).fetchone() is None:
        add_generation(connection, generation, lock)
        failpoint("register-locked")
    return registered


def record_bundle(
    connection: sqlite3.Connection, versions: Sequence[tuple[NewVersion, NewGeneration, Lock, BaseRecord | None]]
) -> list[tuple[RegistrationResult, Generation]]:
    """Register the versions of a bundle, each with its lock and its base, or none of them.

    A number that another version has here is not taken: the next one is. A definition that has a lock here keeps it,
    and the bundle's becomes a further generation, which is not current.
    """
    recorded: list[tuple[RegistrationResult, Generation]] = []
    for new, generation, lock, base in versions:
        try:
            registered = register_version(connection, new)
        except VersionTakenError:
            registered = register_version(connection, msgspec.structs.replace(new, number=None))
        if base is not None:
            put_base(connection, base)
        recorded.append((registered, _add_bundled_generation(connection, generation, lock)))
        failpoint("bundle.in-transaction")
    return recorded


def _add_bundled_generation(connection: sqlite3.Connection, new: NewGeneration, lock: Lock) -> Generation:
    known = [each for each in list_generations(connection, new.definition_digest) if each.platform == new.platform]
    digest = digest_lock(lock)
    same = (digest, new.base_digest, new.steps_digest)
    for each in sorted(known, key=lambda each: not each.current):
        if (each.lock_digest, each.base_digest, each.steps_digest) == same:
            return each
        if each.lock_digest == digest and each.base_digest is None and new.base_digest is not None:
            return complete_base(connection, each, new.base_digest, new.steps_digest)
    return add_generation(connection, new, lock, current=not known)


def begin_run(
    connection: sqlite3.Connection,
    run: RunRecord,
    seen: KnownDefinition,
    settings: bytes,
    kind: str,
    fields: Mapping[str, object],
    *,
    create_folder: Callable[[], None] | None = None,
) -> tuple[RunRecord, Event]:
    """Insert a new run with its definition (as it was ``seen``), its canonical settings and the event ``kind``. A run
    is a use of its image, at its start and at its end.

    ``create_folder`` is called first, here because another hop to a thread would cost more than it does. Nothing is
    recorded if it fails.
    """
    if create_folder is not None:
        create_folder()
    if not is_last_sighting(connection, seen.digest, seen.name, seen.source):
        record_sighting(connection, seen.digest, seen.canonical, seen.name, seen.source)
    put_settings(connection, run.settings_digest, settings)
    insert_record(connection, run)
    artifacts.touch_image(connection, run.artifact_id)
    return run, append_event(connection, kind, fields)


def mark_running(connection: sqlite3.Connection, run_id: str, started: str) -> RunRecord:
    """Record that the command of a run has started, and return the run. One that has ended stays as it is.

    Raises:
        RecordUnknownError: there is no run of that id.
    """
    found = find_record(connection, RunRecord, run_id)
    if found is not None and found.state not in OPEN_RUN_STATES:
        return found
    first = found.started if found is not None and found.started is not None else started
    return update_record(connection, RunRecord, run_id, {"state": "running", "started": first})


def end_run(
    connection: sqlite3.Connection, run_id: str, end: Mapping[str, object], kind: str, fields: Mapping[str, object]
) -> tuple[RunRecord, Event | None]:
    """Write the end of a run and the event ``kind``. A run that has ended already stays as it is, without an event.
    ``started`` in ``end`` counts if no start is recorded.

    Raises:
        RecordUnknownError: there is no run of that id.
    """
    found = find_record(connection, RunRecord, run_id)
    if found is not None and found.state not in OPEN_RUN_STATES:
        return found, None
    if found is not None and found.started is not None:
        end = {**end, "started": found.started}
    ended = update_record(connection, RunRecord, run_id, end)
    artifacts.touch_image(connection, ended.artifact_id)
    return ended, append_event(connection, kind, fields)


def wait_for_writes(connection: sqlite3.Connection) -> None:
    """Run an empty transaction. Once it has ended, all transactions that were begun before it have ended too."""


def fail_open_builds(connection: sqlite3.Connection, error: Mapping[str, object]) -> list[str]:
    """Fail the builds that a dead daemon left open, end the leases of builds, and return the ids of those builds."""
    open_builds = list_records_in(connection, BuildRecord, OPEN_BUILD_STATES)
    for build in open_builds:
        fields = {"state": "failed", "ended": utc_now(), "error": dict(error)}
        update_record(connection, BuildRecord, build.id, fields)
    connection.execute("DELETE FROM leases WHERE holder LIKE 'build:%'")
    delete_expired_leases(connection, utc_now())
    return [build.id for build in open_builds]


def end_open_runs(connection: sqlite3.Connection, outcomes: Mapping[str, Mapping[str, object]]) -> None:
    """Write the ends of open runs, by run id; a run that has ended in the meantime keeps its end."""
    for run in list_records_in(connection, RunRecord, OPEN_RUN_STATES):
        if run.id in outcomes:
            update_record(connection, RunRecord, run.id, outcomes[run.id])
