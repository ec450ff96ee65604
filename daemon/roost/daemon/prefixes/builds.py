"""The second half of a build: from a lock to a ready prefix, once for each lock digest, whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from roost.daemon.credentials.substitution import map_masked_urls, substitute
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.jobs.shared_task import SharedTask, SharedTasks, relay
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.launch.prepare import find_drift
from roost.daemon.locks.missing_packages import explain_missing_package
from roost.daemon.prefixes.fill import fill_prefix
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Artifact, NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.store import Store
from roost.wire.builds import Message


class PrefixRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix that somebody wants. ``generation`` is recorded in the transaction that makes the prefix ready."""

    lock: Lock
    build_id: str
    generation: NewGeneration | None
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}
    """Values for variables that the lock's URLs name."""


class PrefixResult(msgspec.Struct, frozen=True, kw_only=True):
    """``reused``: it was there before anyone asked. ``recorded``: whose generation was recorded with it."""

    artifact: Artifact
    reused: bool = False
    recorded: NewGeneration | None = None


class PrefixBuilds:
    """Makes prefixes ready."""

    def __init__(
        self, store: Store, engines: Engines, events: Events, launches: LaunchFolder, concurrency: int
    ) -> None:
        self._store = store
        self._engines = engines
        self._events = events
        self._launches = launches
        self._flights: SharedTasks[PrefixResult] = SharedTasks()
        self._turns = asyncio.Semaphore(concurrency)

    async def ensure(self, wanted: PrefixRequest, tell: Callable[[Message], None]) -> PrefixResult:
        """The prefix of ``wanted.lock``: the ready one if it is sound, else a new one."""

        async def start(flight: SharedTask[PrefixResult]) -> PrefixResult:
            return await self._find_or_publish(flight, wanted)

        async with self._flights.join(digest_lock(wanted.lock), start) as (flight, listener, _):
            relaying = asyncio.create_task(relay(listener, tell))
            try:
                return await flight.outcome()
            finally:
                listener.close()
                await asyncio.shield(relaying)

    async def stop(self) -> None:
        await self._flights.cancel_all()

    async def _find_or_publish(self, flight: SharedTask[PrefixResult], wanted: PrefixRequest) -> PrefixResult:
        there = await self._store.index.artifacts.find_ready("prefix", digest_lock(wanted.lock))
        if there is not None:
            if await asyncio.to_thread(find_drift, there) is None:
                return PrefixResult(artifact=there, reused=True)
            await self.retire(there, wanted.lock)
        return await self._publish(flight, wanted)

    async def retire(self, broken: Artifact, lock: Lock) -> None:
        """What a drifted prefix was linked from is verified before it is linked again: an edit in place in one prefix
        is an edit in the cache and in every sibling."""
        async with invalidate_launch_plans(self._launches):
            await self._store.artifacts.retire_prefix(broken.id)
        if lock.conda:
            await (await self._engines.conda()).repair_cache(lock.conda)
        if lock.wheels:
            await (await self._engines.pip()).repair_cache(lock.wheels)
        await self._events.append("prefix-retired", artifact=broken.id, path=broken.path)

    async def _publish(self, flight: SharedTask[PrefixResult], wanted: PrefixRequest) -> PrefixResult:
        progress = BuildProgress(flight.publish, wanted.environ)
        changed: set[str] = set()

        async def fill(prefix: str) -> FillResult:
            lock = substitute(wanted.lock, wanted.environ)
            places = map_masked_urls(wanted.lock, lock)
            try:
                filled, names = await fill_prefix(self._engines, lock, prefix, progress, wanted.credentials, places)
            except CodedError as error:
                if wanted.generation is not None:  # solved for just now: the index was wrong, and not the lock old
                    raise
                raise explain_missing_package(error, wanted.lock) from error
            changed.update(names)
            progress.start("publish")
            return filled

        async with progress.acquire_slot(self._turns):
            artifact = await self._store.artifacts.publish_prefix(
                lock=wanted.lock, generation=wanted.generation, build_id=wanted.build_id, fill=fill
            )
        progress.finish("publish")
        await progress.record(self._store.index)
        if changed:
            await self._retire_siblings(artifact, changed)
        return PrefixResult(artifact=artifact, recorded=wanted.generation)

    async def _retire_siblings(self, made: Artifact, changed: set[str]) -> None:
        """Somebody edited a file in place, and the cache had it: so have the prefixes that were linked before."""
        from roost.daemon.prefixes.check import altered

        for other in await self._store.index.artifacts.list_all():
            if other.kind != "prefix" or other.state != "ready" or other.id == made.id:
                continue
            lock = await self._store.index.locks.find(other.key)
            if lock is None or not _names(lock) & changed:
                continue
            if await asyncio.to_thread(altered, other.path, lock):
                await self.retire(other, lock)


def _names(lock: Lock) -> set[str]:
    return {package.name for package in lock.conda} | {wheel.name for wheel in lock.wheels}
