"""From a lock to a ready prefix, once for each lock digest, however many clients request it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from roost.daemon.background.work import current_work
from roost.daemon.credentials.substitution import map_masked_urls, substitute
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.provided import follow_prefix
from roost.daemon.estimates.estimator import gather_prefix_work
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.jobs.shared_task import SharedTask, SharedTasks, relay
from roost.daemon.jobs.space import SpaceGate
from roost.daemon.jobs.work_limit import WorkLimit
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.launch.prepare import find_drift
from roost.daemon.locks.missing_packages import explain_missing_package
from roost.daemon.prefixes.bytecode_digests import drop_damaged
from roost.daemon.prefixes.fill import fill_prefix
from roost.daemon.prefixes.late_parts import LateParts
from roost.daemon.prefixes.seal import renew_stamps
from roost.daemon.projects.errors import PROJECT_ERRORS
from roost.daemon.projects.install import ProjectBuild
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Artifact, NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.store import Store
from roost.wire.builds import Message


class PrefixRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A lock whose prefix is needed."""

    lock: Lock
    build_id: str
    generation: NewGeneration | None
    """Recorded in the transaction that makes the prefix ready; ``None`` if the lock is not new."""
    credentials: Mapping[str, str] = {}
    """By origin, for channels and indexes."""
    environ: Mapping[str, str] = {}
    """Values for variables that the lock's URLs name."""
    project_build: ProjectBuild = ProjectBuild()
    """How the project is built, if the lock is that of a project layer."""


class PrefixResult(msgspec.Struct, frozen=True, kw_only=True):
    """A ready prefix."""

    artifact: Artifact
    reused: bool = False
    """Whether it existed before the request."""
    recorded: NewGeneration | None = None
    """The generation that was recorded with it: that of the request that started the build."""
    seconds_worked: float | None = None
    """Seconds of the steps of the build, without waiting for others; ``None`` if it was built before or in the
    background."""
    seconds_waited: float = 0.0


class PrefixBuilds:
    """Builds prefixes, at most ``concurrency`` at a time."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        events: Events,
        launches: LaunchFolder,
        space: SpaceGate,
        concurrency: int,
        on_cached: Callable[[], None],
        on_ready: Callable[[Artifact], None],
    ) -> None:
        """``on_cached`` is called when a build may have put something into a cache, whatever came of it;
        ``on_ready`` with each prefix that was published."""
        self._store = store
        self._space = space
        self._engines = engines
        self._events = events
        self._launches = launches
        self._on_cached = on_cached
        self._on_ready = on_ready
        self._parts = LateParts(engines)
        self._tasks: SharedTasks[PrefixResult] = SharedTasks()
        self._limit = WorkLimit(concurrency)

    async def ensure(self, request: PrefixRequest, notify: Callable[[Message], None]) -> PrefixResult:
        """Return the prefix of ``request.lock``: the ready one if it has not drifted, otherwise a new one.

        ``notify`` gets the messages of the build. Raises the errors of the engines and of publishing.
        """

        async def start(task: SharedTask[PrefixResult]) -> PrefixResult:
            existing = await self._store.index.artifacts.find_ready("prefix", digest_lock(request.lock))
            if existing is not None:
                drift = await asyncio.to_thread(find_drift, existing)
                if drift is None or await self.renew(existing):
                    return PrefixResult(artifact=existing, reused=True)
                if await self._store.index.artifacts.find_ready("prefix", existing.key) is not None:
                    await self.retire(existing, request.lock, drift.message)  # else a collection is moving it away
            return await self._publish(task, request)

        async with self._tasks.join(digest_lock(request.lock), start) as (task, listener, joined):
            relaying = asyncio.create_task(relay(listener, notify))
            try:
                return await (task.joined_outcome() if joined else task.outcome())
            finally:
                listener.close()
                await asyncio.shield(relaying)

    async def stop(self) -> None:
        """Cancel all builds."""
        await self._tasks.cancel_all()
        await self._parts.stop()

    async def renew(self, touched: Artifact) -> bool:
        """Return whether nothing in a prefix has changed but its guards; then stamp these again, and protect its
        folders again."""
        stamps = await asyncio.to_thread(renew_stamps, touched) if touched.manifest else None
        return stamps is not None and await self._store.index.artifacts.put_seal(touched.id, stamps, touched.manifest)

    async def retire(self, altered: Artifact, lock: Lock, reason: str) -> None:
        """Take an altered prefix out of use, and repair the caches that it was linked from.

        An edit in place in one prefix changes the cache and every other prefix, so the caches must be verified before
        anything is linked from them again.
        """
        async with invalidate_launch_plans(self._launches):
            await self._store.artifacts.retire_prefix(altered.id)
        if lock.conda:
            await (await self._engines.conda()).repair_cache(lock.conda)
        if lock.wheels:
            await (await self._engines.pip()).repair_cache(lock.wheels)
        await asyncio.to_thread(drop_damaged, lock, self._engines.bytecode_folder)
        await self._events.append("prefix-retired", artifact=altered.id, path=altered.path, reason=reason)

    async def _publish(self, task: SharedTask[PrefixResult], request: PrefixRequest) -> PrefixResult:
        progress = BuildProgress(task.publish, request.environ)
        modified: set[str] = set()
        is_new_to_uv = False

        async def fill(prefix: str) -> FillResult:
            lock = substitute(request.lock, request.environ)
            credentials = {**request.credentials, **map_masked_urls(request.lock, lock)}
            try:
                filling = await fill_prefix(self._engines, lock, prefix, progress, credentials, request.project_build)
            except CodedError as error:
                # Solved just now: the index is wrong, the lock is not too old. A project is no package of the lock.
                if request.generation is not None or isinstance(error, PROJECT_ERRORS):
                    raise
                raise explain_missing_package(error, request.lock) from error
            nonlocal is_new_to_uv
            result, is_new_to_uv = filling.result, filling.is_new_to_uv
            modified.update(filling.modified)
            progress.start("publish")
            if result.lock is None:
                return result
            # Stored as it was requested: what was filled has the values of variables in its URLs.
            known = {"markers": result.lock.markers, "markers_known": result.lock.markers_known}
            return msgspec.structs.replace(result, lock=msgspec.structs.replace(request.lock, **known))

        async with self._limit.hold(progress):
            await self._space.wait()
            for step in (await gather_prefix_work(self._store.index, request.lock)).steps:
                progress.expect(step.step, step.amounts, step.subject)
            try:
                artifact = await self._store.artifacts.publish_prefix(
                    lock=request.lock, generation=request.generation, build_id=request.build_id, fill=fill
                )
            finally:
                self._on_cached()
            self._on_ready(artifact)
            if is_new_to_uv:
                self._parts.request(artifact)
            await self._space.report()
        progress.finish("publish")
        await asyncio.to_thread(follow_prefix, self._engines.pythons_folder, artifact.path)
        await progress.record(self._store.index)
        if modified:
            await self._retire_siblings(artifact, modified)
        return PrefixResult(
            artifact=artifact,
            recorded=request.generation,
            seconds_worked=progress.seconds_worked if current_work() is None else None,
            seconds_waited=progress.seconds_waited,
        )

    async def _retire_siblings(self, built: Artifact, modified: set[str]) -> None:
        """Retire the other altered prefixes with packages in ``modified``, whose files in the cache had been edited."""
        from roost.daemon.prefixes.check import inspect_prefix

        for other in await self._store.index.artifacts.list_all():
            if other.kind != "prefix" or other.state != "ready" or other.id == built.id:
                continue
            lock = await self._store.index.locks.find(other.key)
            if lock is None:
                continue
            names = {package.name for package in lock.conda} | {wheel.name for wheel in lock.wheels}
            if names.isdisjoint(modified):
                continue
            found = await asyncio.to_thread(inspect_prefix, other, lock)
            if not found.only_modes:
                await self.retire(other, lock, found.summary)
