"""Builds: one at a time for one key, whoever asks and however many.

Two flights (see ``flights``) make a build. The first is keyed by what was asked for (definition, platform, generation)
and ends with a lock; the second (``prefix_builds``) by the lock digest and ends with a ready prefix. Requests for the
same definition share both; other definitions that solve to the same lock share the second. A build is cancelled when
nobody wants it any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractContextManager, aclosing, suppress
from weakref import WeakValueDictionary

import msgspec

from roost.daemon.builds import log
from roost.daemon.builds.credentials import download_credentials, require_credentials
from roost.daemon.builds.records import BuildRecords
from roost.daemon.builds.results import as_joined, cutoff, not_needed, told
from roost.daemon.config.dates import format_as_of, parse_as_of
from roost.daemon.config.ids import new_id
from roost.daemon.credentials.request import request_credentials
from roost.daemon.credentials.substitution import mask_struct, registry_credentials
from roost.daemon.decision.facts import Facts, Request
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.jobs import ImageJob, ImageJobs
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.reporter import BuildProgress, acquire_slot
from roost.daemon.jobs.shared_task import Listener, SharedTask, SharedTasks
from roost.daemon.jobs.views import artifact_view, as_coded_error, build_failure_body
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.locks.shared_locks import Offering, PublishResult
from roost.daemon.locks.solve import solve_lock
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.daemon.planning.planner import Planner, PlanWithFacts
from roost.daemon.prefixes.builds import PrefixBuilds, PrefixRequest, PrefixResult
from roost.model.errors import BuildCancelledError, CodedError, LookupFailedError
from roost.model.locks.lock import Lock, lock_digest
from roost.model.records import BuildRecord, Generation, NewGeneration
from roost.store.cancellation import finish_despite_cancel
from roost.store.clock import utc_now
from roost.store.store import Store
from roost.wire.builds import BuildResult, Message
from roost.wire.plans import Action, EnvironmentSelector

MAKING: tuple[Action, ...] = ("build-prefix", "build-image", "pull-image")
"""Actions that leave something behind which was not ready before."""


def makes(planned: PlanWithFacts) -> bool:
    """Whether something is to be made ready, or at least recorded, before it is used."""
    return planned.plan.action in MAKING or planned.unrecorded


class BuildJob(msgspec.Struct, frozen=True, kw_only=True):
    """One request for an environment that is ready."""

    resolved: TargetedDefinition
    """Aimed at the request's target."""
    request: Request
    what: EnvironmentSelector
    push: str | None = None
    """An image for the registry at this location, and not for an engine."""

    @property
    def key(self) -> tuple[object, ...]:
        """Requests of one key are one build."""
        request, what = self.request, self.what
        return (
            self.resolved.digest,
            self.resolved.generation_scope,
            request.rebuild,
            request.as_of,
            what.generation,
            what.lock,
            self.push,
        )

    @property
    def anew(self) -> bool:
        """Whether a new generation is asked for."""
        return self.request.rebuild or self.request.as_of is not None


class BuildSession(msgspec.Struct, frozen=True):
    """One build under way."""

    flight: SharedTask[BuildResult]
    job: BuildJob
    build: BuildRecord
    planned: PlanWithFacts


def _nothing() -> None:
    """Nobody wants to know."""


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
    ) -> None:
        self._store = store
        self._engines = engines
        self._planner = planner
        self._launches = launches
        self._prefixes = prefixes
        self._images = images
        self.records = BuildRecords(store.index, events)
        self._flights: SharedTasks[BuildResult] = SharedTasks()
        self._by_id: dict[str, SharedTask[BuildResult]] = {}
        self._detached: set[asyncio.Task[None]] = set()
        self._numbering: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @property
    def under_way(self) -> int:
        return len(self._flights)

    async def stream(self, job: BuildJob) -> AsyncGenerator[Message, None]:
        """Make it ready, telling what happens; the last message is ``result`` or ``error``.

        Whoever iterates wants the build; closing the iterator withdraws that.
        """
        planned = await self._planner.plan(job.resolved, job.request, job.what)
        if job.push is None and not makes(planned):
            yield told(planned, job.resolved)
            standing = await self._planner.shared_locks.standing(job.resolved, job.what, planned.facts)
            yield Message(event="result", result=not_needed(planned, job.resolved, standing))
            return
        require_credentials(job.resolved, job.what.environ, self._engines.config)
        async with self._flights.join(job.key, lambda flight: self._build(flight, job)) as (_, listener, joined):
            async for message in listener.messages():
                yield as_joined(message) if joined else message

    async def wait(self, job: BuildJob) -> BuildResult:
        """Make it ready; raises what the build raised."""
        planned = await self._planner.plan(job.resolved, job.request, job.what)
        if job.push is None and not makes(planned):
            return not_needed(planned, job.resolved)
        require_credentials(job.resolved, job.what.environ, self._engines.config)
        async with self._flights.join(job.key, lambda flight: self._build(flight, job)) as (flight, _, _joined):
            return await flight.outcome()

    async def detach(self, job: BuildJob, holding: AbstractContextManager[None]) -> str | None:
        """Build without anyone waiting: the daemon itself is the interest, and enters ``holding`` for as long.

        Returns the build's id, ``None`` where all is ready. Raises what planning raises.
        """
        messages = self.stream(job)
        first = await anext(messages)
        if first.event != "build":
            await messages.aclose()
            return None
        await anext(messages, None)  # the plan: told when the build's row is there, so that its id can be asked for
        task = asyncio.create_task(_see_through(messages, holding))
        self._detached.add(task)
        task.add_done_callback(self._detached.discard)
        return first.id

    def cancel(self, build_id: str) -> bool:
        """Cancel for everybody; ``False`` where it is not under way."""
        flight = self._by_id.get(build_id)
        if flight is not None:
            flight.cancel()
        return flight is not None

    def listen(self, build_id: str) -> Listener | None:
        """Hear a build that is under way, without wanting it."""
        flight = self._by_id.get(build_id)
        return flight.listen() if flight else None

    async def stop(self) -> None:
        """Cancel everything, for a graceful stop."""
        await self._flights.cancel_all()
        await self._prefixes.stop()
        await self._images.stop()
        await asyncio.gather(*self._detached, return_exceptions=True)

    async def _build(self, flight: SharedTask[BuildResult], job: BuildJob) -> BuildResult:
        """One build from first to last: told and logged, and its end told whatever happens."""
        build = _new_build(job)
        self._by_id[build.id] = flight
        flight.publish(Message(event="build", id=build.id, source=job.resolved.source))
        kept = asyncio.create_task(log.keep(flight.listen(), log.log_path(self._store.layout, build.id)))
        try:
            return await self._recorded(flight, job, build)
        except asyncio.CancelledError:
            error: CodedError = BuildCancelledError("The build was cancelled", hint="Nothing half-made was kept.")
            flight.publish(Message(event="error", error=mask_struct(build_failure_body(error), job.what.environ)))
            raise error from None
        except Exception as failure:
            error = as_coded_error(failure)
            flight.publish(Message(event="error", error=mask_struct(build_failure_body(error), job.what.environ)))
            raise error from failure
        finally:
            self._by_id.pop(build.id, None)
            flight.close()
            await finish_despite_cancel(kept)

    async def _recorded(self, flight: SharedTask[BuildResult], job: BuildJob, build: BuildRecord) -> BuildResult:
        """From the row that says it began to the row that says how it ended."""
        started = time.monotonic()
        planned = await self._planner.plan(job.resolved, job.request, job.what)
        try:
            await finish_despite_cancel(asyncio.create_task(self.records.begin(build, job.resolved)))
            flight.publish(told(planned, job.resolved))
            result = await self._make_ready(BuildSession(flight, job, build, planned))
        except BaseException as error:
            await finish_despite_cancel(asyncio.create_task(self._fail(build, error, started, job.what.environ)))
            raise
        with suppress(asyncio.CancelledError):  # too late: it is ready
            await finish_despite_cancel(asyncio.create_task(self.records.end(build, "succeeded", started)))
        flight.publish(Message(event="result", result=result))
        return result

    async def _fail(self, build: BuildRecord, error: BaseException, started: float, environ: Mapping[str, str]) -> None:
        cancelled = isinstance(error, asyncio.CancelledError)
        failure = BuildCancelledError("The build was cancelled") if cancelled else as_coded_error(error)
        body = mask_struct(build_failure_body(failure), environ)
        await self.records.end(build, "cancelled" if cancelled else "failed", started, body)

    async def _make_ready(self, making: BuildSession) -> BuildResult:
        """One at a time for what makes a generation: a definition keeps the lock that it was given first, and two that
        are asked for anew get two numbers."""
        job = making.job
        if making.planned.facts.generation is not None and not job.anew:
            return await self._from_lock(making)
        key = (job.resolved.digest, job.resolved.generation_scope)
        async with acquire_slot(self._numbering.setdefault(key, asyncio.Lock()), making.flight.publish):
            if not job.anew and await self._store.index.generations.find_current(*key) is not None:
                planned = await self._planner.plan(job.resolved, job.request, job.what)
                making = msgspec.structs.replace(making, planned=planned)
            return await self._from_lock(making)

    async def _from_lock(self, making: BuildSession) -> BuildResult:
        job, facts, locks = making.job, making.planned.facts, self._planner.shared_locks
        lock, solved = await self._lock(making.flight, job, facts)
        moves = job.anew or (job.what.lock is not None and facts.generation is None)
        async with Offering(lambda: self._offer(making, lock)) as offering:
            result = await self._make(making, lock, moves=moves, proven=offering.begin if solved else _nothing)
            if job.anew:
                result = msgspec.structs.replace(result, moved=await self._moved(job.resolved.digest))
            request_credentials = await offering.outcome() if solved else PublishResult()
        if request_credentials.instead is not None:  # it was shared meanwhile, and is taken as current
            result = await self._make(making, request_credentials.instead, moves=True)
        said = request_credentials.reasons if solved else await locks.standing(job.resolved, job.what, facts)
        return msgspec.structs.replace(result, reasons=[*result.reasons, *said])

    async def _offer(self, making: BuildSession, lock: Lock) -> PublishResult:
        """Give the lock that was solved here to others."""
        job = making.job
        progress = BuildProgress(making.flight.publish, job.what.environ)
        return await self._planner.shared_locks.offer(job.resolved, job.what, lock, progress, rebuild=job.anew)

    async def _moved(self, digest: str) -> list[str]:
        """All that have this definition: its current generation is theirs."""
        return [
            f"{each.name}:{each.version}" for each in await self._store.index.environments.list_by_definition(digest)
        ]

    async def _make(
        self, making: BuildSession, lock: Lock, *, moves: bool, proven: Callable[[], None] = _nothing
    ) -> BuildResult:
        """``proven`` is called once all packages are known to install, if that is known before all is ready."""
        job, build, facts = making.job, making.build, making.planned.facts
        started = time.monotonic()
        digest = lock_digest(lock)
        await self._store.index.builds.update(build.id, state="building", lock_digest=digest)
        if job.resolved.is_image:
            return await self._make_image(making, lock, proven)
        new = None if facts.generation is not None and not job.anew else _new_generation(job)
        credentials = await download_credentials(self._engines, job.resolved, job.what.environ, lock)
        wanted = PrefixRequest(
            lock=lock, build_id=build.id, generation=new, credentials=credentials, environ=job.what.environ
        )
        ready = await self._ready(wanted, making.flight, moves=moves)
        generation = await self._generation(job, facts, wanted, ready, moves=moves)
        await self._store.index.builds.update(build.id, generation=generation.number, artifact_id=ready.artifact.id)
        return BuildResult(
            id=build.id,
            state="not-needed" if ready.reused else "succeeded",
            definition_digest=job.resolved.digest,
            lock_digest=digest,
            generation=generation.number,
            artifacts=[artifact_view(ready.artifact)],
            seconds=round(time.monotonic() - started, 3),
            reasons=[*making.planned.plan.reasons, *([cutoff(digest)] if ready.reused else [])],
        )

    async def _make_image(self, making: BuildSession, lock: Lock, proven: Callable[[], None]) -> BuildResult:
        job, planned, what = making.job, making.planned, making.job.what
        image = ImageJob(
            resolved=job.resolved,
            request=job.request,
            facts=planned.facts,
            pulls=planned.plan.action == "pull-image",
            lock=lock,
            defaults=job.resolved.defaults,
            build_id=making.build.id,
            anew=job.anew,
            exact=what.generation is not None or what.lock is not None,
            push=job.push,
            proven=proven,
            credentials=await download_credentials(self._engines, job.resolved, job.what.environ, lock),
            environ=what.environ,
        )
        with request_credentials(registry_credentials(job.resolved.parsed.credentials, what.environ, all_needed=True)):
            result = await self._images.make(image, making.flight.publish)
        return msgspec.structs.replace(result, reasons=[*planned.plan.reasons, *result.reasons])

    async def _lock(self, flight: SharedTask[BuildResult], job: BuildJob, facts: Facts) -> tuple[Lock, bool]:
        """The lock that is kept for the generation, or that somebody shared, or a new solve, and whether it is that."""
        if facts.generation is not None and not job.anew:
            kept = await self._store.index.locks.find(facts.generation.lock_digest)
            if kept is not None:
                return kept, False
        progress, locks = BuildProgress(flight.publish, job.what.environ), self._planner.shared_locks
        if not job.anew and (first := await locks.take(job.resolved, job.what, progress)):
            return first, False
        if job.what.lock is not None:
            raise LookupFailedError(
                f"No registry has lock {job.what.lock} any more", hint="Try again, or leave it out."
            )
        solved = await self._solved(job, progress)
        if not job.anew and (first := await locks.take(job.resolved, job.what, progress, fresh=True)):
            return first, False
        return solved, True

    async def _solved(self, job: BuildJob, progress: BuildProgress) -> Lock:
        solve = msgspec.structs.replace(
            self._planner.solve_job(job.resolved, job.what),
            as_of=parse_as_of(job.request.as_of),
            allow_builds=split_platform(job.resolved.platform)[0] == split_platform(local_platform({}))[0],
        )
        lock = await solve_lock(self._engines, solve, progress)
        await progress.record(self._store.index)
        return lock

    async def _ready(self, wanted: PrefixRequest, flight: SharedTask[BuildResult], *, moves: bool) -> PrefixResult:
        """While a definition's current generation moves, no plan file is left behind that names the old one."""
        if not moves:
            return await self._prefixes.ensure(wanted, flight.publish)
        async with invalidate_launch_plans(self._launches):
            return await self._prefixes.ensure(wanted, flight.publish)

    async def _generation(
        self, job: BuildJob, facts: Facts, wanted: PrefixRequest, ready: PrefixResult, *, moves: bool
    ) -> Generation:
        """The generation that was asked for; or recorded with the prefix; or added now, because the prefix was there
        already or was built for somebody else."""
        index = self._store.index
        if wanted.generation is None:
            assert facts.generation is not None
            return facts.generation
        if ready.recorded == wanted.generation:
            recorded = await index.generations.find_current(job.resolved.digest, job.resolved.generation_scope)
            assert recorded is not None
            return recorded
        if not moves:
            return await index.generations.add(wanted.generation, wanted.lock)
        async with invalidate_launch_plans(self._launches):
            return await index.generations.add(wanted.generation, wanted.lock)


async def _see_through(messages: AsyncGenerator[Message, None], holding: AbstractContextManager[None]) -> None:
    with holding:
        async with aclosing(messages):
            async for _ in messages:
                pass


def _new_build(job: BuildJob) -> BuildRecord:
    resolved, source = job.resolved, job.resolved.source
    return BuildRecord(
        id=new_id("b"),
        definition_digest=resolved.digest,
        platform=resolved.platform,
        state="solving",
        created=utc_now(),
        name=source.name,
        source=source.path,
    )


def _new_generation(job: BuildJob) -> NewGeneration:
    resolved = job.resolved
    as_of = format_as_of(job.request.as_of)
    return NewGeneration(definition_digest=resolved.digest, platform=resolved.generation_scope, as_of=as_of)
