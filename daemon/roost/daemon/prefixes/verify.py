"""``roost cache verify``: compare every byte of every prefix with its packages' digests, and repair what differs.

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
from roost.daemon.prefixes.builds import PrefixBuilds, PrefixRequest
from roost.model.locks.lock import Lock
from roost.model.records import Artifact
from roost.store.store import Store

_MOST_FILES = 20
"""How many altered files of a prefix are named."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An altered prefix. ``files`` are the first of its altered files, ``count`` is the number of all."""

    artifact: str
    path: str
    files: list[str]
    count: int
    replaced_by: str | None = None
    """Path of the prefix that was built instead."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """Result of checking all prefixes."""

    prefixes: int
    """How many were checked."""
    findings: list[Finding]
    packages: list[str]
    """Names of the packages that were dropped from the caches, to be fetched again."""


async def verify_ready_prefixes(
    store: Store, engines: Engines, prefixes: PrefixBuilds, *, repair: bool
) -> Verification:
    """Check all ready prefixes; with ``repair``, replace those that differ. Raises what building them raises."""
    from roost.daemon.prefixes.check import find_altered_files

    checked: list[tuple[Artifact, Lock, list[str]]] = []
    for artifact in await store.index.artifacts.list_all():
        if artifact.kind == "prefix" and artifact.state == "ready":
            lock = await store.index.locks.find(artifact.key)
            if lock is not None:
                files = await asyncio.to_thread(find_altered_files, artifact.path, lock)
                checked.append((artifact, lock, files))
    altered = [(artifact, lock, files) for artifact, lock, files in checked if files]
    packages: list[str] = []
    if repair and altered:
        packages = await _repair_caches(engines, [lock for _, lock, _ in altered])
    findings = []
    for artifact, lock, files in altered:
        replacement = await _replace_prefix(prefixes, artifact, lock) if repair else None
        findings.append(
            Finding(
                artifact=artifact.id,
                path=artifact.path,
                files=files[:_MOST_FILES],
                count=len(files),
                replaced_by=replacement,
            )
        )
    return Verification(prefixes=len(checked), findings=findings, packages=packages)


async def _repair_caches(engines: Engines, locks: Iterable[Lock]) -> list[str]:
    """Drop the altered packages of ``locks`` from the caches; return their names."""
    packages = {package.sha256: package for lock in locks for package in lock.conda}
    wheels = {wheel.sha256: wheel for lock in locks for wheel in lock.wheels}
    names: set[str] = set()
    if packages:
        names.update(await (await engines.conda()).repair_cache(list(packages.values())))
    if wheels:
        names.update(await (await engines.pip()).repair_cache(list(wheels.values())))
    return sorted(names)


async def _replace_prefix(prefixes: PrefixBuilds, altered: Artifact, lock: Lock) -> str:
    """Retire a prefix and build it again; return the new path."""
    await prefixes.retire(altered, lock)
    request = PrefixRequest(lock=lock, build_id=new_id("b"), generation=None)
    result = await prefixes.ensure(request, lambda _message: None)
    return result.artifact.path
