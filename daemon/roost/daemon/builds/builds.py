"""Builds: one at a time for one key, however many clients request it.

Two shared tasks make a build. The first is keyed by what was requested (definition, platform, generation) and ends with
a lock; the second (``prefixes.builds``) by the lock digest and ends with a ready prefix. Requests for the same
definition share both; other definitions that solve to the same lock share the second. A build is cancelled when nobody
is interested in it any more; a live lease on its environment is interest too (``leases.interest``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing, asynccontextmanager

from roost.daemon.background.work import current_work
from roost.daemon.builds.credentials import require_credentials, require_unattended_credentials
from roost.daemon.builds.history import BuildHistory, mark_joined, not_needed_result, plan_message, write_log
from roost.daemon.builds.job import BuildJob
from roost.daemon.builds.session import BuildSession, SessionParts
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.jobs import ImageJobs
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.progress import Progress
from roost.daemon.jobs.shared_task import Listener, SharedTask, SharedTasks
from roost.daemon.launch.folder import LaunchFolder
from roost.daemon.leases.interest import LeaseInterest
from roost.daemon.locks.former import note_use
from roost.daemon.planning.planner import Planner, PlanWithFacts
from roost.daemon.prefixes.builds import PrefixBuilds
from roost.store.cancellation import finish_despite_cancel
from roost.store.store import Store
from roost.wire.builds import BuildResult, Message


class Builds:
    """Makes environments ready."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        planner: Planner,
        events: Events,
        launches: LaunchFolder,
        prefixes: PrefixBuilds,
        images: ImageJobs,
        interest: LeaseInterest,
    ) -> None:
        self.history = BuildHistory(store.index, events)
        self._parts = SessionParts(store, engines, planner, launches, prefixes, images, self.history)
        self._interest = interest
        self._tasks: SharedTasks[BuildResult] = SharedTasks()
        self._by_id: dict[str, SharedTask[BuildResult]] = {}
        self._detached: set[asyncio.Task[None]] = set()
        self._ended = 0
        """Builds that ended: a plan that was begun before one of them ended may no longer hold."""

    @property
    def running(self) -> int:
        """Number of builds that are running."""
        return len(self._tasks)

    async def stream(self, job: BuildJob) -> AsyncGenerator[Message, None]:
        """Make the environment of ``job`` ready and yield what happens; the last message is ``result`` or ``error``.

        Whoever iterates is interested in the build; closing the iterator withdraws the interest. Raises what planning
        raises, and VariableMissingError.
        """
        ended = self._ended
        planned = await self._plan(job)
        if job.is_satisfied_by(planned):
            yield plan_message(planned, job.resolved)
            await note_use(self._parts.store.index, job.resolved)
            reasons = await self._parts.planner.shared_locks.compare_or_publish(
                job.resolved, job.selector, planned.facts.generation
            )
            yield Message(event="result", result=not_needed_result(planned, job.resolved, reasons))
            return
        async with self._join(job, planned, ended) as (task, listener, joined):
            differing = task.differing_variables() if joined else []
            async for message in listener.messages():
                yield mark_joined(message, differing) if joined else message

    async def wait(self, job: BuildJob) -> BuildResult:
        """Make the environment of ``job`` ready. Raises what planning and building raise, and VariableMissingError.

        A background job must be part of background work. It raises CodeNotAllowedError too, and is cancelled as soon as
        somebody asks for the same; what it has fetched stays.
        """
        assert job.background == (current_work() is not None)
        await self._tasks.wait_for_others(job.key)  # most likely nothing is left to build then
        ended = self._ended
        planned = await self._plan(job)
        if job.is_satisfied_by(planned):
            await note_use(self._parts.store.index, job.resolved)
            return not_needed_result(planned, job.resolved)
        async with self._join(job, planned, ended) as (task, _, joined):
            return await (task.joined_outcome() if joined else task.outcome())

    async def _plan(self, job: BuildJob) -> PlanWithFacts:
        return await self._parts.planner.plan(job.resolved, job.request, job.selector)

    @asynccontextmanager
    async def _join(
        self, job: BuildJob, planned: PlanWithFacts, ended: int
    ) -> AsyncIterator[tuple[SharedTask[BuildResult], Listener, bool]]:
        """Join the running build of ``job``, or begin one by ``planned``. ``ended``: builds that had ended before
        planning; if others did meanwhile, the build plans again."""
        await self._require_credentials(job, planned)

        async def start(task: SharedTask[BuildResult]) -> BuildResult:
            session = BuildSession(self._parts, task, job)
            self._by_id[session.build.id] = task
            logging = asyncio.create_task(write_log(task.listen(), self._parts.store.layout, session.build.id))
            try:
                return await session.run(planned if ended == self._ended else None)
            finally:
                self._ended += 1
                del self._by_id[session.build.id]
                task.close()
                await finish_despite_cancel(logging)

        generation = planned.facts.generation
        wanted = {job.resolved.digest, *([generation.lock_digest] if generation and not job.new_generation else [])}
        async with self._tasks.join(job.key, start) as joined:
            try:
                yield joined
            finally:
                if not job.background:
                    self._interest.take_over(joined[0], wanted)

    async def _require_credentials(self, job: BuildJob, planned: PlanWithFacts) -> None:
        environ, config = job.selector.environ, self._parts.engines.config
        if not job.background:
            require_credentials(job.resolved, environ, config)
            return
        generation = planned.facts.generation if not job.new_generation else None
        lock = await self._parts.store.index.locks.find(generation.lock_digest) if generation else None
        require_unattended_credentials(job.resolved, environ, config, lock)

    @asynccontextmanager
    async def hold_generation(self, key: tuple[str, str], progress: Progress) -> AsyncIterator[None]:
        """Wait until no build gives the definition and scope ``key`` a generation, and let none do so in the block."""
        slot = self._parts.generation_slot(key)
        async with slot.hold(progress):
            yield

    async def detach(self, job: BuildJob, holding: AbstractContextManager[None]) -> str | None:
        """Build without anyone waiting: the daemon itself is interested, and holds ``holding`` until the end.

        Returns the build's id, or ``None`` if everything is ready. Raises what planning raises.
        """
        messages = self.stream(job)
        first = await anext(messages)
        if first.event != "build":
            await messages.aclose()
            return None
        await anext(messages, None)  # the plan, published once the build's row exists: its id can be looked up then
        task = asyncio.create_task(_drain(messages, holding))
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)
        return first.id

    def cancel(self, build_id: str) -> bool:
        """Cancel a build for everybody; return ``False`` if it is not running."""
        task = self._by_id.get(build_id)
        if task is not None:
            task.cancel()
        return task is not None

    def listen(self, build_id: str) -> Listener | None:
        """Return a listener on a running build, without interest in it."""
        task = self._by_id.get(build_id)
        return task.listen() if task else None

    async def stop(self) -> None:
        """Cancel everything, for a graceful stop."""
        await self._tasks.cancel_all()
        await self._parts.prefixes.stop()
        await self._parts.images.stop()
        await asyncio.gather(*self._detached, return_exceptions=True)


async def _drain(messages: AsyncGenerator[Message, None], holding: AbstractContextManager[None]) -> None:
    with holding:
        async with aclosing(messages):
            async for _ in messages:
                pass
