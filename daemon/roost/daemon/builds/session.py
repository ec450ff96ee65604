"""One build from first to last, in reading order: plan, lock, produce, record, report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from weakref import WeakValueDictionary

import msgspec

from roost.daemon.builds.credentials import download_credentials
from roost.daemon.builds.failures import explain_failure
from roost.daemon.builds.history import (
    BuildHistory,
    list_versions_sharing,
    plan_message,
    shared_prefix_reason,
)
from roost.daemon.builds.job import BuildJob
from roost.daemon.config.dates import parse_as_of
from roost.daemon.credentials.request import request_credentials
from roost.daemon.credentials.substitution import find_unset_index_variables, mask_struct, registry_credentials
from roost.daemon.decision.facts import Facts
from roost.daemon.definitions.resolved import FormerLock
from roost.daemon.engines.engine_set import Engines
from roost.daemon.estimates.work import check_work, solve_work
from roost.daemon.images.jobs import ImageJobs, new_generation
from roost.daemon.images.requests import ImageJob
from roost.daemon.jobs.reporter import BuildProgress, BuildReporter
from roost.daemon.jobs.shared_task import SharedTask
from roost.daemon.jobs.views import artifact_view, as_coded_error, build_failure_body
from roost.daemon.jobs.work_limit import WorkLimit
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.locks.former import find_former_lock, format_lines, list_moves
from roost.daemon.locks.shared_locks import LockPublication, PublishResult
from roost.daemon.locks.solve import create_solve_job, describe_unanswered, request_index_variables, solve_lock
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.daemon.planning.planner import Planner, PlanWithFacts
from roost.daemon.prefixes.builds import PrefixBuilds, PrefixRequest, PrefixResult
from roost.daemon.projects.errors import ProjectBuildError
from roost.daemon.projects.install import ProjectBuild
from roost.daemon.projects.layer import add_project
from roost.model.definition import ProjectSource
from roost.model.errors import BuildCancelledError, CodedError, LookupFailedError
from roost.model.locks.lock import HostPython, Lock, digest_lock
from roost.model.records import Generation
from roost.store.cancellation import finish_despite_cancel
from roost.store.store import Store
from roost.wire.builds import BuildResult, Message
from roost.wire.plans import PackageMoveView, Reason
from roost.wire.protocol import WarningView


@dataclass(frozen=True)
class SessionParts:
    """The parts that every build uses."""

    store: Store
    engines: Engines
    planner: Planner
    launches: LaunchFolder
    prefixes: PrefixBuilds
    images: ImageJobs
    history: BuildHistory
    generation_slots: WeakValueDictionary[tuple[str, str], WorkLimit] = field(default_factory=WeakValueDictionary)
    """Held by the build that gives a definition its next generation, by definition digest and scope."""

    def generation_slot(self, key: tuple[str, str]) -> WorkLimit:
        """Return what is held while the definition and scope ``key`` get a generation. Keep it: it is forgotten with
        its last holder."""
        return self.generation_slots.setdefault(key, WorkLimit(1, exclusive=True))


class BuildSession:
    """One build that is running. ``run`` is called once."""

    def __init__(self, parts: SessionParts, task: SharedTask[BuildResult], job: BuildJob) -> None:
        self._parts = parts
        self._index = parts.store.index
        self._locks = parts.planner.shared_locks
        self._job = job
        self._publish = partial(_publish_masked, task, job.selector.environ)
        self._reporter = BuildReporter(self._publish)
        self._predicted_at = 0.0
        """When it was last published how long everything will take."""
        self._shares_lock = False
        """Whether the lock is published in a registry, which is waited for."""
        self.build = job.new_record()

    async def run(self, planned: PlanWithFacts | None) -> BuildResult:
        """Build. The first message is ``build``; the last is ``result`` or ``error``, whatever happens.

        ``planned``: the plan of the request that began the build; ``None`` if another build has ended since.
        """
        self._publish(Message(event="build", id=self.build.id, source=self._job.resolved.source))
        try:
            return await self._run_recorded(planned)
        except asyncio.CancelledError:
            error: CodedError = BuildCancelledError("The build was cancelled", hint="No partial result was stored.")
            self._publish_error(error)
            raise error from None
        except Exception as failure:
            error = as_coded_error(failure)
            self._publish_error(error)
            raise error from failure

    async def _run_recorded(self, planned: PlanWithFacts | None) -> BuildResult:
        """Build, from the row that says that it began to the row that says how it ended."""
        started, job, history = time.monotonic(), self._job, self._parts.history
        planned = planned or await self._plan()
        try:
            await _complete(history.begin(self.build, job.resolved))
            self._publish(plan_message(planned, job.resolved))
            self._predicted_at = time.monotonic()
            result = await self._build_explained(planned)
        except BaseException as error:
            await _complete(self._record_failure(error, started))
            raise
        with suppress(asyncio.CancelledError):  # too late: it is ready
            await _complete(self._record_success(started))
        self._publish(Message(event="result", result=result))
        return result

    async def _build_explained(self, planned: PlanWithFacts) -> BuildResult:
        """Build; an error says where it is written what failed, and which log has more."""
        try:
            return await self._build(planned)
        except CodedError as error:
            await asyncio.to_thread(explain_failure, error, self._job.resolved, self.build.id)
            raise

    # -------------------------------------------------------------------- plan
    async def _plan(self) -> PlanWithFacts:
        return await self._parts.planner.plan(self._job.resolved, self._job.request, self._job.selector)

    async def _build(self, planned: PlanWithFacts) -> BuildResult:
        """Lock and produce. Builds that add a generation to a definition go one at a time: a definition keeps the lock
        that it was given first, and two requests for a new generation get two numbers."""
        job = self._job
        if planned.facts.generation is not None and not job.new_generation:
            return await self._lock_and_produce(planned)
        slot = self._parts.generation_slot(job.generation_key)
        async with slot.hold(BuildProgress(self._publish)):
            if not job.new_generation and await self._index.generations.find_current(*job.generation_key) is not None:
                planned = await self._plan()  # another build finished first
            return await self._lock_and_produce(planned)

    async def _lock_and_produce(self, planned: PlanWithFacts) -> BuildResult:
        job, facts = self._job, planned.facts
        former = await self._find_former(facts)
        lock, is_solved, unvouched = await self._lock(facts, former)
        moves = await self._report_moves(former, lock)
        self._shares_lock = is_solved and self._locks.publishes(job.resolved, job.selector)
        if facts.lock_digest is None or job.new_generation:
            await self._publish_known_work(planned, lock)
        unanswered = describe_unanswered(lock)
        if unanswered is not None:
            warning = WarningView(code=unanswered.code, message=unanswered.message)
            self._publish(Message(event="log", line=unanswered.message, warnings=[warning]))
        if unvouched is not None:
            warning = WarningView(code=unvouched.code, message=unvouched.message)
            self._publish(Message(event="log", line=unvouched.message, warnings=[warning]))
        moves_current = job.new_generation or (job.selector.lock is not None and facts.generation is None)
        if is_solved:
            result, reasons = await self._produce_and_publish(planned, lock, moves_current=moves_current)
        else:
            result = await self._produce(planned, lock, moves_current=moves_current)
            reasons = await self._locks.compare_or_publish(job.resolved, job.selector, facts.generation)
        if former is not None and result.lock_digest not in (None, digest_lock(lock)):  # another machine's came first
            adopted = await self._index.locks.find(result.lock_digest)
            moves = await list_moves(former, adopted, job.resolved) if adopted is not None else moves
        result = msgspec.structs.replace(result, changes=moves)
        if job.new_generation:
            moved = await list_versions_sharing(self._index, job.resolved.digest)
            result = msgspec.structs.replace(result, moved=moved)
        if unanswered is not None:
            reasons = (unanswered, *(reason for reason in reasons if reason != unanswered))
        if unvouched is not None:
            reasons = (unvouched, *reasons)
        return msgspec.structs.replace(result, reasons=[*result.reasons, *reasons])

    async def _publish_known_work(self, planned: PlanWithFacts, lock: Lock) -> None:
        """Publish the plan again, with the steps that are left: what they have to do is known with the lock."""
        parts = self._parts.planner.estimates
        plan = await parts.update_plan(
            planned.plan, planned.facts, self._job.resolved, lock, self._job.push, shares_lock=self._shares_lock
        )
        self._publish(plan_message(msgspec.structs.replace(planned, plan=plan), self._job.resolved))
        self._predicted_at = time.monotonic()

    # -------------------------------------------------------------------- lock
    async def _find_former(self, facts: Facts) -> FormerLock | None:
        """Return what the new lock is compared with, and what a solve prefers unless a new generation is requested."""
        job = self._job
        if job.pinned or job.resolved.file_lock is not None:
            return None
        if facts.generation is None:
            return await find_former_lock(self._index, job.resolved)
        lock = await self._index.locks.find(facts.generation.lock_digest) if job.new_generation else None
        return FormerLock(lock=lock, canonical=job.resolved.canonical) if lock is not None else None

    async def _report_moves(self, former: FormerLock | None, lock: Lock) -> list[PackageMoveView]:
        """Show what moved; return all of it."""
        if former is None:
            return []
        moves = await list_moves(former, lock, self._job.resolved)
        for line in format_lines(moves):
            self._publish(Message(event="log", line=line, note=True))
        return moves

    async def _lock(self, facts: Facts, former: FormerLock | None) -> tuple[Lock, bool, Reason | None]:
        """Return the lock to build, whether it was solved for here, and that nobody vouched for it if so.

        In this order: 1. the lock of the generation; 2. that of the lock file; 3. a lock that somebody shared; 4. a new
        solve, unless somebody shared a lock meanwhile. A new generation is always solved for.
        """
        job = self._job
        progress = BuildProgress(self._publish, job.selector.environ)
        if job.new_generation:
            return await self._solve(progress, None), True, None
        if facts.generation is not None:
            lock = await self._index.locks.find(facts.generation.lock_digest)
            if lock is not None:
                return lock, False, None
        if job.resolved.file_lock is not None:
            progress.expect("check-lock", check_work(job.resolved.file_lock.lock).amounts)
            vouched = await self._parts.planner.lock_files.voucher.vouch(job.resolved, job.selector, progress)
            if vouched.reason is None:  # otherwise it took as long as waiting for an answer
                await progress.record(self._index)
            else:  # which the generation records
                stated = msgspec.structs.replace(job.resolved.file_lock, is_unvouched=True)
                self._job = msgspec.structs.replace(
                    job, resolved=msgspec.structs.replace(job.resolved, file_lock=stated)
                )
            return vouched.lock, False, vouched.reason
        if shared := await self._locks.adopt(job.resolved, job.selector, progress):
            return shared, False, None
        if job.selector.lock is not None:
            raise LookupFailedError(f"No registry has lock {job.selector.lock}", hint="Try again, or leave it out.")
        solved = await self._solve(progress, former)
        if shared := await self._locks.adopt(job.resolved, job.selector, progress, fresh=True):
            return shared, False, None
        return solved, True, None

    async def _solve(self, progress: BuildProgress, former: FormerLock | None) -> Lock:
        job = self._job
        solve = msgspec.structs.replace(
            create_solve_job(job.resolved, job.selector, former),
            as_of=parse_as_of(job.request.as_of),
            allow_builds=split_platform(job.resolved.platform)[0] == split_platform(local_platform({}))[0],
        )
        for step in solve_work(job.resolved.definition):
            progress.expect(step.step, step.amounts, step.subject)
        lock = await solve_lock(self._parts.engines, solve, progress)
        await progress.record(self._index)
        return lock

    # ----------------------------------------------------------------- produce
    async def _produce_and_publish(
        self, planned: PlanWithFacts, lock: Lock, *, moves_current: bool
    ) -> tuple[BuildResult, tuple[Reason, ...]]:
        """Produce from a lock that was solved for here, and publish the lock once its packages are known to install;
        if another machine's lock was published first, that is adopted as the current generation."""
        async with LockPublication(partial(self._publish_lock, lock), self._reporter.lock_installs) as publication:
            result = await self._produce(planned, lock, moves_current=moves_current)
            published = await publication.outcome()
        if published.replacement is not None:
            result = await self._produce(planned, published.replacement, moves_current=True)
        return result, published.reasons

    async def _publish_lock(self, lock: Lock) -> PublishResult:
        job = self._job
        if isinstance(lock.provider, HostPython):  # with what installing it showed
            lock = await self._index.locks.find(digest_lock(lock)) or lock
        progress = BuildProgress(self._publish, job.selector.environ)
        publish = self._locks.publish_rebuild if job.new_generation else self._locks.publish_first
        return await publish(job.resolved, job.selector, lock, progress)

    async def _produce(self, planned: PlanWithFacts, lock: Lock, *, moves_current: bool) -> BuildResult:
        await self._index.builds.update(self.build.id, state="building", lock_digest=digest_lock(lock))
        if self._job.resolved.is_image:
            return await self._produce_image(planned, lock)
        return await self._produce_prefix(planned, lock, moves_current=moves_current)

    async def _produce_prefix(self, planned: PlanWithFacts, lock: Lock, *, moves_current: bool) -> BuildResult:
        job, started, digest = self._job, time.monotonic(), digest_lock(lock)
        adds = planned.facts.generation is None or job.new_generation
        request = PrefixRequest(
            lock=lock,
            build_id=self.build.id,
            generation=new_generation(job.resolved, job.request) if adds else None,
            credentials=await download_credentials(self._parts.engines, job.resolved, job.selector.environ, lock),
            environ=job.selector.environ,
        )
        unset = find_unset_index_variables(job.resolved.parsed.credentials, job.selector.environ)
        built: list[PrefixResult] = []
        generation, project = planned.facts.generation, job.resolved.project
        # A layer of a recorded lock needs no prefix of the lock itself, which nobody uses beside it; but without one,
        # the markers are not known with which a lock is shared.
        is_shareable = lock.markers_known or not isinstance(lock.provider, HostPython)
        is_needed = project is None or planned.facts.has_base_prefix or not is_shareable
        if adds or generation is None or is_needed:
            # While the current generation of a definition moves, no launch plan may remain that names the old one.
            async with invalidate_launch_plans(self._parts.launches) if moves_current else nullcontext():
                with request_index_variables(unset):
                    built.append(await self._parts.prefixes.ensure(request, self._publish))
                generation = await self._record_generation(planned.facts, request, built[0])
        if project is not None:
            if built and not built[0].reused:
                line = f"the dependencies are ready; next, a second environment with the project {project.name} on top"
                self._publish(Message(event="log", line=line, note=True))
            self._reporter.lock_installs.set()  # which does not depend on what becomes of the project
            with request_index_variables(unset):
                built.append(await self._install_project(request, project))
        prefix = built[-1]
        await self._index.builds.update(self.build.id, generation=generation.number, artifact_id=prefix.artifact.id)
        for each in built:
            self._reporter.count(each.seconds_worked, each.seconds_waited)
        return BuildResult(
            id=self.build.id,
            state="not-needed" if prefix.reused else "succeeded",
            definition_digest=job.resolved.digest,
            lock_digest=digest,
            generation=generation.number,
            artifacts=[artifact_view(prefix.artifact)],
            seconds=round(time.monotonic() - started, 3),
            reasons=[*planned.plan.reasons, *([shared_prefix_reason(digest)] if prefix.reused else [])],
        )

    async def _install_project(self, base: PrefixRequest, project: ProjectSource) -> PrefixResult:
        """Return the prefix of the layer of ``project`` on the lock of ``base``, which is recorded. The guards of
        launch plans include the build files, so none starts a command in the layer of earlier ones."""
        resolved, environ = self._job.resolved, self._job.selector.environ
        build = ProjectBuild(
            lines=resolved.definition.pip.requirements, index=resolved.defaults.index, variables=environ
        )
        layer = msgspec.structs.replace(
            base, lock=add_project(base.lock, project), generation=None, project_build=build
        )
        try:
            prefix = await self._parts.prefixes.ensure(layer, self._publish)
        except ProjectBuildError as error:
            error.location = error.location or project.location
            raise
        if not prefix.reused:
            line = f"installed project {project.name} from {project.folder} (editable)"
            self._publish(Message(event="log", line=line, note=True))
        return prefix

    async def _record_generation(self, facts: Facts, request: PrefixRequest, prefix: PrefixResult) -> Generation:
        """Return the generation of ``prefix``: 1. the one that was requested; 2. the one that was recorded with the
        prefix; 3. a new one, if the prefix was ready already or was built for somebody else."""
        generations = self._index.generations
        if request.generation is None:
            assert facts.generation is not None
            return facts.generation
        if prefix.recorded == request.generation:
            stated = request.generation.file_lock
            key = self._job.generation_key
            recorded = await (generations.find_of_lock(*key, stated) if stated else generations.find_current(*key))
            assert recorded is not None
            return recorded
        return await generations.add(request.generation, request.lock)

    async def _produce_image(self, planned: PlanWithFacts, lock: Lock) -> BuildResult:
        job, environ = self._job, self._job.selector.environ
        image = ImageJob(
            resolved=job.resolved,
            request=job.request,
            facts=planned.facts,
            pulls=planned.plan.action == "pull-image",
            lock=lock,
            defaults=job.resolved.defaults,
            build_id=self.build.id,
            new_generation=job.new_generation,
            pinned=job.pinned,
            push=job.push,
            credentials=await download_credentials(self._parts.engines, job.resolved, environ, lock),
            environ=environ,
        )
        with request_credentials(registry_credentials(job.resolved.parsed.credentials, environ, all_needed=True)):
            result = await self._parts.images.run(image, self._reporter)
        return msgspec.structs.replace(result, reasons=[*planned.plan.reasons, *result.reasons])

    # ------------------------------------------------------- record and report
    async def _record_success(self, started: float) -> None:
        await self._parts.history.end(self.build, "succeeded", started)
        reporter = self._reporter
        if reporter.seconds_worked:
            total = time.monotonic() - self._predicted_at - reporter.seconds_waited
            estimates = self._parts.planner.estimates
            await estimates.record_total(reporter.seconds_worked, total, shares_lock=self._shares_lock)

    async def _record_failure(self, error: BaseException, started: float) -> None:
        cancelled = isinstance(error, asyncio.CancelledError)
        failure = BuildCancelledError("The build was cancelled") if cancelled else as_coded_error(error)
        body = mask_struct(build_failure_body(failure), self._job.selector.environ)
        await self._parts.history.end(self.build, "cancelled" if cancelled else "failed", started, body)

    def _publish_error(self, error: CodedError) -> None:
        self._publish(Message(event="error", error=build_failure_body(error)))


def _publish_masked(task: SharedTask[BuildResult], environ: Mapping[str, str], message: Message) -> None:
    """Publish ``message`` without values of ``environ`` in its texts, whatever part of the build they come from. Paths
    and digests for programs stay as they are: a user may be called like part of a path."""
    if message.event in ("log", "error"):
        message = mask_struct(message, environ)
    elif message.plan is not None:
        reasons = [mask_struct(reason, environ) for reason in message.plan.reasons]
        message = msgspec.structs.replace(message, plan=msgspec.structs.replace(message.plan, reasons=reasons))
    elif message.result is not None:
        reasons = [mask_struct(reason, environ) for reason in message.result.reasons]
        message = msgspec.structs.replace(message, result=msgspec.structs.replace(message.result, reasons=reasons))
    task.publish(message)


async def _complete(step: Coroutine[object, object, None]) -> None:
    """Run ``step`` to its end even if the build is cancelled meanwhile."""
    await finish_despite_cancel(asyncio.create_task(step))
