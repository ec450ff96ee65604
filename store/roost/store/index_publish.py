"""Transactions that span several tables: the commit point of publishing, the end of a daemon's unfinished work."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from roost.store import index_artifacts, index_generations, index_history
from roost.store.clock import utc_now
from roost.store.errors import StoreError
from roost.store.failpoints import failpoint
from roost.store.index_definitions import put_lock
from roost.store.lock import Lock
from roost.store.records import Artifact, Build, NewGeneration, Run


def publish_rows(
    connection: sqlite3.Connection, artifact: Artifact, lock: Lock, generation: NewGeneration | None
) -> Artifact:
    """Make the artifact ready together with its lock and generation. If another one of the same key became ready
    meanwhile, that one is returned, the generation points at the lock as well, and ours stays ``building``."""
    put_lock(connection, lock)
    if generation is not None:
        index_generations.add_generation(connection, generation, lock)
    existing = index_artifacts.ready_artifact(connection, artifact.kind, artifact.key)
    if existing is not None:
        return existing
    index_artifacts.mark_ready(connection, artifact)
    failpoint("publish.in-transaction")
    ready = index_artifacts.artifact(connection, artifact.id)
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
    open_builds = index_history.records_in(connection, Build, ("queued", "solving", "building"))
    for build in open_builds:
        fields = {"state": "failed", "ended": utc_now(), "error": dict(error)}
        index_history.update_record(connection, Build, build.id, fields)
    connection.execute("DELETE FROM leases WHERE holder LIKE 'build:%'")
    index_artifacts.drop_expired_leases(connection, utc_now())
    return [build.id for build in open_builds]


def end_runs(connection: sqlite3.Connection, outcomes: Mapping[str, Mapping[str, object]]) -> None:
    """Write what became of runs, by id; a run that has ended in the meantime keeps its end."""
    for run in index_history.records_in(connection, Run, ("queued", "preparing", "running")):
        if run.id in outcomes:
            index_history.update_record(connection, Run, run.id, outcomes[run.id])
