"""Pushing of images to a registry, layer by layer, with or without an engine.

Look first, push, read back: an image that exists under the tag stays, whoever pushed it. Blobs are pushed before the
manifest that names them, so no tag exists before its image is complete. A push that is repeated finds the blobs of the
first one by their digests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from roost.daemon.bases.errors import RegistryUnknownError
from roost.daemon.bases.materialize import BaseLoader
from roost.daemon.bases.naming import LABEL_BASE, content_tag
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.registry.errors import TagMovedError
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown, Yes
from roost.daemon.oci.manifests import (
    OCI_CONFIG,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    describe,
    image_manifest,
    parse_manifest,
)
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.records import BaseLayer, BaseRecord
from roost.store.failpoints import failpoint


class PushedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a registry has after a push."""

    reference: str
    digest: str
    """Of its config; another one than the pushed image's if somebody else pushed first."""
    manifest_digest: str
    sent: int = 0
    """Bytes that were sent."""


class ImagePusher:
    """Pushes images whose layers can all be obtained."""

    def __init__(self, engines: Engines, loader: BaseLoader) -> None:
        self._engines = engines
        self._loader = loader

    async def push(
        self,
        image: BaseRecord,
        repository: Reference,
        tags: list[str],
        progress: Progress,
        *,
        annotations: Mapping[str, str] | None = None,
        top: BaseRecord | None = None,
    ) -> PushedImage:
        """Push the image under all of ``tags``; if the first one exists, write nothing and return its image.

        ``top``: the image that the upper layers of ``image`` were put on; it is pushed under its own content's tag.

        Raises: RegistryUnknownError if the registry can't report what it has; RegistryError and its subclasses;
        BaseMissingError if a layer can't be obtained.
        """
        found = await self.find(repository.with_tag(tags[0]))
        if found is not None:
            return found
        async with self._loader.layers.staging_folder() as folder:
            layers = await self._loader.complete_layers(image, folder, progress)
            descriptors = [_layer_descriptor(layer) for layer in layers]
            manifest = image_manifest(image.config, descriptors, annotations)
            progress.start("push", sum(descriptor.size for descriptor in descriptors))
            sent = done = 0
            for layer, descriptor in zip(layers, descriptors, strict=True):
                sent += await self._push_layer(image, layer, descriptor, repository, folder)
                done += descriptor.size
                progress.advance("push", done)
                failpoint("image.pushing")
            progress.finish("push")
        registry = await self._engines.registry()
        sent += await registry.push_blob(repository, image.config, describe(image.config, OCI_CONFIG))
        if top is not None:
            await self._push_top(top, image, descriptors, repository)
        for tag in tags[1:]:  # the first tag is pushed last: if it exists, everything else does
            if await self.find(repository.with_tag(tag)) is None:
                await self._push_manifest(repository.with_tag(tag), manifest)
        pushed = await self._push_manifest(repository.with_tag(tags[0]), manifest)
        return msgspec.structs.replace(pushed, sent=sent)

    async def add_tags(self, image: PushedImage, repository: Reference, tags: list[str]) -> None:
        """Give ``image`` those of ``tags`` that do not exist.

        Raises: RegistryUnknownError if the registry can't report what it has; RegistryError and its subclasses.
        """
        registry, reference = await self._engines.registry(), repository.with_digest(image.manifest_digest)
        for tag in tags:
            if await self.find(repository.with_tag(tag)) is not None:
                continue
            manifest = await registry.manifest(reference, mirrored=False)
            if isinstance(manifest, Yes):
                await self._push_manifest(repository.with_tag(tag), manifest.value.data, manifest.value.media_type)

    async def _push_top(
        self, top: BaseRecord, image: BaseRecord, descriptors: list[Descriptor], repository: Reference
    ) -> None:
        """Push config and manifest of the image that ``image`` was built on; its layers are the image's own.

        It may be in no other registry, and its tag may move.
        """
        below = [layer.diff_id for layer in top.layers]
        reference = repository.with_tag(content_tag(top.digest))
        if below != [layer.diff_id for layer in image.layers[: len(below)]] or await self.find(reference) is not None:
            return
        registry = await self._engines.registry()
        await registry.push_blob(repository, top.config, describe(top.config, OCI_CONFIG))
        annotations = {LABEL_BASE: top.below} if top.below else None
        await self._push_manifest(reference, image_manifest(top.config, descriptors[: len(below)], annotations))

    async def find(self, reference: Reference) -> PushedImage | None:
        """Return the image in the registry itself, not in its mirrors; ``None`` if the tag does not exist.

        Raises: RegistryUnknownError if the registry can't report what it has.
        """
        answer = await (await self._engines.registry()).manifest(reference, mirrored=False)
        if isinstance(answer, Unknown):
            raise RegistryUnknownError(
                f"{reference} can't be checked: {answer.reason.message}",
                hint="Nothing was pushed, so that nothing is overwritten. `roost registry test` shows what is wrong.",
                fields={"reason": answer.reason.code},
            )
        if not isinstance(answer, Yes):
            return None
        document = parse_manifest(answer.value.data, answer.value.media_type)
        digest = document.config.digest if isinstance(document, Manifest) else answer.value.digest
        return PushedImage(reference=str(reference), digest=digest, manifest_digest=answer.value.digest)

    async def _push_manifest(
        self, reference: Reference, manifest: bytes, media_type: str = OCI_MANIFEST
    ) -> PushedImage:
        """Push a manifest and return what is read back: this one, or another that was pushed at the same time."""
        registry = await self._engines.registry()
        with suppress(TagMovedError):
            await registry.push_manifest(reference, manifest, media_type)
        found = await self.find(reference)
        if found is None:
            raise RegistryUnknownError(f"{reference} was written but does not exist", hint="Try again.")
        return found

    async def _push_layer(
        self, image: BaseRecord, layer: BaseLayer, descriptor: Descriptor, repository: Reference, folder: str
    ) -> int:
        """Push one layer and return the bytes that were sent.

        1. A stored layer is sent from its file. 2. A layer of the same registry is mounted. 3. A layer that the
        registry has is skipped. 4. Any other is fetched from the base's registry and sent.
        """
        registry = await self._engines.registry()
        if layer.stored:
            return await registry.push_blob(repository, self._loader.layers.layer_path(descriptor.digest), descriptor)
        origin = parse_reference(image.reference or "")
        if origin.host == repository.host and await registry.mount_blob(
            repository, descriptor.digest, origin.repository
        ):
            return 0
        if isinstance(await registry.has_blob(repository, descriptor.digest, mirrored=False), Yes):
            return 0
        path = os.path.join(folder, descriptor.digest.removeprefix("sha256:"))
        await registry.fetch_blob(origin, descriptor, path)
        try:
            return await registry.push_blob(repository, path, descriptor)
        finally:
            os.unlink(path)


def _layer_descriptor(layer: BaseLayer) -> Descriptor:
    assert layer.digest is not None, "a completed image knows all its blobs"
    return Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
