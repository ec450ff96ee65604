"""``roost cache verify``: every byte of every prefix against its packages' digests, and the mending of what differs.

Prefixes share files with the cache and with each other by hard links, so an edit in place in one is in all of them.
Mending goes from the source outwards: the caches are verified and cleaned first, then each broken prefix is retired
(no plan picks it any more; it goes when nobody uses it) and built anew at another path.
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

_NAMED = 20


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix that is not what it was. ``files`` names the first of them, ``count`` says how many there are."""

    artifact: str
    path: str
    files: list[str]
    count: int
    replaced_by: str | None = None
    """Path of the prefix that was built instead."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, what was found, and which packages were taken out of the caches to be fetched anew."""

    prefixes: int
    findings: list[Finding]
    packages: list[str]


async def verify(store: Store, engines: Engines, prefixes: PrefixBuilds, *, repair: bool) -> Verification:
    """Check all ready prefixes; with ``repair``, replace those that differ. Raises what building them raises."""
    ready = [a for a in await store.index.artifacts.list_all() if a.kind == "prefix" and a.state == "ready"]
    checked = [(a, lock, await _altered(a, lock)) for a in ready if (lock := await store.index.locks.find(a.key))]
    broken = [(a, lock, files) for a, lock, files in checked if files]
    packages = await _mend_caches(engines, [lock for _, lock, _ in broken]) if repair and broken else []
    replaced = [await _replace(prefixes, a, lock) if repair else None for a, lock, _ in broken]
    findings = [
        Finding(artifact=a.id, path=a.path, files=files[:_NAMED], count=len(files), replaced_by=by)
        for (a, _, files), by in zip(broken, replaced, strict=True)
    ]
    return Verification(prefixes=len(checked), findings=findings, packages=packages)


async def _altered(artifact: Artifact, lock: Lock) -> list[str]:
    from roost.daemon.prefixes.check import altered

    return await asyncio.to_thread(altered, artifact.path, lock)


async def _mend_caches(engines: Engines, locks: Iterable[Lock]) -> list[str]:
    packages = {package.sha256: package for lock in locks for package in lock.conda}
    wheels = {wheel.sha256: wheel for lock in locks for wheel in lock.wheels}
    names = await (await engines.conda()).repair_cache(list(packages.values())) if packages else []
    return sorted({*names, *(await (await engines.pip()).repair_cache(list(wheels.values())) if wheels else [])})


async def _replace(prefixes: PrefixBuilds, broken: Artifact, lock: Lock) -> str:
    await prefixes.retire(broken, lock)
    ready = await prefixes.ensure(
        PrefixRequest(lock=lock, build_id=new_id("b"), generation=None), lambda _message: None
    )
    return ready.artifact.path
