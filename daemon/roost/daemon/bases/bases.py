"""The first of the two steps to an image: the base image, and the docker steps on it.

A base is known by the digest of its config, which engines and registries agree on. What docker steps made never comes
out the same again, so their layers are kept; a whole Dockerfile is kept by the engine alone, until it is pushed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from roost.daemon.bases.errors import (
    BaseInvalidError,
    BaseLostError,
    BaseMissingError,
    BasePlatformError,
    BaseUnreachableError,
    ContextChangedError,
    PrunedError,
)
from roost.daemon.bases.naming import count_shared_layers
from roost.daemon.decision.images import has_docker_steps
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown, Yes
from roost.daemon.oci.manifests import OCI_LAYER_GZIP, Descriptor, Manifest, parse_manifest
from roost.daemon.oci.platforms import same_platform
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.definition import Base, Defaults, Definition
from roost.model.errors import CodedError, InvalidDefinitionError
from roost.model.records import BaseLayer, BaseRecord, Generation, LayerRecord
from roost.store.cancellation import finish_despite_cancel
from roost.store.disk.layer_files import blob_path, place_blob
from roost.store.disk.layout import Layout
from roost.store.index.index import Index
from roost.store.sources.files import LocalFiles
from roost.store.store import Store
from roost.wire.plans import Reason

CONFIG_LIMIT = 16 << 20
"""Bytes of an image's config; real ones have a few thousand."""
_CANDIDATES = 20
"""Images, the latest first, that are looked at for layers that a new one shares with them."""


class ResolvedBase(msgspec.Struct, frozen=True, kw_only=True):
    """What conda layers go on, and the two digests of it that the image key takes."""

    top: BaseRecord
    base_digest: str
    steps_digest: str | None = None


class Bases:
    """Resolves base images, runs docker steps, and brings what they made into engines again."""

    def __init__(self, store: Store, engines: Engines) -> None:
        self._index: Index = store.index
        self._layout: Layout = store.layout
        self._engines = engines

    async def resolve(
        self,
        definition: Definition,
        defaults: Defaults,
        platform: str,
        progress: Progress,
        reasons: list[Reason],
        *,
        fresh: bool = False,
    ) -> ResolvedBase:
        """Base and steps as they come out now. ``platform``: of the image, ``linux/amd64`` and the like. ``reasons``
        get what there is to say of the base. ``fresh``: steps run though the engine remembers what they made.

        Raises BaseMissingError, BaseUnreachableError, BasePlatformError, StepInvalidError and the engine's errors.
        """
        base = definition.base or Base()
        if base.dockerfile is not None or base.context is not None:
            built = await self._dockerfile(base, platform, progress, fresh=fresh)
            return ResolvedBase(top=built, base_digest=built.digest)
        progress.start("base")
        below = await self.resolve_image(base.image or defaults.base_image, platform, reasons)
        progress.finish("base")
        if not has_docker_steps(definition):
            return ResolvedBase(top=below, base_digest=below.digest)
        top = await self.run_steps(below, base.steps, platform, progress, fresh=fresh)
        return ResolvedBase(top=top, base_digest=below.digest, steps_digest=top.digest)

    async def load_recorded(self, generation: Generation) -> ResolvedBase | None:
        """Base and steps of a generation as they were recorded; ``None`` where what they made is gone."""
        if generation.base_digest is None:
            return None
        top = await self._index.bases.find(generation.steps_digest or generation.base_digest)
        if top is None or not top.config or not await self.is_available(top):
            return None
        return ResolvedBase(top=top, base_digest=generation.base_digest, steps_digest=generation.steps_digest)

    async def is_available(self, base: BaseRecord) -> bool:
        """Whether every layer is kept here or in a registry, or in the engine at the bottom of an image.

        Raises the engine's errors where it has to be asked."""
        had = await self._had(base)
        if all(had):
            return True
        if await (await self._engines.docker()).images.find(base.digest) is not None:
            return True
        _, shared = await self._nearest(base)
        return all(had[shared:])

    async def _had(self, base: BaseRecord) -> list[bool]:
        return await asyncio.to_thread(lambda: [_can_be_had(layer, base, self._layout) for layer in base.layers])

    async def resolve_image(self, text: str, platform: str, reasons: list[Reason]) -> BaseRecord:
        """The image that ``text`` names now: its registry says, else the engine where it is nobody else's to say. Where
        the registry can't say, the engine's is taken, and ``reasons`` tell it."""
        reference = parse_reference(text)
        answer = await self.find_in_registry(reference, platform)
        if isinstance(answer, BaseRecord):
            await self._index.bases.put(answer)
            return answer
        image = await (await self._engines.docker()).images.find(text)
        if image is None and isinstance(answer, Unknown):
            raise BaseUnreachableError(
                f"the base image {text} is not in the engine, and its registry can't say: {answer.reason.message}",
                hint="`roost registry test` shows what is wrong; or pull it with docker, and try again",
            )
        if image is None:
            raise BaseMissingError(
                f"no registry and no engine has the base image {text} for {platform}",
                hint="Check its name, or name another under [base] image.",
            )
        check_platform(text, image.platform, platform)
        if isinstance(answer, Unknown):
            told = f"Whether {text} names another base by now is not known, and the engine's is taken"
            reasons.append(Reason(code="registry-unknown", message=f"{told}: {answer.reason.message}"))
        return await self.read_from_engine(image.id, image.diff_ids)

    async def find_unchanged(self, digest: str, text: str, platform: str) -> BaseRecord | None:
        """The base image ``digest``: the engine's, or what ``text`` names if it is still that one. ``None``: it is not,
        or nobody can say."""
        with suppress(CodedError):
            image = await (await self._engines.docker()).images.find(digest)
            if image is not None:
                return await self.read_from_engine(image.id, image.diff_ids)
        with suppress(CodedError):
            named = await self.resolve_image(text, platform, [])
            return named if named.digest == digest else None
        return None

    async def find_in_registry(
        self, reference: Reference, platform: str, *, mirrored: bool = True
    ) -> BaseRecord | Unknown | None:
        """The image as its registry has it; ``None``: the registry says that it has none.

        Raises BasePlatformError, BaseInvalidError."""
        registry = await self._engines.registry()
        answer = await registry.manifest(reference, platform=platform, mirrored=mirrored)
        if not isinstance(answer, Yes):
            return answer if isinstance(answer, Unknown) else None
        document = parse_manifest(answer.value.data, answer.value.media_type)
        if not isinstance(document, Manifest):
            raise BaseInvalidError(f"{reference} is no image but an index of images of other platforms")
        config = await registry.read_blob(reference, document.config, CONFIG_LIMIT, mirrored=mirrored)
        base = _of_registry(reference, answer.value.digest, document, config)
        check_platform(str(reference), _platform_of(config), platform)
        return base

    async def read_from_engine(self, image_id: str, diff_ids: Sequence[str]) -> BaseRecord:
        """An image that only the engine has."""
        there = await self._index.bases.find(image_id)
        if there is not None and there.config:
            return there
        async with self.staging_folder() as folder:
            exported = await (await self._engines.docker()).images.export(image_id, folder, ())
        base = BaseRecord(
            digest=image_id, config=exported.config, layers=tuple(BaseLayer(diff_id=diff_id) for diff_id in diff_ids)
        )
        await self._index.bases.put(base)
        return base

    async def run_steps(
        self, below: BaseRecord, steps: Sequence[str], platform: str, progress: Progress, *, fresh: bool = False
    ) -> BaseRecord:
        """Run docker steps in the engine; what they made is kept, layer by layer. Raises the engine's errors."""
        await self._index.bases.put(below)
        engine = await self._engines.docker()
        await self.ensure_loaded(below, progress)
        made = await engine.build_steps(below.digest, steps, platform=platform, fresh=fresh, progress=progress)
        image = await engine.images.find(made)
        if image is None:
            raise PrunedError("The engine ran the docker steps, and does not have what they made", hint="Try again.")
        new = image.diff_ids[count_shared_layers(image.diff_ids, (layer.diff_id for layer in below.layers)) :]
        async with self.staging_folder() as folder:
            exported = await engine.images.export(made, folder, new)
            kept = [await self._keep(exported.layers[diff_id], diff_id) for diff_id in new]
        shared = below.layers[: len(image.diff_ids) - len(new)]
        base = BaseRecord(
            digest=made,
            config=exported.config,
            layers=(*shared, *kept),
            reference=below.reference,
            below=below.digest,
        )
        await self._index.bases.put(base)
        return base

    async def _keep(self, tar: str, diff_id: str) -> BaseLayer:
        from roost.daemon.layers.compression import compress_tar

        stop = threading.Event()
        try:
            packed = await asyncio.shield(asyncio.to_thread(compress_tar, tar, f"{tar}.gz", stop))
        except asyncio.CancelledError:
            stop.set()
            raise
        return await finish_despite_cancel(
            asyncio.create_task(self._place(f"{tar}.gz", diff_id, packed.digest, packed.size))
        )

    async def _place(self, path: str, diff_id: str, digest: str, size: int) -> BaseLayer:
        """Not to be cancelled in between: a file that no row knows would lie there until the next start."""
        stamp = await asyncio.to_thread(place_blob, self._layout, path, digest)
        await self._index.layers.put(
            LayerRecord(key=f"steps:{diff_id}", diff_id=diff_id, digest=digest, size=size, stamp=stamp)
        )
        return BaseLayer(diff_id=diff_id, digest=digest, size=size, media_type=OCI_LAYER_GZIP, stored=True)

    async def _dockerfile(self, base: Base, platform: str, progress: Progress, *, fresh: bool) -> BaseRecord:
        text = base.dockerfile if base.dockerfile is not None else await self._text_of(base)
        engine = await self._engines.docker()
        named = platform if base.platform is not None else None
        made = await engine.build_dockerfile(
            text, context=base.context_path, platform=named, fresh=fresh, progress=progress
        )
        if base.context is not None:
            await self._check_context(base)
        image = await engine.images.find(made)
        if image is None:
            raise PrunedError("The engine built the Dockerfile, and does not have what it made", hint="Try again.")
        check_platform("what the Dockerfile makes", image.platform, platform)
        return await self.read_from_engine(made, image.diff_ids)

    async def _text_of(self, base: Base) -> str:
        path = os.path.join(base.context_path or "", "Dockerfile")
        try:
            return await asyncio.to_thread(_text_in, base.context_path or "", path)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidDefinitionError(
                f"{path} can't be read: {error}", hint="A build context has a Dockerfile."
            ) from error

    async def _check_context(self, base: Base) -> None:
        """What was sent must be what was digested."""
        now = await asyncio.to_thread(LocalFiles().context_digest, base.context_path or "")
        if now != base.context:
            raise ContextChangedError(
                f"{base.context_path} changed while it was being built from", hint="Run the command again."
            )

    async def ensure_loaded(self, base: BaseRecord, progress: Progress) -> None:
        """Make sure that the engine has the image, without a tag: only layers that it lacks are sent.

        Raises BaseLostError where nobody has a layer, LayerFileMissingError, and the engine's errors.
        """
        engine = await self._engines.docker()
        if await engine.images.find(base.digest) is not None:
            return
        from roost.daemon.engines.docker.values import LayerFile

        below, shared = await self._nearest(base)
        whole = (await engine.facts()).containerd
        async with self.staging_folder() as folder:
            base = await self._with_blobs(base, folder, progress) if whole else base
            files = await self.layer_files(base, folder, skip=0 if whole else shared)
            layers = [LayerFile(diff_id=layer.diff_id, path=files.get(layer.diff_id)) for layer in base.layers]
            await engine.images.load(base.config, layers, tags=[], base=below, progress=progress)

    async def _with_blobs(self, base: BaseRecord, folder: str, progress: Progress) -> BaseRecord:
        """For a store that takes whole images only, what the engine alone has is taken out of it, once for a base."""
        below = await self._index.bases.find(base.below) if base.below else None
        known = {x.diff_id: x for x in await self.complete_layers(below, folder, progress)} if below is not None else {}
        base = msgspec.structs.replace(base, layers=tuple(known.get(x.diff_id, x) for x in base.layers))
        return msgspec.structs.replace(base, layers=tuple(await self.complete_layers(base, folder, progress)))

    async def _nearest(self, base: BaseRecord) -> tuple[str | None, int]:
        """The image in the engine that shares most with this one, from the bottom, and how many layers."""
        engine, wanted = await self._engines.docker(), [layer.diff_id for layer in base.layers]
        known = [image.config_digest for image in (await self._index.images.list_all())[:_CANDIDATES]]
        below = await self._index.bases.find(base.below) if base.below else None
        under = [base.below, below.below if below else None]
        found: tuple[str | None, int] = (None, 0)
        for candidate in dict.fromkeys(digest for digest in (*under, *known) if digest is not None):
            image = await engine.images.find(candidate)
            shared = count_shared_layers(wanted, image.diff_ids) if image is not None else 0
            found = (candidate, shared) if shared > found[1] else found
        return found

    async def layer_files(self, base: BaseRecord, folder: str, *, skip: int = 0) -> dict[str, str]:
        """Files of the base's layers by diff_id, those of registries fetched into ``folder``; without the lowest
        ``skip``. Raises BaseLostError, and the registry's errors."""
        found: dict[str, str] = {}
        had = await self._had(base)
        for layer, there in zip(base.layers[skip:], had[skip:], strict=True):
            if layer.diff_id in found:
                continue
            if layer.digest is None or not there:
                raise _lost(layer.diff_id)
            if layer.stored:
                found[layer.diff_id] = blob_path(self._layout, layer.digest)
                continue
            path = os.path.join(folder, layer.digest.removeprefix("sha256:"))
            descriptor = Descriptor(media_type=layer.media_type, digest=layer.digest, size=layer.size)
            await (await self._engines.registry()).fetch_blob(parse_reference(base.reference or ""), descriptor, path)
            found[layer.diff_id] = path
        return found

    async def complete_layers(self, image: BaseRecord, folder: str, progress: Progress) -> list[BaseLayer]:
        """The image's layers with the digests of their blobs: those that only the engine has, for it alone had them or
        the file that was kept is gone, are taken out and kept. Raises BaseLostError where the engine has lost them."""
        had = await self._had(image)
        lost = [layer.diff_id for layer, there in zip(image.layers, had, strict=True) if not there]
        if not lost:
            return list(image.layers)
        engine = await self._engines.docker()
        holders = [d for d in (image.digest, image.below) if d is not None and await engine.images.find(d) is not None]
        if not holders:
            raise _lost(lost[0])
        progress.log(f"Taking {len(lost)} layers of the image out of the engine")
        exported = await engine.images.export(holders[0], folder, lost)
        for diff_id in lost:
            if diff_id not in exported.layers:
                raise _lost(diff_id)
        kept = {diff_id: await self._keep(path, diff_id) for diff_id, path in exported.layers.items()}
        layers = [kept.get(layer.diff_id, layer) for layer in image.layers]
        await self._index.bases.put(msgspec.structs.replace(image, layers=tuple(layers)))
        return layers

    @asynccontextmanager
    async def staging_folder(self) -> AsyncIterator[str]:
        """A folder for what passes through; recovery empties the stage."""
        path = os.path.join(self._layout.stage, f"image-{secrets.token_hex(6)}")
        await asyncio.to_thread(os.mkdir, path, 0o700)
        try:
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))


def _text_in(context: str, path: str) -> str:
    """A Dockerfile that is a link counts in the context's digest by where it leads: its text must count as well."""
    led = os.path.relpath(os.path.realpath(path), os.path.realpath(context))
    if os.path.islink(path) and led not in LocalFiles().context_names(context):
        raise InvalidDefinitionError(
            f"{path} leads to {led}, which is no part of the build context",
            hint="Put the Dockerfile itself into the folder; Docker follows no link out of it either.",
        )
    return LocalFiles().read(path).decode()


def _can_be_had(layer: BaseLayer, base: BaseRecord, layout: Layout) -> bool:
    if layer.digest is None:
        return False
    if not layer.stored:
        return base.reference is not None
    try:
        return os.stat(blob_path(layout, layer.digest)).st_size == layer.size
    except FileNotFoundError:
        return False


def _lost(diff_id: str) -> BaseLostError:
    return BaseLostError(
        f"Layer {diff_id[:19]}… of the image is gone: the engine alone had it, or its file here was removed",
        hint="Bring the base image into the engine again, and try again.",
    )


def _of_registry(reference: Reference, digest: str, document: Manifest, config: bytes) -> BaseRecord:
    diff_ids = _Config.diff_ids(config)
    if len(diff_ids) != len(document.layers):
        raise BaseInvalidError(
            f"{reference}: its manifest has {len(document.layers)} layers, its config another number"
        )
    return BaseRecord(
        digest=document.config.digest,
        config=config,
        layers=tuple(
            BaseLayer(diff_id=diff_id, digest=layer.digest, size=layer.size, media_type=layer.media_type)
            for diff_id, layer in zip(diff_ids, document.layers, strict=True)
        ),
        reference=str(reference.with_digest(digest)),
    )


class _RootFs(msgspec.Struct):
    diff_ids: list[str] = []


class _Config(msgspec.Struct):
    """What is read of an image's config."""

    os: str = ""
    architecture: str = ""
    rootfs: _RootFs = msgspec.field(default_factory=_RootFs)

    @staticmethod
    def read(config: bytes) -> _Config:
        try:
            return msgspec.json.decode(config, type=_Config)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BaseInvalidError(f"the config of an image can't be read: {error}") from error

    @staticmethod
    def diff_ids(config: bytes) -> list[str]:
        return _Config.read(config).rootfs.diff_ids


def _platform_of(config: bytes) -> str:
    read = _Config.read(config)
    return f"{read.os}/{read.architecture}"


def check_platform(name: str, found: str, wanted: str) -> None:
    """Raises BasePlatformError where ``found`` is not ``wanted``; the processor's variant does not count."""
    if not same_platform(found, wanted):
        raise BasePlatformError(
            f"{name} is for {found}, and the environment is for {wanted}",
            hint="Name an image of that platform, or set [base] platform.",
        )
