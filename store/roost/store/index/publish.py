"""Transactions that span several tables: the commit point of publishing, the end of a daemon's unfinished work."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from roost.model.errors import StoreError
from roost.model.locks.lock import Lock
from roost.model.records import Artifact, BuildRecord, NewGeneration, RunRecord
from roost.store.clock import utc_now
from roost.store.disk.failpoints import failpoint
from roost.store.index import artifacts, generations, history
from roost.store.index.definitions import put_lock


def publish_rows(
    connection: sqlite3.Connection, artifact: Artifact, lock: Lock, generation: NewGeneration | None
) -> Artifact:
    """Make the artifact ready together with its lock and generation. If another one of the same key became ready
    meanwhile, that one is returned, the generation points at the lock as well, and ours stays ``building``."""
    put_lock(connection, lock)
    if generation is not None:
        generations.add_generation(connection, generation, lock)
    existing = artifacts.ready_artifact(connection, artifact.kind, artifact.key)
    if existing is not None:
        return existing
    artifacts.mark_ready(connection, artifact)
    failpoint("publish.in-transaction")
    ready = artifacts.artifact(connection, artifact.id)
    if ready is None or ready.state != "ready":
        raise StoreError(
            f"The index lost the row of {artifact.path} while it was being filled",
            hint="Try again; if it happens again, look at `roost doctor`.",
            fields={"artifact": artifact.id},
        )
    return ready


def nothing(connection: sqlite3.Connection) -> None:
    """An empty transaction: when it is over, all that were begun before it are."""


def end_builds(connection: sqlite3.Connection, error: Mapping[str, object]) -> list[str]:
    """Fail what a daemon that is gone was building, and end the leases of builds; the ids of those builds."""
    open_builds = history.records_in(connection, BuildRecord, ("queued", "solving", "building"))
    for build in open_builds:
        fields = {"state": "failed", "ended": utc_now(), "error": dict(error)}
        history.update_record(connection, BuildRecord, build.id, fields)
    connection.execute("DELETE FROM leases WHERE holder LIKE 'build:%'")
    artifacts.drop_expired_leases(connection, utc_now())
    return [build.id for build in open_builds]


def end_runs(connection: sqlite3.Connection, outcomes: Mapping[str, Mapping[str, object]]) -> None:
    """Write what became of runs, by id; a run that has ended in the meantime keeps its end."""
    for run in history.records_in(connection, RunRecord, ("queued", "preparing", "running")):
        if run.id in outcomes:
            history.update_record(connection, RunRecord, run.id, outcomes[run.id])
