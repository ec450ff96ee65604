"""The image's part of a build: choose the base, build or pull the image, and record its generation."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

import msgspec

from roost.daemon.bases.errors import BaseLostError, PrunedError
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.bases.step_sharing import StepRegistry
from roost.daemon.config.dates import format_as_of
from roost.daemon.config.schema import RegistriesSettings
from roost.daemon.decision.facts import ImageLocation, Request, short_digest
from roost.daemon.decision.images import has_docker_steps, preferred_location
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.docker.errors import LayerFileMissingError
from roost.daemon.engines.engine_set import Engines
from roost.daemon.estimates.work import base_work
from roost.daemon.images.base_choice import BaseChooser
from roost.daemon.images.builds import ImageBuilds
from roost.daemon.images.interpreters import named_interpreter
from roost.daemon.images.requests import ImageJob, ImageRequest, ImageResult, PullRequest
from roost.daemon.jobs.holds import LAYERS
from roost.daemon.jobs.reporter import BuildProgress, BuildReporter
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.launch.isolation import base_changes
from roost.daemon.oci.registries import list_locations
from roost.model.definition import Base
from roost.model.errors import InvalidRequestError, ServiceUnreachableError
from roost.model.locks.lock import digest_lock
from roost.model.records import Generation, NewGeneration, VariableChange
from roost.store.store import Store
from roost.wire.builds import BuildResult
from roost.wire.plans import ArtifactView, Reason

_PRUNE_ERRORS = (BaseLostError, LayerFileMissingError, PrunedError)
"""Errors of a build whose images somebody removes from the engine meanwhile. A second attempt finds out what has to be
made again."""


class NoWorkspaceError(InvalidRequestError):
    """There is no registry to push to."""

    code = "workspace-missing"


class ImageJobs:
    """Builds and pulls the images of builds."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        images: ImageBuilds,
        launches: LaunchFolder,
        steps: StepRegistry,
        on_cached: Callable[[], None],
    ) -> None:
        """``on_cached`` is called when a build may have put something into a cache, whatever came of it."""
        self._index = store.index
        self._engines = engines
        self._images = images
        self._launches = launches
        self._on_cached = on_cached
        self._base_chooser = BaseChooser(images.bases, images.unmodified_bases, steps)

    async def run(self, job: ImageJob, reporter: BuildReporter) -> BuildResult:
        """Make the image of a job ready. Raises what choosing a base, assembling, loading, pushing and pulling
        raise."""
        try:
            async with self._engines.holds.hold([LAYERS]):
                return await self._run(job, reporter)
        finally:
            self._on_cached()

    async def _run(self, job: ImageJob, reporter: BuildReporter) -> BuildResult:
        started, lock_digest = time.monotonic(), digest_lock(job.lock)
        pulls = job.pulls and job.push is None and job.facts.lock_digest == lock_digest
        location = preferred_location(job.facts.image) if pulls else None
        if location is not None:
            result, reasons = await self._pull_planned(job, location, reporter), list[Reason]()
        else:
            result, reasons = await self._build(job, reporter)
        reporter.count(result.seconds_worked, result.seconds_waited)
        if result.reused:
            text = f"The image of lock {short_digest(lock_digest)} on this base is ready: nothing to build"
            reasons.append(Reason(code="image-shared", message=text))
        number = result.generation.number if result.generation else None
        artifact_id = result.artifact.id if result.artifact else None
        await self._index.builds.update(job.build_id, generation=number, artifact_id=artifact_id)
        return BuildResult(
            id=job.build_id,
            state="not-needed" if result.reused else "succeeded",
            definition_digest=job.resolved.digest,
            lock_digest=lock_digest,
            generation=number,
            artifacts=[_result_view(result)],
            seconds=round(time.monotonic() - started, 3),
            reasons=reasons,
        )

    async def stop(self) -> None:
        """Cancel all builds and pulls of images."""
        await self._images.stop()

    async def _build(self, job: ImageJob, reporter: BuildReporter) -> tuple[ImageResult, list[Reason]]:
        """Build the image; try a second time if something was pruned meanwhile."""
        reasons: list[Reason] = []
        is_retry = False
        while True:
            try:
                progress = BuildProgress(reporter.publish)
                definition = job.resolved.definition
                for step in base_work(definition.base, has_docker_steps(definition)):
                    progress.expect(step.step, step.amounts, step.subject)
                base = await self._base_chooser.choose(job, progress)
                reasons += base.reasons
                named = named_interpreter(job.resolved)
                if job.push is not None and named is not None:
                    text = f"Whether the image has {named} is checked where it is run: a push needs no engine"
                    reasons.append(Reason(code="interpreter-unchecked", message=text))
                await progress.record(self._index)
                request = await self._create_request(job, base)
                async with self._invalidation(job, request.generation):
                    result = await self._images.ensure(request, reporter)
                return _add_seconds(result, progress), reasons
            except _PRUNE_ERRORS as error:
                if is_retry:
                    raise
                is_retry = True
                BuildProgress(reporter.publish).log(f"{error.message}. It may have been pruned; trying again")
                text = f"{error.message}: it was pruned during the build and is built again"
                reasons.append(Reason(code="pruned-meanwhile", message=text))

    async def _create_request(self, job: ImageJob, base: ResolvedBase) -> ImageRequest:
        return ImageRequest(
            lock=job.lock,
            base=base,
            definition_digest=job.resolved.digest,
            name=job.resolved.source.name,
            build_id=job.build_id,
            generation=_choose_generation(job, base),
            interpreter=named_interpreter(job.resolved),
            load=job.push is None,
            can_run_scripts=job.push is None or await self._engine_answers(),
            push=job.push,
            is_unmodified=job.is_unmodified,
            requested_platform=job.requested_platform,
            base_changes=_base_changes(job.resolved.definition.base),
            credentials=job.credentials,
            environ=job.environ,
        )

    async def _engine_answers(self) -> bool:
        try:
            await (await self._engines.docker()).ping()
        except ServiceUnreachableError:
            return False
        return True

    async def _pull_planned(self, job: ImageJob, location: ImageLocation, reporter: BuildReporter) -> ImageResult:
        request = PullRequest(
            location=location,
            lock=job.lock,
            definition_digest=job.resolved.digest,
            name=job.resolved.source.name,
            generation=job.generation or new_generation(job.resolved, job.request),
            is_unmodified=job.is_unmodified,
        )
        async with self._invalidation(job, request.generation):
            return await self._images.pull(request, reporter)

    def _invalidation(self, job: ImageJob, generation: object) -> AbstractAsyncContextManager[None]:
        """Hold this while a new generation replaces the current one: no launch plan may remain that names the old
        one."""
        moves_current = isinstance(generation, NewGeneration) and job.facts.generation is not None
        return invalidate_launch_plans(self._launches) if moves_current else nullcontext()


def _add_seconds(result: ImageResult, progress: BuildProgress) -> ImageResult:
    """Add what getting the base took."""
    if result.seconds_worked is None:
        return result
    return msgspec.structs.replace(
        result,
        seconds_worked=result.seconds_worked + progress.seconds_worked,
        seconds_waited=result.seconds_waited + progress.seconds_waited,
    )


def new_generation(resolved: TargetedDefinition, request: Request) -> NewGeneration:
    """Return the next generation of ``resolved``, as it is to be recorded."""
    as_of = format_as_of(request.as_of)
    return NewGeneration(
        definition_digest=resolved.digest,
        platform=resolved.generation_scope,
        as_of=as_of,
        origin="file" if resolved.file_lock is not None else "solve",
        file_lock=resolved.file_lock.digest if resolved.file_lock is not None else None,
        unvouched="" if resolved.file_lock is not None and resolved.file_lock.is_unvouched else None,
    )


def _base_changes(base: Base | None) -> tuple[VariableChange, ...]:
    base = base or Base()
    return base_changes(base.steps, is_own_base=base.dockerfile is not None or base.context is not None)


def _choose_generation(job: ImageJob, base: ResolvedBase) -> NewGeneration | Generation:
    """Return the job's generation if it has this base or none yet; else it stays as it is, and a new one begins."""
    generation = job.generation
    if generation is not None:
        recorded = (generation.base_digest, generation.steps_digest)
        if generation.base_digest is None or recorded == (base.base_digest, base.steps_digest):
            return generation
    return new_generation(job.resolved, job.request)


def _result_view(result: ImageResult) -> ArtifactView:
    """Return an image as build results show it: by the registry's reference if it was pushed."""
    image, pushed = result.image, result.pushed
    return ArtifactView(
        kind="image",
        id=result.artifact.id if result.artifact else short_digest(image.key),
        reference=pushed.reference if pushed else image.name,
        digest=pushed.digest if pushed else image.config_digest,
        manifest_digest=pushed.manifest_digest if pushed else None,
        bytes=result.artifact.bytes if result.artifact else None,
    )


def workspace_location(settings: RegistriesSettings) -> str:
    """Return the location of the workspace's registry. Raises NoWorkspaceError."""
    locations = list_locations(settings)
    workspace = next((each.location for each in locations if each.kind == "workspace"), None)
    if workspace is None:
        raise NoWorkspaceError(
            "There is no workspace registry to push to",
            hint="Name one with `roost registry add`, or under [registries] workspace in roost's config.",
        )
    return workspace
