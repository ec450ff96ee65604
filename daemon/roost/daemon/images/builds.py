"""From a lock and a base to an image that is ready in the engine or in a registry, once for each image key.

Whatever fails on the way, nothing is tagged or recorded before the image is complete and was found in the engine again.
What was made so far (layers, results of docker steps) is stored, and the next attempt continues with it.
"""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from roost.daemon.background.work import current_work
from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import PrunedError
from roost.daemon.bases.naming import definition_tag, engine_reference, image_repository, key_tag
from roost.daemon.bases.pull import ImagePuller
from roost.daemon.bases.push import ImagePusher, PushedImage
from roost.daemon.bases.unmodified import UnmodifiedBases
from roost.daemon.engines.engine_set import Engines
from roost.daemon.estimates.estimator import gather_image_work
from roost.daemon.estimates.model import StepWork
from roost.daemon.images.assembly import ImageAssembler
from roost.daemon.images.interpreters import ImageInterpreters
from roost.daemon.images.layer_probe import LayerProbe
from roost.daemon.images.pulls import find_image, record_base
from roost.daemon.images.requests import INTERPRETER, AssembledImage, ImageRequest, ImageResult, PullRequest
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.reporter import BuildProgress, BuildReporter
from roost.daemon.jobs.shared_task import SharedTask, SharedTasks, Start, relay
from roost.daemon.jobs.space import SpaceGate
from roost.daemon.jobs.work_limit import WorkLimit
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import parse_reference
from roost.model.errors import LookupFailedError
from roost.model.locks.lock import digest_lock
from roost.model.records import Artifact, ImageRecord
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.store import Store


class ImageBuilds:
    """Builds, loads, pushes and pulls images. Requests for the same image share one task."""

    def __init__(
        self, store: Store, engines: Engines, events: Events, bases: Bases, space: SpaceGate, concurrency: int
    ) -> None:
        self._space = space
        self._index = store.index
        self._engines = engines
        self._events = events
        self.bases = bases
        self.unmodified_bases = UnmodifiedBases(store, engines, bases)
        self._assembler = ImageAssembler(store, engines, bases)
        self._layers = LayerProbe(store, engines, bases)
        self._pusher = ImagePusher(engines, bases.loader)
        self._puller = ImagePuller(engines, bases)
        self._interpreters = ImageInterpreters(engines)
        self._tasks: SharedTasks[ImageResult] = SharedTasks()
        self._limit = WorkLimit(concurrency)

    async def ensure(self, request: ImageRequest, reporter: BuildReporter) -> ImageResult:
        """Return the image of ``request.key``, ready in the engine or in the registry that it is for."""

        async def build(task: SharedTask[ImageResult]) -> ImageResult:
            return await self._find_or_build(request, BuildProgress(task.publish), reporter)

        result = await self._join((request.key, request.load, request.push, *self._engine_key()), build, reporter)
        if result.recorded == request.generation:
            return result
        await self._check_interpreter(request, result.image.config_digest)
        return await self._record_generation(request, result)

    async def pull(self, request: PullRequest, reporter: BuildReporter) -> ImageResult:
        """Return an image of a registry, ready in the engine."""

        async def pull(task: SharedTask[ImageResult]) -> ImageResult:
            return await self._pull(request, BuildProgress(task.publish))

        result = await self._join(("pull", request.location.digest, *self._engine_key()), pull, reporter)
        return result if result.recorded == request.generation else await self._record_generation(request, result)

    def _engine_key(self) -> tuple[tuple[str, str], ...]:
        """Return what names the engine of the caller: an image in another one is of no use to him."""
        return tuple(sorted(self._engines.docker_variables().items()))

    async def stop(self) -> None:
        """Cancel all builds and pulls."""
        await self._tasks.cancel_all()

    async def _join(self, key: tuple[object, ...], start: Start[ImageResult], reporter: BuildReporter) -> ImageResult:
        async with self._tasks.join(key, start) as (task, listener, joined):
            relaying = asyncio.create_task(relay(listener, reporter.publish))
            try:
                return await (task.joined_outcome() if joined else task.outcome())
            finally:
                listener.close()
                await asyncio.shield(relaying)

    async def _record_generation(self, request: ImageRequest | PullRequest, result: ImageResult) -> ImageResult:
        """Record the generation of a request that shared the task of another one."""
        _, generation = await self._index.publish_image(None, result.image, request.lock, request.generation)
        return msgspec.structs.replace(result, generation=generation)

    # ---------------------------------------------------------------- building
    async def _find_or_build(
        self, request: ImageRequest, progress: BuildProgress, reporter: BuildReporter
    ) -> ImageResult:
        image = await self._index.images.find(request.key)
        if request.load and request.push is None and image is not None and await self._is_in_engine(image):
            return await self._reuse(image, request)
        async with self._limit.hold(progress):
            await self._space.wait()
            for step in await self._list_work(request):
                progress.expect(step.step, step.amounts, step.subject)
            assembled = await self._assembler.find_assembled(image)
            assembled = assembled or await self._assembler.assemble(request, progress)
            reporter.lock_installs.set()
            failpoint("image.assembled")
            if request.load:
                await self._load(assembled, request, progress)
                failpoint("image.loaded")
            pushed = await self._push(assembled, request, progress) if request.push is not None else None
        await progress.record(self._index)
        result = await self._publish(assembled, request, pushed)
        await self._space.report()
        return _with_seconds(result, progress)

    async def _list_work(self, request: ImageRequest) -> list[StepWork]:
        """Return what there is to do now, for estimates."""
        top = request.base.top
        planned = await self._layers.plan_layers(request.lock, top, adds_packages=request.adds_packages)
        missing = await self._layers.find_missing(planned)
        work = [*(await gather_image_work(self._index, request.lock, missing)).steps]
        if request.is_unmodified:  # it is loaded or pulled
            work.append(await self._layers.find_pull_work(top.layers))
        if request.push is not None:
            work.append(await self._layers.find_push_work(planned, request.push))
        return work

    async def _is_in_engine(self, image: ImageRecord) -> bool:
        """Whether the engine has the image under its name; a name that was removed is restored."""
        engine = await self._engines.docker()
        found = await engine.images.find(image.config_digest)
        if found is None:
            return False
        if image.name not in found.tags:
            await engine.images.tag(image.config_digest, image.name)
        return True

    async def _check_interpreter(self, request: ImageRequest, image: str) -> None:
        """Raise InterpreterMissingError if the definition names an interpreter that is not in the image."""
        if request.load and request.interpreter is not None and not request.adds_packages:
            await self._interpreters.find(image, request.interpreter)

    async def _reuse(self, image: ImageRecord, request: ImageRequest) -> ImageResult:
        await self._check_interpreter(request, image.config_digest)
        new = await self._new_artifact(image)
        artifact, generation = await self._index.publish_image(new, image, request.lock, request.generation)
        return ImageResult(
            image=image, artifact=artifact, generation=generation, recorded=request.generation, reused=True
        )

    async def _load(self, assembled: AssembledImage, request: ImageRequest, progress: BuildProgress) -> None:
        """Load the image into the engine without a tag, look for it there, then tag it."""
        await self._index.bases.put(assembled.record)
        if request.is_unmodified:
            platform = image_platform(request.lock.platform)
            await self.unmodified_bases.ensure_loaded(assembled.record, request.requested_platform, platform, progress)
        else:
            await self.bases.loader.ensure_loaded(assembled.record, progress)
        failpoint("image.brought")
        engine = await self._engines.docker()
        image = await engine.images.find(assembled.record.digest)
        if image is None:
            raise _pruned_error()
        await self._check_interpreter(request, image.id)
        try:
            await engine.images.tag(image.id, engine_reference(request.name, request.key))
        except LookupFailedError as error:
            raise _pruned_error() from error

    async def _push(self, assembled: AssembledImage, request: ImageRequest, progress: BuildProgress) -> PushedImage:
        tags = [key_tag(request.key), definition_tag(request.definition_digest, digest_lock(request.lock))]
        repository = image_repository(request.push or "")
        record = await self.unmodified_bases.with_blobs(assembled.record, image_platform(request.lock.platform))
        top = None if request.is_unmodified else request.base.top
        pushed = await self._pusher.push(record, repository, tags, progress, top=top)
        # The image may have been there already, pushed for another definition and tagged for that only.
        await self._pusher.add_tags(pushed, repository, tags[1:])
        await self._events.append("image-pushed", reference=pushed.reference, digest=pushed.digest, sent=pushed.sent)
        return pushed

    async def _publish(
        self, assembled: AssembledImage, request: ImageRequest, pushed: PushedImage | None
    ) -> ImageResult:
        """Record the image, its artifact and the generation in one transaction."""
        image = ImageRecord(
            key=request.key,
            config_digest=assembled.record.digest,
            definition_digest=request.definition_digest,
            lock_digest=digest_lock(request.lock),
            platform=request.lock.platform,
            base_digest=request.base.base_digest,
            steps_digest=request.base.steps_digest,
            name=engine_reference(request.name, request.key),
            layers=assembled.layers,
            interpreter=INTERPRETER if request.adds_packages else None,
            registry_digests={pushed.reference: pushed.manifest_digest} if pushed else {},
        )
        await self._index.bases.put(assembled.record)
        new = await self._new_artifact(image) if request.load else None
        artifact, generation = await self._index.publish_image(new, image, request.lock, request.generation)
        await self._events.append("image-ready", key=image.key, name=image.name, digest=image.config_digest)
        return ImageResult(
            image=image, artifact=artifact, generation=generation, recorded=request.generation, pushed=pushed
        )

    async def _new_artifact(self, image: ImageRecord) -> Artifact:
        found = await (await self._engines.docker()).images.find(image.config_digest)
        now = utc_now()
        return Artifact(
            id=f"i-{secrets.token_hex(8)}",
            kind="image",
            key=image.key,
            platform=image.platform,
            state="ready",
            path=image.name,
            bytes=found.bytes if found else 0,
            created=now,
            last_used=now,
        )

    # ---------------------------------------------------------------- pulling
    async def _pull(self, request: PullRequest, progress: BuildProgress) -> ImageResult:
        found = await find_image(self._engines, self.bases, request)
        image, record, registry = found.image, found.record, found.registry
        platform = image_platform(request.lock.platform)
        async with self._limit.hold(progress):
            await self._space.wait()
            work = await self._layers.find_pull_work(request.location.layers)
            progress.expect(work.step, work.amounts)
            await self._puller.pull(record, platform, platform, progress)
            failpoint("image.pulled")
            await (await self._engines.docker()).images.tag(record.digest, image.name)
        await progress.record(self._index)
        await self._index.bases.put(record)
        if not request.is_unmodified:
            await record_base(self._index, self.bases, parse_reference(request.location.reference), image)
        new = await self._new_artifact(image)
        artifact, generation = await self._index.publish_image(new, image, request.lock, request.generation)
        await self._space.report()
        pushed = PushedImage(
            reference=registry.reference, digest=registry.digest, manifest_digest=registry.manifest_digest
        )
        result = ImageResult(
            image=image, artifact=artifact, generation=generation, recorded=request.generation, pushed=pushed
        )
        return _with_seconds(result, progress)


def _with_seconds(result: ImageResult, progress: BuildProgress) -> ImageResult:
    """Add how long the steps took, unless it was in the background, where everything takes longer."""
    if current_work() is not None:
        return result
    return msgspec.structs.replace(
        result, seconds_worked=progress.seconds_worked, seconds_waited=progress.seconds_waited
    )


def _pruned_error() -> PrunedError:
    return PrunedError("The engine loaded the image, but no longer has it", hint="Try again.")
