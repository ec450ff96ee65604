"""An image from a base and a lock: the layers of packages, the config and the results of link scripts."""

from __future__ import annotations

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import TooManyLayersError
from roost.daemon.bases.naming import image_labels
from roost.daemon.credentials.substitution import substitute
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.config import find_created_date, has_environment, image_config
from roost.daemon.images.requests import AssembledImage, ImageRequest, image_layers
from roost.daemon.images.scripts import script_steps
from roost.daemon.jobs.progress import Progress
from roost.daemon.layers.grouping import LAYER_LIMIT, Layer, LayerContent, count_layers
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import digest_of
from roost.model.errors import ServiceUnreachableError
from roost.model.locks.lock import digest_lock
from roost.model.records import BaseLayer, BaseRecord, ImageLayer, ImageRecord
from roost.store.store import Store


class ImageAssembler:
    """Assembles images. Only link scripts need an engine."""

    def __init__(self, store: Store, engines: Engines, bases: Bases) -> None:
        self._store = store
        self._engines = engines
        self._bases = bases

    async def find_assembled(self, image: ImageRecord | None) -> AssembledImage | None:
        """Return an image that was built before, if all its layers are still available: exactly the same image."""
        if image is None:
            return None
        record = await self._store.index.bases.find(image.config_digest)
        if record is None:
            return None
        try:
            is_available = await self._bases.loader.is_available(record)
        except ServiceUnreachableError:
            # The engine may have layers that are not stored here. The environment's own layers are written again.
            return None
        return AssembledImage(record=record, layers=image.layers) if is_available else None

    async def assemble(self, request: ImageRequest, progress: Progress) -> AssembledImage:
        """Put the layers of packages on the base; link scripts run last. Raises TooManyLayersError, and what fetching
        packages and running scripts raises."""
        base, top = request.base, request.base.top
        if request.is_unmodified:
            return AssembledImage(record=top, layers=image_layers(top))
        clear = has_environment(top.config)
        _check_layer_count(len(top.layers), count_layers(request.lock, clear=clear))
        content, lock_digest = LayerContent(), None
        if request.adds_packages:
            content, lock_digest = await self._write_layers(request, progress, clear=clear), digest_lock(request.lock)
        labels = image_labels(request.definition_digest, lock_digest, request.key, base.base_digest, base.steps_digest)
        created = find_created_date(request.lock)
        config = image_config(top.config, content, labels=labels, created=created, changes=request.base_changes)
        record = BaseRecord(
            digest=digest_of(config),
            config=config,
            layers=(*top.layers, *map(_stored_layer, content.layers)),
            reference=top.reference,
            below=top.digest,
        )
        own = (ImageLayer(diff_id=x.diff_id, size=x.size, packages=x.packages) for x in content.layers)
        assembled = AssembledImage(record=record, layers=(*image_layers(top), *own))
        return await self._run_scripts(assembled, content, request, progress) if content.scripts else assembled

    async def _write_layers(self, request: ImageRequest, progress: Progress, *, clear: bool) -> LayerContent:
        from roost.daemon.layers.writer import LayerRequest, write_layers

        layer_request = LayerRequest(
            lock=request.lock,
            fetched=substitute(request.lock, request.environ),
            credentials=request.credentials,
            run_scripts=request.can_run_scripts,
            clear=clear,
        )
        return await write_layers(
            layer_request,
            conda=await self._engines.conda(),
            pip=await self._engines.pip(),
            layout=self._store.layout,
            index=self._store.index,
            progress=progress,
        )

    async def _run_scripts(
        self, assembled: AssembledImage, content: LayerContent, request: ImageRequest, progress: Progress
    ) -> AssembledImage:
        """Run link scripts in the engine as a last step. Their result is stored, as that of docker steps is."""
        below = len(request.base.top.layers)
        _check_layer_count(below, len(assembled.layers) - below + len(content.scripts))
        steps = script_steps(request.lock, content.scripts, assembled.record.config)
        platform = image_platform(request.lock.platform)
        record = await self._bases.resolver.run_steps(assembled.record, steps, platform, progress)
        new = image_layers(record)[len(assembled.layers) :]
        return AssembledImage(record=record, layers=assembled.layers + new)


def _stored_layer(layer: Layer) -> BaseLayer:
    return BaseLayer(
        diff_id=layer.diff_id, digest=layer.digest, size=layer.size, media_type=layer.media_type, stored=True
    )


def _check_layer_count(below: int, own: int) -> None:
    """Raise TooManyLayersError if an engine does not take so many layers. A base alone may have any number."""
    if own and below + own > LAYER_LIMIT:
        raise TooManyLayersError(
            f"The base has {below} layers and the environment adds {own}: an engine supports {LAYER_LIMIT} in total",
            hint="Use a base with fewer layers: join RUN and COPY lines of its Dockerfile, or copy everything at once "
            "into one more stage.",
            fields={"base": below, "environment": own, "limit": LAYER_LIMIT},
        )
