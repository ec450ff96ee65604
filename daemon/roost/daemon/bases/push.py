"""Images on their way into a registry, layer by layer, with or without an engine.

Look first, push, read again: an image that is there under the tag stays, whoever pushed it. Blobs go before the
manifest that names them, so nothing is tagged before it is complete; what was sent already is found by its digest when
a push begins again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from roost.daemon.bases.bases import CONFIG_LIMIT, Bases
from roost.daemon.bases.naming import LABEL_BASE, content_tag
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.config import image_manifest
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Answer, Unknown, Yes
from roost.daemon.oci.manifests import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest, describe, parse_manifest
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.errors import ServiceUnreachableError
from roost.model.records import BaseLayer, BaseRecord
from roost.store.disk.layer_files import blob_path
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint


class RegistryUnknownError(ServiceUnreachableError):
    """The registry can't say what it has, so nothing is pushed over it."""

    code = "registry-unknown"


class PushedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a registry has now."""

    reference: str
    digest: str
    """Of its config: not ours where somebody else's was there first."""
    manifest_digest: str
    sent: int = 0
    """Bytes that went over."""


class ImagePusher:
    """Pushes images that are whole."""

    def __init__(self, engines: Engines, bases: Bases, layout: Layout) -> None:
        self._engines = engines
        self._bases = bases
        self._layout = layout

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
        """Make sure that ``repository`` has the image under all of ``tags``; where the first is, nothing is written.
        ``top``, which its upper layers were put on, goes beside it under its own content.

        Raises RegistryUnknownError, RegistryError and its kind, BaseMissingError.
        """
        there = await self.find(repository.with_tag(tags[0]))
        if there is not None:
            return there
        async with self._bases.staging_folder() as folder:
            layers = await self._bases.complete_layers(image, folder, progress)
            descriptors = [await self._descriptor(layer) for layer in layers]
            manifest = image_manifest(image.config, descriptors, annotations)
            sent = await self._send_layers(image, layers, descriptors, repository, folder, progress)
        registry = await self._engines.registry()
        sent += await registry.push_blob(repository, image.config, describe(image.config, OCI_CONFIG))
        if top is not None:
            await self._push_top(top, image, descriptors, repository)
        for tag in tags[1:]:  # the first comes last: where it is, everything else is
            if await self.find(repository.with_tag(tag)) is None:
                await self._push_manifest(repository.with_tag(tag), manifest)
        pushed = await self._push_manifest(repository.with_tag(tags[0]), manifest)
        return msgspec.structs.replace(pushed, sent=sent)

    async def add_tags(self, there: PushedImage, repository: Reference, tags: list[str]) -> None:
        """Give what ``there`` is those of ``tags`` that nothing has yet.

        Raises RegistryUnknownError, RegistryError and its kind."""
        registry, exact = await self._engines.registry(), repository.with_digest(there.manifest_digest)
        for tag in tags:
            if await self.find(repository.with_tag(tag)) is not None:
                continue
            manifest = await registry.manifest(exact, mirrored=False)
            if isinstance(manifest, Yes):
                await self._push_manifest(repository.with_tag(tag), manifest.value.data, manifest.value.media_type)

    async def _push_top(
        self, top: BaseRecord, image: BaseRecord, descriptors: list[Descriptor], repository: Reference
    ) -> None:
        """The base that an image was made on may be in no other registry, and its tag may move: its layers are the
        image's own, so a config and a manifest are all that there is to send."""
        below = [layer.diff_id for layer in top.layers]
        reference = repository.with_tag(content_tag(top.digest))
        if below != [layer.diff_id for layer in image.layers[: len(below)]] or await self.find(reference) is not None:
            return
        registry = await self._engines.registry()
        await registry.push_blob(repository, top.config, describe(top.config, OCI_CONFIG))
        noted = {LABEL_BASE: top.below} if top.below else None
        await self._push_manifest(reference, image_manifest(top.config, descriptors[: len(below)], noted))

    async def find(self, reference: Reference) -> PushedImage | None:
        """What the registry itself, and no mirror of it, has under a tag. Raises RegistryUnknownError."""
        answer: Answer[PushedImage] = await self._find_answer(reference)
        if isinstance(answer, Unknown):
            raise RegistryUnknownError(
                f"{reference} can't be looked at: {answer.reason.message}",
                hint="Nothing was pushed over what may be there. `roost registry test` shows what is wrong.",
                fields={"reason": answer.reason.code},
            )
        return answer.value if isinstance(answer, Yes) else None

    async def _find_answer(self, reference: Reference) -> Answer[PushedImage]:
        answer = await (await self._engines.registry()).manifest(reference, mirrored=False)
        if not isinstance(answer, Yes):
            return answer
        document = parse_manifest(answer.value.data, answer.value.media_type)
        digest = document.config.digest if isinstance(document, Manifest) else answer.value.digest
        return Yes(PushedImage(reference=str(reference), digest=digest, manifest_digest=answer.value.digest))

    async def _push_manifest(
        self, reference: Reference, manifest: bytes, media_type: str = OCI_MANIFEST
    ) -> PushedImage:
        """The one that reads back is the one that counts, ours or another's of the same moment."""
        from roost.daemon.engines.registry.errors import TagMovedError

        registry = await self._engines.registry()
        with suppress(TagMovedError):
            await registry.push_manifest(reference, manifest, media_type)
        there = await self.find(reference)
        if there is None:
            raise RegistryUnknownError(f"{reference} was written and is not there", hint="Try again.")
        return there

    async def _send_layers(
        self,
        image: BaseRecord,
        layers: list[BaseLayer],
        descriptors: list[Descriptor],
        repository: Reference,
        folder: str,
        progress: Progress,
    ) -> int:
        """The bytes that went over."""
        progress.start("push", sum(descriptor.size for descriptor in descriptors))
        sent = done = 0
        for layer, descriptor in zip(layers, descriptors, strict=True):
            sent += await self._send(image, layer, descriptor, repository, folder)
            done += descriptor.size
            progress.advance("push", done)
            failpoint("image.pushing")
        progress.finish("push")
        return sent

    async def _send(
        self, image: BaseRecord, layer: BaseLayer, descriptor: Descriptor, repository: Reference, folder: str
    ) -> int:
        registry = await self._engines.registry()
        if layer.stored:
            return await registry.push_blob(repository, blob_path(self._layout, descriptor.digest), descriptor)
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

    async def _descriptor(self, layer: BaseLayer) -> Descriptor:
        assert layer.digest is not None, "a completed image knows all its blobs"
        return Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)


async def read_registry_image(
    engines: Engines, reference: Reference
) -> Answer[tuple[PushedImage, dict[str, str], int]]:
    """What an image in a registry says of itself, and its bytes; its config is read, its layers are not."""
    registry = await engines.registry()
    answer = await registry.manifest(reference)
    if not isinstance(answer, Yes):
        return answer
    document = parse_manifest(answer.value.data, answer.value.media_type)
    if not isinstance(document, Manifest):
        return Yes((PushedImage(reference=str(reference), digest="", manifest_digest=answer.value.digest), {}, 0))
    config = await registry.read_blob(reference, document.config, CONFIG_LIMIT)
    labels = msgspec.json.decode(config, type=_Config).config.labels or {}
    found = PushedImage(reference=str(reference), digest=document.config.digest, manifest_digest=answer.value.digest)
    return Yes((found, labels, sum(layer.size for layer in document.layers)))


class _Run(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


class _Config(msgspec.Struct):
    config: _Run = msgspec.field(default_factory=_Run)
