"""``roost cache verify``: compare every byte of every prefix with its manifest, and of every image layer with its
digest, and repair what differs.

Prefixes share files with the cache and with each other by hard links, so an edit in place in one changes all of them.
The repair starts at the source: the caches are verified and cleaned first, then each altered prefix is retired (no plan
uses it any more; it is deleted when nobody uses it) and built again at another path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from roost.daemon.config.ids import new_id
from roost.daemon.engines.engine_set import Engines
from roost.daemon.prefixes.adoption import Adoption
from roost.daemon.prefixes.builds import PrefixBuilds, PrefixRequest
from roost.daemon.prefixes.bytecode_digests import drop_damaged
from roost.daemon.prefixes.check import FileChange, Inspection, inspect_prefix
from roost.daemon.prefixes.late_bytecode import LateBytecode
from roost.model.locks.lock import Lock
from roost.model.records import Artifact
from roost.store.disk.layer_files import delete_blobs, is_intact
from roost.store.store import Store

_MOST_FILES = 20
"""How many altered files of a prefix are named."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An altered prefix. ``changes`` are the first of its altered files (``files``: their paths), ``count`` is the
    number of all."""

    artifact: str
    path: str
    files: list[str]
    changes: list[FileChange]
    count: int
    replaced_by: str | None = None
    """Path of the prefix that was built instead."""
    protected_again: bool = False
    """Whether only modes of folders differed, and were set again."""
    retired: bool = False
    """Whether no command uses it any more, and the next one that needs it builds it again: a project layer."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Result of checking all prefixes."""

    prefixes: int
    """How many were checked."""
    findings: list[Finding]
    packages: list[str]
    """Names of the packages that were dropped from the caches, to be fetched again."""
    rewritten: int = 0
    """Number of byte-code files that Python replaced since their prefixes were built. A repair deletes them."""
    deleted: int = 0
    """Number of byte-code files that a repair deleted, with those that are in no record: they are compiled again."""
    older: int = 0
    """Number of prefixes of an older format, without a manifest, that were compared with the records of their packages.
    Those without differences have a manifest from now on."""
    layers: list[str] = []
    """Digests of the image layers that are missing or altered. A repair deletes them."""


class _Checked(msgspec.Struct, frozen=True):
    artifact: Artifact
    lock: Lock
    found: Inspection


async def verify_ready_prefixes(
    store: Store,
    engines: Engines,
    prefixes: PrefixBuilds,
    adoption: Adoption,
    bytecode: LateBytecode,
    *,
    repair: bool,
) -> Verification:
    """Check all ready prefixes; with ``repair``, replace those that differ. Raises what building them raises."""
    checked: list[_Checked] = []
    for artifact in await store.index.artifacts.list_all():
        if artifact.kind == "prefix" and artifact.state == "ready":
            lock = await store.index.locks.find(artifact.key)
            if lock is not None:
                checked.append(_Checked(artifact, lock, await asyncio.to_thread(inspect_prefix, artifact, lock)))
    packages = await _repair_caches(engines, [each.lock for each in checked]) if repair else []
    layers = await _verify_layers(store, repair=repair)
    findings = [await _report(prefixes, each, repair=repair) for each in checked if each.found.changes]
    older = [each for each in checked if not each.artifact.manifest]
    for each in checked:
        if not each.found.changes:
            await adoption.complete(each.artifact, each.lock)
    rewritten = [path for each in checked for path in each.found.rewritten]
    deleted = 0
    if repair:
        for each in checked:
            deleted += await bytecode.delete_files(each.artifact.id, [*each.found.rewritten, *each.found.unknown])
    return Verification(
        prefixes=len(checked),
        findings=findings,
        packages=packages,
        rewritten=len(rewritten),
        older=len(older),
        layers=layers,
        deleted=deleted,
    )


async def _verify_layers(store: Store, *, repair: bool) -> list[str]:
    """Return the digests of image layers whose blob is missing or has other content; with ``repair``, forget them: they
    are written or fetched again when an image needs them."""
    records = {layer.digest: layer for layer in await store.index.layers.list_all()}
    damaged = [
        digest
        for digest, layer in sorted(records.items())
        if not await asyncio.to_thread(is_intact, store.layout, layer, thorough=True)
    ]
    if repair and damaged:
        await store.index.layers.delete(damaged)
        await asyncio.to_thread(delete_blobs, store.layout, damaged)
    return damaged


async def _report(prefixes: PrefixBuilds, checked: _Checked, *, repair: bool) -> Finding:
    """Return what differs in a prefix, and repair it: replace it, or protect it again if nothing else is needed."""
    artifact, changes = checked.artifact, checked.found.changes
    protected_again, replacement = False, None
    if repair:
        protected_again = checked.found.only_modes and await prefixes.renew(artifact)
        replacement = None if protected_again else await _replace_prefix(prefixes, checked)
    return Finding(
        artifact=artifact.id,
        path=artifact.path,
        files=[change.path for change in changes[:_MOST_FILES]],
        changes=list(changes[:_MOST_FILES]),
        count=len(changes),
        replaced_by=replacement,
        protected_again=protected_again,
        retired=repair and not protected_again and replacement is None,
    )


async def _repair_caches(engines: Engines, locks: Iterable[Lock]) -> list[str]:
    """Drop the altered packages of ``locks`` from the caches; return their names."""
    locks = list(locks)
    packages = {package.sha256: package for lock in locks for package in lock.conda}
    wheels = {wheel.sha256: wheel for lock in locks for wheel in lock.wheels}
    names: set[str] = set()
    if packages:
        names.update(await (await engines.conda()).repair_cache(list(packages.values())))
    if wheels:
        names.update(await (await engines.pip()).repair_cache(list(wheels.values())))
    for lock in locks:
        await asyncio.to_thread(drop_damaged, lock, engines.bytecode_folder)
    return sorted(names)


async def _replace_prefix(prefixes: PrefixBuilds, checked: _Checked) -> str | None:
    """Retire a prefix and build it again; return the new path. A project layer is built again when somebody needs it:
    its build files may have changed since, and its backend runs in builds only."""
    await prefixes.retire(checked.artifact, checked.lock, checked.found.summary)
    if checked.lock.layer is not None:
        return None
    request = PrefixRequest(lock=checked.lock, build_id=new_id("b"), generation=None)
    result = await prefixes.ensure(request, lambda _message: None)
    return result.artifact.path
