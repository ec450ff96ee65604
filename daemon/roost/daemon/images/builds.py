"""From a lock and a base to an image that is ready in the engine or in a registry, once for each image key.

Whatever happens on the way, nothing is tagged or recorded before the image is complete and was looked at again; what
was made (layers, what docker steps left) is kept, and the next try goes on with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import PrunedError, TooManyLayersError
from roost.daemon.bases.naming import (
    LABEL_BASE,
    LABEL_KEY,
    LABEL_STEPS,
    content_tag,
    definition_tag,
    engine_reference,
    image_labels,
    image_repository,
    key_tag,
)
from roost.daemon.bases.pull import ImagePuller
from roost.daemon.bases.push import ImagePusher, PushedImage
from roost.daemon.bases.registry_images import RegistryImage, read_registry_image
from roost.daemon.bases.unmodified import UnmodifiedBases
from roost.daemon.credentials.substitution import substitute
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.config import BaseImage, created_of, has_environment, image_config, packages_told
from roost.daemon.images.interpreters import ImageInterpreters
from roost.daemon.images.requests import INTERPRETER, Assembled, ImageRequest, ImageResult, PullRequest, image_key_of
from roost.daemon.images.scripts import script_steps
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.reporter import BuildProgress, BuildReporter
from roost.daemon.jobs.shared_task import SharedTask, SharedTasks, relay
from roost.daemon.layers.grouping import LAYER_LIMIT, LayerContent, count_layers
from roost.daemon.oci.answers import Unknown, Yes
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import Reference, digest_of, parse_reference
from roost.model.errors import BuildError, CodedError, LookupFailedError, ServiceUnreachableError
from roost.model.locks.lock import digest_lock
from roost.model.records import Artifact, BaseLayer, BaseRecord, ImageLayer, ImageRecord
from roost.store.clock import utc_now
from roost.store.failpoints import failpoint
from roost.store.store import Store


class ImageWrongError(BuildError):
    """A registry's image under our tag is not the one that its tag says."""

    code = "image-wrong"


class ImageBuilds:
    """Assembles, loads, pushes and pulls images."""

    def __init__(self, store: Store, engines: Engines, events: Events, bases: Bases, concurrency: int) -> None:
        self._store = store
        self._engines = engines
        self._events = events
        self.bases = bases
        self.plain = UnmodifiedBases(store, engines, bases)
        self.pusher = ImagePusher(engines, bases.loader)
        self._puller = ImagePuller(engines, bases)
        self._interpreters = ImageInterpreters(engines)
        self._flights: SharedTasks[ImageResult] = SharedTasks()
        self._turns = asyncio.Semaphore(concurrency)

    async def ensure(self, wanted: ImageRequest, reporter: BuildReporter) -> ImageResult:
        """The image of ``wanted.key``, where it is wanted."""

        async def start(flight: SharedTask[ImageResult]) -> ImageResult:
            return await self._find_or_make(BuildProgress(flight.publish), wanted, reporter)

        return await self._fly((wanted.key, wanted.load, wanted.push), start, wanted, reporter)

    async def pull(self, wanted: PullRequest, reporter: BuildReporter) -> ImageResult:
        """The image of a registry, in the engine."""

        async def start(flight: SharedTask[ImageResult]) -> ImageResult:
            return await self._pull(BuildProgress(flight.publish), wanted)

        return await self._fly(("pull", wanted.place.digest), start, wanted, reporter)

    async def stop(self) -> None:
        await self._flights.cancel_all()

    async def _fly(
        self,
        key: tuple[object, ...],
        start: Callable[[SharedTask[ImageResult]], object],
        wanted: ImageRequest | PullRequest,
        reporter: BuildReporter,
    ) -> ImageResult:
        async with self._flights.join(key, start) as (flight, listener, _):  # type: ignore[arg-type]
            relaying = asyncio.create_task(relay(listener, reporter.publish))
            try:
                ready = await flight.outcome()
            finally:
                listener.close()
                await asyncio.shield(relaying)
        if ready.recorded == wanted.generation:
            return ready
        if isinstance(wanted, ImageRequest):
            await self._check_interpreter(wanted, ready.image.config_digest)
        _, generation = await self._store.index.publish_image(None, ready.image, wanted.lock, wanted.generation)
        return msgspec.structs.replace(ready, generation=generation)

    # ---------------------------------------------------------------- making
    async def _find_or_make(
        self, progress: BuildProgress, wanted: ImageRequest, reporter: BuildReporter
    ) -> ImageResult:
        there = await self._store.index.images.find(wanted.key)
        if wanted.load and wanted.push is None and there is not None and await self.in_engine(there):
            return await self._reuse(there, wanted)
        async with progress.acquire_slot(self._turns):
            assembled = await self._kept(there) or await self._assemble(progress, wanted)
            reporter.lock_installs.set()
            failpoint("image.assembled")
            if wanted.load:
                await self._load(assembled, wanted, progress)
                failpoint("image.loaded")
            pushed = await self._push(assembled, wanted, progress) if wanted.push is not None else None
        await progress.record(self._store.index)
        return await self._publish(assembled, wanted, pushed)

    async def _kept(self, image: ImageRecord | None) -> Assembled | None:
        """An image that was made before, if all its layers are still to be had: the very same again."""
        whole = await self._store.index.bases.find(image.config_digest) if image is not None else None
        if image is None or whole is None:
            return None
        try:
            if not await self.bases.loader.is_available(whole):
                return None
        except (
            ServiceUnreachableError
        ):  # the engine may have what is not here; the environment's own layers are written again
            return None
        return Assembled(whole=whole, layers=image.layers)

    async def in_engine(self, image: ImageRecord) -> bool:
        """Whether the engine has it under its name; a name that was taken away is given again."""
        engine = await self._engines.docker()
        found = await engine.images.find(image.config_digest)
        if found is None:
            return False
        if image.name not in found.tags:
            await engine.images.tag(image.config_digest, image.name)
        return True

    async def _check_interpreter(self, wanted: ImageRequest, image: str) -> None:
        """Raises InterpreterMissingError where Python is the user's, and is not in the image."""
        if wanted.load and wanted.interpreter is not None and not wanted.adds:
            await self._interpreters.find(image, wanted.interpreter)

    async def _reuse(self, image: ImageRecord, wanted: ImageRequest) -> ImageResult:
        await self._check_interpreter(wanted, image.config_digest)
        artifact = await self._artifact(image)
        ready, generation = await self._store.index.publish_image(artifact, image, wanted.lock, wanted.generation)
        return ImageResult(image=image, artifact=ready, generation=generation, recorded=wanted.generation, reused=True)

    async def _assemble(self, progress: BuildProgress, wanted: ImageRequest) -> Assembled:
        """The conda layers on top of the base: nothing of it needs an engine, but for link scripts."""
        top, key = wanted.settled.top, wanted.key
        if wanted.as_it_is:
            layers = tuple(ImageLayer(diff_id=layer.diff_id, size=layer.size) for layer in top.layers)
            return Assembled(whole=top, layers=layers)
        clear = has_environment(top.config)
        _check_depth(len(top.layers), count_layers(wanted.lock, clear=clear))
        content = await self._layers(progress, wanted, clear=clear) if wanted.adds else LayerContent()
        lock = digest_lock(wanted.lock) if wanted.adds else None
        settled = wanted.settled
        labels = image_labels(wanted.definition_digest, lock, key, settled.base_digest, settled.steps_digest)
        config = image_config(BaseImage(config=top.config), content, labels=labels, created=created_of(wanted.lock))
        whole = BaseRecord(
            digest=digest_of(config),
            config=config,
            layers=(*top.layers, *map(_kept_layer, content.layers)),
            reference=top.reference,
            below=top.digest,
        )
        below = tuple(ImageLayer(diff_id=layer.diff_id, size=layer.size) for layer in top.layers)
        own = tuple(ImageLayer(diff_id=x.diff_id, size=x.size, packages=x.packages) for x in content.layers)
        assembled = Assembled(whole=whole, layers=below + own)
        return await self._scripted(assembled, content, wanted, progress) if content.scripts else assembled

    async def _layers(self, progress: BuildProgress, wanted: ImageRequest, *, clear: bool) -> LayerContent:
        from roost.daemon.layers.writer import LayerRequest, write_layers

        request = LayerRequest(
            lock=wanted.lock,
            fetched=substitute(wanted.lock, wanted.environ),
            credentials=wanted.credentials,
            run_scripts=wanted.scripts,
            clear=clear,
        )
        return await write_layers(
            request,
            conda=await self._engines.conda(),
            pip=await self._engines.pip(),
            layout=self._store.layout,
            index=self._store.index,
            progress=progress,
        )

    async def _scripted(
        self, assembled: Assembled, content: LayerContent, wanted: ImageRequest, progress: BuildProgress
    ) -> Assembled:
        """Link scripts run in the engine as a last step, as docker steps do: what they leave is kept."""
        below = len(wanted.settled.top.layers)
        _check_depth(below, len(assembled.layers) - below + len(content.scripts))
        steps = script_steps(wanted.lock, content.scripts, assembled.whole.config)
        whole = await self.bases.resolver.run_steps(
            assembled.whole, steps, image_platform(wanted.lock.platform), progress
        )
        new = whole.layers[len(assembled.layers) :]
        more = tuple(ImageLayer(diff_id=layer.diff_id, size=layer.size) for layer in new)
        return Assembled(whole=whole, layers=assembled.layers + more)

    async def _load(self, assembled: Assembled, wanted: ImageRequest, progress: BuildProgress) -> None:
        """Into the engine, untagged; then looked at; then tagged."""
        await self._store.index.bases.put(assembled.whole)
        if wanted.as_it_is:
            platform = image_platform(wanted.lock.platform)
            await self.plain.ensure_loaded(assembled.whole, wanted.platform, platform, progress)
        else:
            await self.bases.loader.ensure_loaded(assembled.whole, progress)
        failpoint("image.brought")
        engine = await self._engines.docker()
        image = await engine.images.find(assembled.whole.digest)
        if image is None:
            raise _pruned()
        await self._check_interpreter(wanted, image.id)
        try:
            await engine.images.tag(image.id, engine_reference(wanted.name, wanted.key))
        except LookupFailedError as error:
            raise _pruned() from error

    async def _push(self, assembled: Assembled, wanted: ImageRequest, progress: BuildProgress) -> PushedImage:
        tags = [key_tag(wanted.key), definition_tag(wanted.definition_digest, digest_lock(wanted.lock))]
        repository = image_repository(wanted.push or "")
        whole = await self.plain.with_blobs(assembled.whole, image_platform(wanted.lock.platform))
        top = None if wanted.as_it_is else wanted.settled.top
        pushed = await self.pusher.push(whole, repository, tags, progress, top=top)
        await self.pusher.add_tags(pushed, repository, tags[1:])  # another definition's may have been there
        await self._events.append("image-pushed", reference=pushed.reference, digest=pushed.digest, sent=pushed.sent)
        return pushed

    async def _publish(self, assembled: Assembled, wanted: ImageRequest, pushed: PushedImage | None) -> ImageResult:
        settled = wanted.settled
        image = ImageRecord(
            key=wanted.key,
            config_digest=assembled.whole.digest,
            definition_digest=wanted.definition_digest,
            lock_digest=digest_lock(wanted.lock),
            platform=wanted.lock.platform,
            base_digest=settled.base_digest,
            steps_digest=settled.steps_digest,
            name=engine_reference(wanted.name, wanted.key),
            layers=assembled.layers,
            interpreter=INTERPRETER if wanted.adds else None,
            registry_digests={pushed.reference: pushed.manifest_digest} if pushed else {},
        )
        await self._store.index.bases.put(assembled.whole)
        artifact = await self._artifact(image) if wanted.load else None
        ready, generation = await self._store.index.publish_image(artifact, image, wanted.lock, wanted.generation)
        await self._events.append("image-ready", key=image.key, name=image.name, digest=image.config_digest)
        return ImageResult(
            image=image, artifact=ready, generation=generation, recorded=wanted.generation, pushed=pushed
        )

    async def _artifact(self, image: ImageRecord) -> Artifact:
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
    async def _pull(self, progress: BuildProgress, wanted: PullRequest) -> ImageResult:
        """What the registry's image says of itself is checked before a layer of it is fetched."""
        reference = parse_reference(wanted.place.reference)
        answer = await read_registry_image(self._engines, reference)
        if isinstance(answer, Unknown) or not isinstance(answer, Yes):
            raise ImageWrongError(f"{reference} was there, and is not any more", hint="Try again.")
        found = answer.value
        image = _described(wanted, found)
        exact = reference.with_digest(found.manifest_digest)
        platform = image_platform(wanted.lock.platform)
        whole = await self.bases.resolver.find_in_registry(exact, platform)
        if not isinstance(whole, BaseRecord) or whole.digest != found.digest:
            raise ImageWrongError(f"{exact} can't be read any more", hint="Try again.")
        async with progress.acquire_slot(self._turns):
            await self._puller.pull(whole, platform, platform, progress)
            failpoint("image.pulled")
            await (await self._engines.docker()).images.tag(whole.digest, image.name)
        await progress.record(self._store.index)
        await self._store.index.bases.put(whole)
        if not wanted.as_it_is:
            await self._keep_top(reference, image)
        layers = tuple(
            ImageLayer(diff_id=layer.diff_id, size=layer.size, packages=packages)
            for layer, packages in zip(whole.layers, packages_told(whole.config), strict=True)
        )
        image = msgspec.structs.replace(image, layers=layers)
        artifact = await self._artifact(image)
        ready, generation = await self._store.index.publish_image(artifact, image, wanted.lock, wanted.generation)
        pushed = PushedImage(reference=found.reference, digest=found.digest, manifest_digest=found.manifest_digest)
        return ImageResult(
            image=image, artifact=ready, generation=generation, recorded=wanted.generation, pushed=pushed
        )

    async def _keep_top(self, repository: Reference, image: ImageRecord) -> None:
        """What the image's own layers went on, if it lies beside it: with that the image can be made again here. What
        is ready without it is ready."""
        digest = image.steps_digest or image.base_digest
        kept = await self._store.index.bases.find(digest)
        if kept is not None and kept.config:
            return
        with suppress(CodedError):
            reference = repository.with_tag(content_tag(digest))
            found = await self.bases.resolver.find_in_registry(reference, image_platform(image.platform))
            if isinstance(found, BaseRecord) and found.digest == digest:
                below = image.base_digest if image.steps_digest else None
                await self._store.index.bases.put(msgspec.structs.replace(found, below=below))


def _described(wanted: PullRequest, pushed: RegistryImage) -> ImageRecord:
    """Raises ImageWrongError where the image is not one of this lock, is not on the base that the generation keeps, or
    contradicts its own key. One that is taken as it is bears no labels: it is the base that the generation keeps, or
    that of the first who pushed it."""
    digest = digest_lock(wanted.lock)
    base, steps = pushed.labels.get(LABEL_BASE, ""), pushed.labels.get(LABEL_STEPS)
    if wanted.as_it_is:
        kept = wanted.generation.base_digest if wanted.generation is not None else None
        base, steps = kept or pushed.digest, None
    key = image_key_of(digest, wanted.lock.platform, base, steps)
    said = (
        image_key_of(digest, wanted.lock.platform, pushed.digest, None)
        if wanted.as_it_is
        else pushed.labels.get(LABEL_KEY)
    )
    asked = _asked(wanted)
    if said != key or (asked is not None and asked != key) or pushed.digest != wanted.place.digest:
        raise ImageWrongError(
            f"{pushed.reference} is not the image of this lock, though its tag says so",
            hint="Nothing of it was used; have it looked at, or build with `roost build --rebuild`.",
        )
    return ImageRecord(
        key=key,
        config_digest=pushed.digest,
        definition_digest=wanted.definition_digest,
        lock_digest=digest,
        platform=wanted.lock.platform,
        base_digest=base,
        steps_digest=steps,
        name=engine_reference(wanted.name, key),
        interpreter=INTERPRETER if wanted.lock.conda else None,
        registry_digests={pushed.reference: pushed.manifest_digest},
    )


def _asked(wanted: PullRequest) -> str | None:
    """The key of what was asked for, where the base is known already."""
    kept = wanted.generation
    if kept is None or kept.base_digest is None:
        return None
    return image_key_of(digest_lock(wanted.lock), wanted.lock.platform, kept.base_digest, kept.steps_digest)


def _kept_layer(layer: object) -> BaseLayer:
    from roost.daemon.layers.grouping import Layer

    assert isinstance(layer, Layer)
    return BaseLayer(
        diff_id=layer.diff_id, digest=layer.digest, size=layer.size, media_type=layer.media_type, stored=True
    )


def _check_depth(below: int, own: int) -> None:
    """Raises TooManyLayersError. An image of a base alone is what its owner made of it."""
    if own and below + own > LAYER_LIMIT:
        raise TooManyLayersError(
            f"The base has {below} layers and the environment adds {own}: an engine takes {LAYER_LIMIT} in all",
            hint="Take a base of fewer layers: join RUN and COPY lines of its Dockerfile, or copy everything at once "
            "into one more stage.",
            fields={"base": below, "environment": own, "limit": LAYER_LIMIT},
        )


def _pruned() -> PrunedError:
    return PrunedError("The engine took the image, and does not have it any more", hint="Try again.")
