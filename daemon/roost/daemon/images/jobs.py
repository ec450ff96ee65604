"""The image's half of a build: from a lock to an image that is ready, with what the generation says of its base."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

import msgspec

from roost.daemon.bases.errors import BaseLostError, PrunedError
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.bases.step_sharing import StepRegistry
from roost.daemon.config.dates import format_as_of
from roost.daemon.config.schema import RegistriesSettings
from roost.daemon.decision.facts import Facts, ImageLocation, Request, short_digest
from roost.daemon.decision.images import follows_moved_base, has_docker_steps, is_unmodified, preferred_location
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.docker.errors import LayerFileMissingError
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.builds import ImageBuilds
from roost.daemon.images.interpreters import named_interpreter
from roost.daemon.images.requests import ImageRequest, ImageResult, PullRequest
from roost.daemon.jobs.reporter import BuildProgress, BuildReporter
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.oci.platforms import image_platform, parse_platform
from roost.daemon.oci.registries import list_locations
from roost.model.definition import Base, Defaults
from roost.model.errors import InvalidRequestError, LookupFailedError, ServiceUnreachableError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import BaseRecord, Generation, NewGeneration
from roost.store.store import Store
from roost.wire.builds import BuildResult
from roost.wire.plans import ArtifactView, Reason

LOST = (BaseLostError, LayerFileMissingError, PrunedError)
"""What a build meets whose images somebody takes out of the engine under its hands; a second try finds out what of it
has to be made again."""


class GenerationGoneError(LookupFailedError):
    """What the docker steps of an older generation made, or a generation's base, is nowhere any more."""

    code = "generation-gone"


class NoWorkspaceError(InvalidRequestError):
    """There is no registry to push to."""

    code = "workspace-missing"


class ImageJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a build of an image goes by."""

    resolved: TargetedDefinition
    request: Request
    facts: Facts
    pulls: bool
    """The plan is to take it from a registry."""
    lock: Lock
    defaults: Defaults
    build_id: str
    anew: bool
    exact: bool
    """An older generation was asked for: nothing else will do."""
    push: str | None = None
    """The location of the registry that it is for; ``None``: the engine's."""
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}

    @property
    def generation(self) -> Generation | None:
        """The one that the image is for, if there is one already."""
        kept = None if self.anew else self.facts.generation
        return kept if kept is not None and kept.lock_digest == digest_lock(self.lock) else None

    @property
    def follows_moved_base(self) -> bool:
        return follows_moved_base(self.facts.generation, self.facts.image)

    @property
    def platform(self) -> str:
        return image_platform(self.resolved.platform)

    @property
    def as_it_is(self) -> bool:
        """The base image, and nothing on it."""
        return is_unmodified(self.resolved.definition)

    @property
    def asked(self) -> str | None:
        """The platform that the definition names, in the words that engines use."""
        return str(parse_platform(self.base.platform)) if self.base.platform else None

    @property
    def base(self) -> Base:
        return self.resolved.definition.base or Base()


class ImageJobs:
    """Makes images for builds."""

    def __init__(
        self, store: Store, engines: Engines, images: ImageBuilds, launches: LaunchFolder, steps: StepRegistry
    ) -> None:
        self._index = store.index
        self._steps = steps
        self._engines = engines
        self._images = images
        self._launches = launches

    async def make(self, job: ImageJob, reporter: BuildReporter) -> BuildResult:
        """The image, ready. Raises what settling, assembling, loading, pushing and pulling raise."""
        started, reasons = time.monotonic(), list[Reason]()
        digest = digest_lock(job.lock)
        ready = await self._ready(job, reporter, reasons)
        number = ready.generation.number if ready.generation else None
        artifact = ready.artifact.id if ready.artifact else None
        await self._index.builds.update(job.build_id, generation=number, artifact_id=artifact)
        return BuildResult(
            id=job.build_id,
            state="not-needed" if ready.reused else "succeeded",
            definition_digest=job.resolved.digest,
            lock_digest=digest,
            generation=number,
            artifacts=[image_view(ready)],
            seconds=round(time.monotonic() - started, 3),
            reasons=[*reasons, *([_shared(digest)] if ready.reused else [])],
        )

    async def _ready(self, job: ImageJob, reporter: BuildReporter, reasons: list[Reason]) -> ImageResult:
        planned = job.pulls and job.push is None and job.facts.lock_digest == digest_lock(job.lock)
        place = preferred_location(job.facts.image) if planned else None
        if place is not None:
            return await self._pulled(job, place, reporter)
        try:
            return await self._built(job, reporter, reasons)
        except LOST as error:
            BuildProgress(reporter.publish).log(f"{error.message}. Was it pruned meanwhile? Once more")
            text = f"{error.message}: it was pruned meanwhile, and made once more"
            reasons.append(Reason(code="pruned-meanwhile", message=text))
            return await self._built(job, reporter, reasons)

    async def _built(self, job: ImageJob, reporter: BuildReporter, reasons: list[Reason]) -> ImageResult:
        progress = BuildProgress(reporter.publish)
        settled = await self._settled(job, progress, reasons)
        if job.push is not None and (named := named_interpreter(job.resolved)) is not None:
            text = f"Whether the image has {named} is looked for where it is run: a push needs no engine"
            reasons.append(Reason(code="interpreter-unchecked", message=text))
        await progress.record(self._index)
        wanted = await self._wanted(job, settled)
        async with self._moving(wanted.generation, job):
            return await self._images.ensure(wanted, reporter)

    async def _pulled(self, job: ImageJob, place: ImageLocation, reporter: BuildReporter) -> ImageResult:
        generation = job.generation or new_generation(job.resolved, job.request)
        wanted = PullRequest(
            place=place,
            lock=job.lock,
            definition_digest=job.resolved.digest,
            name=job.resolved.source.name,
            generation=generation,
            as_it_is=job.as_it_is,
        )
        async with self._moving(generation, job):
            return await self._images.pull(wanted, reporter)

    def _moving(self, generation: object, job: ImageJob) -> AbstractAsyncContextManager[None]:
        """Where a definition's current generation moves, no plan file is left behind that names the old one."""
        moves = isinstance(generation, NewGeneration) and job.facts.generation is not None
        return invalidate_launch_plans(self._launches) if moves else nullcontext()

    async def _settled(self, job: ImageJob, progress: BuildProgress, reasons: list[Reason]) -> ResolvedBase:
        """The base that the generation has; a new look where it has none yet, or a new generation begins."""
        generation = job.generation
        if job.as_it_is:
            top = await self._plain(job, generation, reasons)
            return ResolvedBase(top=top, base_digest=top.digest)
        if generation is not None and generation.base_digest is not None and not job.follows_moved_base:
            kept = await self._images.bases.resolver.load_recorded(generation)
            stepped = has_docker_steps(job.resolved.definition)
            if kept is None and not stepped:
                return await self._base_again(job, generation)
            if kept is None:
                kept = await self._steps.find_recorded(generation, job.platform)
            if kept is not None:
                if stepped:
                    shared = await self._steps.publish_missing(
                        kept, job.resolved.digest, job.resolved.platform, job.platform, progress
                    )
                    reasons += [shared.reason] if shared.reason else []
                return kept
            if job.exact:
                raise GenerationGoneError(
                    f"What the docker steps of generation {generation.number} made is neither here nor in a registry",
                    hint="Without --generation and --lock they run again, as a new generation. A workspace registry "
                    "([registries] workspace in roost's config) keeps what they make from now on.",
                )
        return await self._made(job, progress, reasons)

    async def _base_again(self, job: ImageJob, generation: Generation) -> ResolvedBase:
        """The base of a generation that came from a registry with its image, or that was lost: that very one, and not
        what its name stands for by now.

        Raises StepsUnknownError where a registry may have it, GenerationGoneError where none has."""
        digest, text = generation.base_digest or "", job.base.image or job.defaults.base_image
        found = await self._images.bases.resolver.find_unchanged(digest, text, job.platform)
        if found is not None:
            return ResolvedBase(top=found, base_digest=digest)
        kept = await self._steps.find_recorded(generation, job.platform, stepped=False)
        if kept is None:
            raise GenerationGoneError(
                f"Generation {generation.number} keeps the base image {short_digest(digest)}, which is neither here "
                f"nor in a registry; {text} is not known to name it any more",
                hint="`roost build --rebuild` takes what that names now, as a new generation; or bring the old one "
                "into the engine again.",
            )
        return kept

    async def _made(self, job: ImageJob, progress: BuildProgress, reasons: list[Reason]) -> ResolvedBase:
        """Steps run now, unless another machine ran them for this definition and nothing newer is asked for."""
        definition, resolved = job.resolved.definition, job.resolved
        known = job.facts.generation  # a prefix alone may be all that it was made into
        first = not job.anew and (known is None or known.base_digest is None)
        if first and has_docker_steps(definition):
            theirs = await self._steps.find_first(resolved.digest, resolved.platform, job.platform)
            if theirs is not None:
                text = "What these docker steps made is shared already: that is taken, and they do not run again"
                reasons.append(Reason(code="steps-shared", message=text))
                return theirs
        settled = await self._images.bases.resolver.resolve(
            definition, job.defaults, job.platform, progress, fresh=job.request.rebuild
        )
        reasons += settled.reasons
        if not has_docker_steps(definition):
            return settled
        publish = self._steps.publish_first if first else self._steps.publish_rebuild
        shared = await publish(settled, resolved.digest, resolved.platform, job.platform, progress)
        reasons += [shared.reason] if shared.reason else []
        return shared.resolved

    async def _plain(self, job: ImageJob, generation: Generation | None, reasons: list[Reason]) -> BaseRecord:
        """What the generation keeps, and never what its tag names by now, unless a new one is begun."""
        text, moved = (
            job.base.image or job.defaults.base_image,
            job.follows_moved_base,
        )
        if generation is not None and not moved:
            return await self._images.plain.load_recorded(generation, text)
        fresh = moved or job.request.rebuild
        found = await self._images.plain.resolve(text, job.platform, job.asked, fresh=fresh)
        reasons += found.reasons
        return found.record

    async def _wanted(self, job: ImageJob, settled: ResolvedBase) -> ImageRequest:
        return ImageRequest(
            lock=job.lock,
            settled=settled,
            definition_digest=job.resolved.digest,
            name=job.resolved.source.name,
            build_id=job.build_id,
            generation=_of(job, settled),
            interpreter=named_interpreter(job.resolved),
            load=job.push is None,
            scripts=job.push is None or await self._engine_answers(),
            push=job.push,
            as_it_is=job.as_it_is,
            platform=job.asked,
            credentials=job.credentials,
            environ=job.environ,
        )

    async def _engine_answers(self) -> bool:
        try:
            await (await self._engines.docker()).ping()
        except ServiceUnreachableError:
            return False
        return True

    async def stop(self) -> None:
        await self._images.stop()


def new_generation(resolved: TargetedDefinition, request: Request) -> NewGeneration:
    """Return the next generation of ``resolved``, as it is to be recorded."""
    as_of = format_as_of(request.as_of)
    return NewGeneration(definition_digest=resolved.digest, platform=resolved.generation_scope, as_of=as_of)


def _of(job: ImageJob, settled: ResolvedBase) -> NewGeneration | Generation:
    """A generation that has no base yet gets this one; one that has another stays as it is, and a new one begins."""
    generation = job.generation
    if generation is None:
        return new_generation(job.resolved, job.request)
    same = (generation.base_digest, generation.steps_digest) == (settled.base_digest, settled.steps_digest)
    return generation if same or generation.base_digest is None else new_generation(job.resolved, job.request)


def image_view(ready: ImageResult) -> ArtifactView:
    """An image as results show it: by the registry's reference where it was pushed."""
    image, pushed = ready.image, ready.pushed
    return ArtifactView(
        kind="image",
        id=ready.artifact.id if ready.artifact else short_digest(image.key),
        reference=pushed.reference if pushed else image.name,
        digest=pushed.digest if pushed else image.config_digest,
        manifest_digest=pushed.manifest_digest if pushed else None,
        bytes=ready.artifact.bytes if ready.artifact else None,
    )


def workspace_of(settings: RegistriesSettings) -> str:
    """The location of the workspace's registry. Raises NoWorkspaceError."""
    found = next((place.location for place in list_locations(settings) if place.kind == "workspace"), None)
    if found is None:
        raise NoWorkspaceError(
            "There is no workspace registry to push to",
            hint="Name one with `roost registry add`, or under [registries] workspace in roost's config.",
        )
    return found


def _shared(digest: str) -> Reason:
    text = f"The image of lock {short_digest(digest)} on this base is ready: nothing to build"
    return Reason(code="image-shared", message=text)
