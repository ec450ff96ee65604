"""The repair of a root that no daemon has: modes, the index, then what lies in the root.

Every step may be interrupted: the next repair begins again and finds what is left. The root stays locked by one process
throughout, as by a daemon.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import assert_never

from roost.daemon.definitions.stamps import is_unchanged
from roost.daemon.integrity.manifest import ManifestDamagedError
from roost.daemon.integrity.records import find_lock_mismatches
from roost.daemon.integrity.trees import load_manifest
from roost.daemon.prefixes.seal import renew_stamps
from roost.daemon.repair.findings import RootFault
from roost.daemon.repair.inspection import inspect_root
from roost.daemon.repair.modes import repair_modes
from roost.model.errors import StoreError
from roost.model.locks.lock import Lock
from roost.model.records import Artifact, FileStamp
from roost.store.artifacts.reconcile import Action
from roost.store.artifacts.records import ensure_record
from roost.store.disk.file_ops import remove_tree
from roost.store.disk.layout import Layout
from roost.store.disk.root import check_root
from roost.store.disk.root_lock import claim_root
from roost.store.failpoints import failpoint
from roost.store.migrations.examination import find_fault
from roost.store.rebuild.rebuild import RebuildReport, rebuild_index
from roost.store.store import Store
from roost.wire.repairs import RepairView


async def repair_root(root: str, version: str) -> RepairView:
    """Repair a root and return what was done.

    Raises:
        StoreRefusedError: the root can't be used, or a daemon has it (``root-in-use``).
        StoreFullError, StoreError: the index could not be rebuilt; the root is as before.
    """
    layout = Layout(root)
    modes = await asyncio.to_thread(repair_modes, root)
    failpoint("repair.modes-done")
    await asyncio.to_thread(check_root, root)
    rebuilt, fault = await asyncio.to_thread(_repair_index, layout, version)
    failpoint("repair.index-done")
    view = RepairView(root=root, done=modes)
    if rebuilt is not None:
        view.done += [
            str(fault),
            f"{rebuilt.index}: built again from {', '.join(rebuilt.sources) or 'what lies beside prefixes and runs'}",
            *(f"{path}: the damaged index, which stays until you delete it" for path in rebuilt.kept),
        ]
        view.lost, view.prefixes, view.kept = [*rebuilt.lost], [*rebuilt.prefixes], [*rebuilt.kept]
    store = await Store.open(root, "", version)
    try:
        view.done += [_describe(layout, action) for action in store.recovery.actions]
        view.done += await _repair_content(store)
        failpoint("repair.content-done")
        left = await inspect_root(layout, store.index, 0)
    finally:
        await store.close()
    view.left = [f"{os.path.join(root, each.path)} {each.message}" for each in left if each.repairable]
    return view


def _repair_index(layout: Layout, version: str) -> tuple[RebuildReport | None, StoreError | None]:
    """Build the index again if it has a fault. Return what that gave, and the fault."""
    lock = claim_root(layout)
    try:
        fault = find_fault(layout)
        if fault is None:
            return None, None
        return rebuild_index(layout, compare_prefix, version), fault
    finally:
        lock.release()


def compare_prefix(artifact: Artifact, lock: Lock) -> tuple[FileStamp, ...] | str:
    """Compare every byte of a prefix with its manifest, and that with ``lock``; return new stamps, or what differs.
    Blocking."""
    try:
        manifest = load_manifest(Layout.manifest_of(artifact.path), artifact.manifest)
    except ManifestDamagedError as error:
        return error.message
    if mismatches := find_lock_mismatches(manifest, lock):
        return f"its packages are not those of its lock ({mismatches[0]})"
    stamps = renew_stamps(artifact)
    if stamps is not None:
        return stamps
    outside = [stamp.path for stamp in artifact.stamps if not _is_inside(stamp, artifact) and not is_unchanged(stamp)]
    return f"{outside[0]}, which it rests on, has changed" if outside else "it differs from what was built"


def _is_inside(stamp: FileStamp, artifact: Artifact) -> bool:
    return os.path.realpath(stamp.path).startswith(os.path.realpath(artifact.path) + os.sep)


def _describe(layout: Layout, action: Action) -> str:
    path = os.path.join(layout.prefixes, action.name)
    match action.do:
        case "discard":
            return f"{path}: deleted, since the index has no complete prefix there"
        case "restore-lease":
            return f"{path}.lease: created again"
        case "drop":
            return f"prefix {action.id}: its row is deleted, since its content does not exist"
        case "retire":
            return f"prefix {action.id}: it was being deleted and is in use; it goes with its last process"
    assert_never(action.do)


async def _repair_content(store: Store) -> list[str]:
    done: list[str] = []
    for finding in await inspect_root(store.layout, store.index, 0):
        if finding.repairable:
            line = await _repair_finding(store, finding)
            if line:
                done.append(f"{os.path.join(store.layout.root, finding.path)} {finding.message}: {line}")
                failpoint("repair.finding-done")
    return done


async def _repair_finding(store: Store, finding: RootFault) -> str:
    """Return what was done about a finding; nothing if it stays."""
    path = os.path.join(store.layout.root, finding.path)
    folder, _, name = finding.path.partition("/")
    match finding.kind:
        case "leftover" | "trash":
            return "deleted" if await asyncio.to_thread(remove_tree, path) else ""
        case "orphan" if folder == "runs":
            return "recorded again" if await store.index.upkeep.restore_run(path) else ""
        case "missing" if folder == "layers":
            digest = f"sha256:{name.removesuffix('.tar.gz')}"
            await store.index.layers.delete([digest])
            return "it is written again when it is needed"
        case "missing" if path.endswith(".record"):
            return "written again" if await _write_record(store, path.removesuffix(".record")) else ""
        case "missing" if path.endswith(".manifest"):
            return await _retire(store, path.removesuffix(".manifest"), "the prefix is built again when it is needed")
        case "unsealed":
            return await _seal(store, path)
    return ""


async def _find_prefix(store: Store, path: str) -> Artifact | None:
    found = [each for each in await store.index.artifacts.list_all() if each.path == path and each.state == "ready"]
    return found[0] if found else None


async def _write_record(store: Store, path: str) -> bool:
    """Write the record of a prefix from the index. Return whether it was written: a full disk ends no repair."""
    artifact = await _find_prefix(store, path)
    with suppress(StoreError):
        return artifact is not None and await ensure_record(store.index, artifact.id)
    return False


async def _retire(store: Store, path: str, line: str) -> str:
    artifact = await _find_prefix(store, path)
    if artifact is None:
        return ""
    await store.artifacts.retire_prefix(artifact.id)
    return line


async def _seal(store: Store, path: str) -> str:
    """Make the folders of a prefix read-only again, if nothing else in it has changed."""
    artifact = await _find_prefix(store, path)
    if artifact is None:
        return ""
    stamps = await asyncio.to_thread(renew_stamps, artifact)
    if stamps is None:
        return await _retire(store, path, "it differs from what was built, and is built again when it is needed")
    await store.index.artifacts.put_seal(artifact.id, stamps, artifact.manifest)
    return "read-only again"
