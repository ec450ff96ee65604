"""Recovery before a store is served: the effects of ``reconcile``, and the end of what a dead daemon left open.

Every step may be interrupted and repeated. Recovery never makes an artifact ready.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

import msgspec

from roost.model.records import Artifact
from roost.store.artifacts.publish import discard_content
from roost.store.artifacts.reconcile import Action, Listing, Row, reconcile
from roost.store.clock import utc_now
from roost.store.disk.file_ops import list_names, remove_tree
from roost.store.disk.layer_files import delete_blobs, find_stray_blobs
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import create_lease, is_held
from roost.store.disk.removal import delete_counting
from roost.store.disk.run_folders import read_outcome
from roost.store.disk.worker_folders import wait_for_workers
from roost.store.failpoints import failpoint
from roost.store.index.index import Index

_TRASH_SECONDS = 1.0
_LEASE_SUFFIX = ".lease"
_DESCRIPTIONS = Layout.descriptions_of("")

DAEMON_STOPPED: dict[str, object] = {
    "code": "daemon-stopped",
    "message": "The daemon ended during this build",
    "hint": "Request it again; what was already fetched is kept.",
    "retryable": True,
    "fields": {},
    "location": None,
    "exit_status": 4,
}
"""Error body of builds that a dead daemon left open."""


class RecoveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a recovery."""

    actions: tuple[Action, ...] = ()
    failed_builds: tuple[str, ...] = ()
    ended_runs: dict[str, str] = {}
    """Run id to the state it has now: ``succeeded``, ``failed``, ``lost`` …"""
    live_runs: tuple[str, ...] = ()
    """Ids of runs whose supervisor is alive, or that are in a container."""


async def recover(layout: Layout, index: Index) -> RecoveryReport:
    """Make rows and content agree, empty ``stage/``, ``trash/`` and ``launch/``, fail open builds, end open runs whose
    processes have ended. Waits first until the workers of an earlier daemon have ended.

    Raises WorkersAliveError.
    """
    await asyncio.to_thread(wait_for_workers, layout)
    await asyncio.to_thread(empty_folder, layout.launch)
    failpoint("recover.launch-wiped")
    actions = await _reconcile_prefixes(layout, index)
    await _delete_stray_layers(layout, index)
    await asyncio.to_thread(_empty_leftovers, layout)
    failed = await index.fail_open_builds(DAEMON_STOPPED)
    failpoint("recover.builds-ended")
    ended, live = await _end_finished_runs(layout, index)
    failpoint("recover.done")
    return RecoveryReport(actions=tuple(actions), failed_builds=tuple(failed), ended_runs=ended, live_runs=tuple(live))


def empty_folder(path: str) -> None:
    """Delete everything in a folder, but not the folder."""
    for name in list_names(path):
        remove_tree(os.path.join(path, name))


async def _delete_stray_layers(layout: Layout, index: Index) -> None:
    """Delete blobs that were moved into place without a committed row. (A row without its blob is noticed when the
    layer is used.)"""
    known = [layer.digest for layer in await index.layers.list_all()]
    await asyncio.to_thread(lambda: delete_blobs(layout, find_stray_blobs(layout, known)))
    failpoint("recover.layers-swept")


def _empty_trash(path: str) -> None:
    """Delete what is in the trash as far as that takes a moment: a start must not wait for gigabytes, which nothing can
    use any more. The rest goes in idle time."""
    deadline = time.monotonic() + _TRASH_SECONDS
    for name in list_names(path):
        delete_counting(os.path.join(path, name), stops=lambda: time.monotonic() > deadline)


def _empty_leftovers(layout: Layout) -> None:
    empty_folder(layout.stage)
    failpoint("recover.stage-emptied")
    _empty_trash(layout.trash)
    failpoint("recover.trash-emptied")
    empty_folder(layout.workers)
    failpoint("recover.workers-emptied")
    remove_tree(os.path.join(layout.wheels, "tmp"))  # scratch files of uv: their URLs may contain tokens
    failpoint("recover.scratch-removed")


async def _reconcile_prefixes(layout: Layout, index: Index) -> list[Action]:
    artifacts = [artifact for artifact in await index.artifacts.list_all() if artifact.kind == "prefix"]
    # The builds of a dead daemon have ended, although their leases end later in the recovery.
    ended = {lease.id for lease in await index.leases.list_active() if lease.is_of_build}
    leased = await index.leases.map_protected()
    protected = {artifact for artifact, leases in leased.items() if set(leases) - ended}
    protected |= set(await index.pins.list_all())
    listing = await asyncio.to_thread(_list_prefixes, layout)
    failpoint("recover.listed")
    actions = reconcile([_reconcile_row(artifact, protected) for artifact in artifacts], listing)
    for action in actions:
        await _apply_action(layout, index, action)
        failpoint(f"recover.{action.do}")
    return actions


def _reconcile_row(artifact: Artifact, protected: set[str]) -> Row:
    return Row(
        id=artifact.id,
        name=os.path.basename(artifact.path),
        state=artifact.state,
        protected=artifact.id in protected or artifact.key in protected,
    )


def _list_prefixes(layout: Layout) -> Listing:
    names = list_names(layout.prefixes)
    leases = {name.removesuffix(_LEASE_SUFFIX) for name in names if name.endswith(_LEASE_SUFFIX)}
    held = {name for name in leases if is_held(layout.lease_of(os.path.join(layout.prefixes, name)))}
    return Listing(
        prefixes=frozenset(name for name in names if not name.endswith((_LEASE_SUFFIX, *_DESCRIPTIONS))),
        leases=frozenset(leases),
        described=frozenset(os.path.splitext(name)[0] for name in names if name.endswith(_DESCRIPTIONS)),
        held=frozenset(held),
    )


async def _apply_action(layout: Layout, index: Index, action: Action) -> None:
    path = os.path.join(layout.prefixes, action.name)
    if action.do == "discard":
        await asyncio.to_thread(discard_content, layout, path)
    elif action.do == "restore-lease":
        await asyncio.to_thread(_restore_lease, layout.lease_of(path))
    elif action.do == "retire":
        await index.artifacts.mark_retired(action.id)
    else:
        await index.artifacts.delete(action.id)


def _restore_lease(path: str) -> None:
    with suppress(FileExistsError):
        create_lease(path)


async def _end_finished_runs(layout: Layout, index: Index) -> tuple[dict[str, str], list[str]]:
    """Write the end of runs that ended without a daemon; those that are alive stay open; the others are lost."""
    changes: dict[str, dict[str, object]] = {}
    live: list[str] = []
    for run in await index.runs.list_open():
        outcome = await asyncio.to_thread(read_outcome, layout.run_folder(run.id))
        if outcome.state == "running" or run.target == "docker":  # only the engine knows the state of a container
            live.append(run.id)
            continue
        changes[run.id] = {
            "state": outcome.state,
            "exit_status": outcome.exit_status,
            "ended": outcome.ended or utc_now(),
        }
    if changes:
        await index.end_open_runs(changes)
    return {run_id: str(fields["state"]) for run_id, fields in changes.items()}, live
