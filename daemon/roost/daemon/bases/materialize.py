"""Base images whose digest is known: obtaining their layers, and loading them into the engine."""

from __future__ import annotations

import os

import msgspec

from roost.daemon.bases.errors import BaseLostError
from roost.daemon.bases.layer_store import LayerStore
from roost.daemon.bases.naming import count_shared_layers
from roost.daemon.engines.docker.values import LayerFile
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.manifests import Descriptor
from roost.daemon.oci.references import parse_reference
from roost.model.records import BaseLayer, BaseRecord
from roost.store.index.index import Index

_CANDIDATES = 20
"""Number of images, the latest first, that are examined for layers that a new one shares with them."""


class BaseLoader:
    """Obtains the layers of base images, and loads base images into the engine."""

    def __init__(self, index: Index, layers: LayerStore, engines: Engines) -> None:
        self._index = index
        self.layers = layers
        self._engines = engines

    async def is_available(self, base: BaseRecord) -> bool:
        """Return whether every layer is stored here, in a registry, or in the engine at the bottom of an image.

        Raises: the engine's errors if it must be asked and does not answer.
        """
        obtainable = await self.layers.find_obtainable(base)
        if all(obtainable):
            return True
        if await (await self._engines.docker()).images.find(base.digest) is not None:
            return True
        _, shared = await self._find_nearest_image(base)
        return all(obtainable[shared:])

    async def count_loaded(self, image: BaseRecord) -> int:
        """Return how many layers of ``image``, from the bottom, need not be sent to the engine: none to one that
        accepts complete images only. Raises: the engine's errors."""
        if (await (await self._engines.docker()).facts()).containerd:
            return 0
        return (await self._find_nearest_image(image))[1]

    async def ensure_loaded(self, base: BaseRecord, progress: Progress) -> None:
        """Load the image into the engine, without a tag, unless the engine has it. Only missing layers are sent.

        Raises: BaseLostError if a layer is nowhere; LayerFileMissingError; the engine's and the registry's errors.
        """
        engine = await self._engines.docker()
        if await engine.images.find(base.digest) is not None:
            return
        below, shared = await self._find_nearest_image(base)
        complete_only = (await engine.facts()).containerd
        async with self.layers.staging_folder() as folder:
            if complete_only:
                base, shared = await self._with_blobs(base, folder, progress), 0
            files = await self._obtain_files(base, folder, skip=shared)
            layers = [LayerFile(diff_id=layer.diff_id, path=files.get(layer.diff_id)) for layer in base.layers]
            await engine.images.load(base.config, layers, tags=[], base=below, progress=progress)

    async def _with_blobs(self, base: BaseRecord, folder: str, progress: Progress) -> BaseRecord:
        """Return ``base`` with a blob for every layer, for an image store that accepts complete images only.

        Layers that only the engine has are exported from it, once for each base.
        """
        below = await self._index.bases.find(base.below) if base.below else None
        if below is not None:
            known = {layer.diff_id: layer for layer in await self.complete_layers(below, folder, progress)}
            base = msgspec.structs.replace(base, layers=tuple(known.get(x.diff_id, x) for x in base.layers))
        return msgspec.structs.replace(base, layers=tuple(await self.complete_layers(base, folder, progress)))

    async def _find_nearest_image(self, base: BaseRecord) -> tuple[str | None, int]:
        """Return the image in the engine that shares most layers with ``base``, from the bottom, and their number."""
        engine, wanted = await self._engines.docker(), [layer.diff_id for layer in base.layers]
        latest = [image.config_digest for image in (await self._index.images.list_all())[:_CANDIDATES]]
        below = await self._index.bases.find(base.below) if base.below else None
        ancestors = [base.below, below.below if below else None]
        nearest: tuple[str | None, int] = (None, 0)
        for candidate in dict.fromkeys(digest for digest in (*ancestors, *latest) if digest is not None):
            image = await engine.images.find(candidate)
            shared = count_shared_layers(wanted, image.diff_ids) if image is not None else 0
            nearest = (candidate, shared) if shared > nearest[1] else nearest
        return nearest

    async def _obtain_files(self, base: BaseRecord, folder: str, *, skip: int) -> dict[str, str]:
        """Return diff_id to path of the base's layers above the lowest ``skip``.

        Layers that are not stored here are fetched from the base's registry into ``folder``.

        Raises: BaseLostError if a layer can't be obtained; the registry's errors.
        """
        files: dict[str, str] = {}
        obtainable = await self.layers.find_obtainable(base)
        for layer, is_obtainable in zip(base.layers[skip:], obtainable[skip:], strict=True):
            if layer.diff_id in files:
                continue
            if layer.digest is None or not is_obtainable:
                raise _base_lost_error(layer.diff_id)
            if layer.stored:
                files[layer.diff_id] = self.layers.layer_path(layer.digest)
                continue
            path = os.path.join(folder, layer.digest.removeprefix("sha256:"))
            descriptor = Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
            await (await self._engines.registry()).fetch_blob(parse_reference(base.reference or ""), descriptor, path)
            files[layer.diff_id] = path
        return files

    async def obtain_blobs(
        self, image: BaseRecord, folder: str, progress: Progress
    ) -> tuple[BaseRecord, dict[str, str]]:
        """Return the image with the digests of all its blobs, and the path of each by digest. ``folder`` is for those
        that are not stored: they are fetched from the registry, or exported from the engine.

        Raises: BaseLostError if a layer is nowhere; the engine's and the registry's errors.
        """
        complete = msgspec.structs.replace(image, layers=tuple(await self.complete_layers(image, folder, progress)))
        files = await self._obtain_files(complete, folder, skip=0)
        return complete, {layer.digest: files[layer.diff_id] for layer in complete.layers if layer.digest is not None}

    async def complete_layers(self, image: BaseRecord, folder: str, progress: Progress) -> list[BaseLayer]:
        """Return the image's layers, all with the digests of their blobs.

        Layers that only the engine has, or whose stored file was deleted, are exported from the engine and stored.
        ``folder`` is for temporary files.

        Raises: BaseLostError if the engine no longer has one of them; the engine's errors.
        """
        obtainable = await self.layers.find_obtainable(image)
        missing = [layer.diff_id for layer, found in zip(image.layers, obtainable, strict=True) if not found]
        if not missing:
            return list(image.layers)
        engine = await self._engines.docker()
        digests = [digest for digest in (image.digest, image.below) if digest is not None]
        holders = [digest for digest in digests if await engine.images.find(digest) is not None]
        if not holders:
            raise _base_lost_error(missing[0])
        progress.log(f"Exporting {len(missing)} layers of the image from the engine")
        exported = await engine.images.export(holders[0], folder, missing)
        for diff_id in missing:
            if diff_id not in exported.layers:
                raise _base_lost_error(diff_id)
        stored = {diff_id: await self.layers.store_layer(path, diff_id) for diff_id, path in exported.layers.items()}
        layers = [stored.get(layer.diff_id, layer) for layer in image.layers]
        await self._index.bases.put(msgspec.structs.replace(image, layers=tuple(layers)))
        return layers


def _base_lost_error(diff_id: str) -> BaseLostError:
    return BaseLostError(
        f"Layer {diff_id[:19]}… of the image no longer exists: only the engine had it, or its local file was removed",
        hint="Load the base image into the engine again, then retry.",
    )
