"""Resolution of a definition's base: which image it is now, and what its docker steps or its Dockerfile produce."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from roost.daemon.background.code import PackageCode
from roost.daemon.bases.errors import (
    BaseInvalidError,
    BaseMissingError,
    BasePlatformError,
    BaseUnreachableError,
    ContextChangedError,
    PrunedError,
)
from roost.daemon.bases.layer_store import LayerStore
from roost.daemon.bases.materialize import BaseLoader
from roost.daemon.bases.naming import count_shared_layers
from roost.daemon.bases.registry_images import CONFIG_LIMIT, parse_image_config
from roost.daemon.decision.images import has_docker_steps
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown, Yes
from roost.daemon.oci.manifests import Manifest, parse_manifest
from roost.daemon.oci.platforms import same_platform
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.canonical.form import digest_bytes
from roost.model.definition import Base, Defaults, Definition
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.errors import CodedError, InvalidDefinitionError
from roost.model.records import BaseLayer, BaseRecord, Generation
from roost.store.index.index import Index
from roost.store.sources.files import LocalFiles
from roost.wire.plans import Reason


class ResolvedBase(msgspec.Struct, frozen=True, kw_only=True):
    """The image that an environment's layers are put on, and the two digests of it that are in the image key."""

    top: BaseRecord
    """The base image, or the result of its docker steps."""
    base_digest: str
    steps_digest: str | None = None
    """Digest of the result of docker steps; ``None`` without steps, and for a complete Dockerfile."""
    reasons: tuple[Reason, ...] = ()
    """What to report about the resolution."""


class FoundBase(msgspec.Struct, frozen=True, kw_only=True):
    """A base image, and what to report about how it was found."""

    record: BaseRecord
    reasons: tuple[Reason, ...] = ()


class BaseResolver:
    """Finds base images, and runs docker steps on them."""

    def __init__(self, index: Index, layers: LayerStore, engines: Engines, loader: BaseLoader) -> None:
        self._index = index
        self._layers = layers
        self._engines = engines
        self._loader = loader

    async def resolve(
        self, definition: Definition, defaults: Defaults, platform: str, progress: Progress, *, fresh: bool = False
    ) -> ResolvedBase:
        """Resolve the base image now, and run its docker steps or build its Dockerfile.

        ``platform``: of the image, for example ``linux/amd64``. ``fresh``: run every step, even if the engine has its
        result cached.

        Raises: BaseMissingError, BaseUnreachableError, BasePlatformError, BaseInvalidError; ContextChangedError if the
        build context changed; StepInvalidError and the engine's other errors.
        """
        base = definition.base or Base()
        if base.dockerfile is not None or base.context is not None:
            built = await self._build_dockerfile(base, platform, progress, fresh=fresh)
            return ResolvedBase(top=built, base_digest=built.digest)
        progress.start("base")
        found = await self.resolve_image(base.image or defaults.base_image, platform)
        progress.finish("base")
        image = found.record
        if not has_docker_steps(definition):
            return ResolvedBase(top=image, base_digest=image.digest, reasons=found.reasons)
        top = await self.run_steps(image, base.steps, platform, progress, fresh=fresh)
        return ResolvedBase(top=top, base_digest=image.digest, steps_digest=top.digest, reasons=found.reasons)

    async def load_recorded(self, generation: Generation) -> ResolvedBase | None:
        """Return the base and steps that ``generation`` records; ``None`` if a layer can't be obtained any more.

        Raises: the engine's errors if it must be asked and does not answer.
        """
        if generation.base_digest is None:
            return None
        top = await self._index.bases.find(generation.steps_digest or generation.base_digest)
        if top is None or not top.config or not await self._loader.is_available(top):
            return None
        return ResolvedBase(top=top, base_digest=generation.base_digest, steps_digest=generation.steps_digest)

    async def resolve_image(self, text: str, platform: str) -> FoundBase:
        """Return the image that the reference ``text`` names now.

        1. The registry has it: that one. 2. The registry does not have it: the engine's. 3. The registry gives no
        answer: the engine's, and a reason says so.

        Raises: BaseMissingError if neither has it; BaseUnreachableError if the registry gives no answer and the engine
        does not have it; BasePlatformError, BaseInvalidError; ReferenceInvalidError if ``text`` is not a reference.
        """
        reference = parse_reference(text)
        answer = await self.find_in_registry(reference, platform)
        if isinstance(answer, BaseRecord):
            await self._index.bases.put(answer)
            return FoundBase(record=answer)
        image = await (await self._engines.docker()).images.find(text)
        if image is None and isinstance(answer, Unknown):
            raise BaseUnreachableError(
                f"The base image {text} is not in the engine, and its registry can't be checked: "
                f"{answer.reason.message}",
                hint="`roost registry test` shows what is wrong; or pull it with docker, and try again",
            )
        if image is None:
            raise BaseMissingError(
                f"No registry and no engine has the base image {text} for {platform}",
                hint="Check its name, or name another under [base] image.",
            )
        check_platform(text, image.platform, platform)
        record = await self.read_from_engine(image.id, image.diff_ids)
        if not isinstance(answer, Unknown):
            return FoundBase(record=record)
        message = f"Cannot determine whether {text} names another base now; the engine's is used"
        reason = Reason(code="registry-unknown", message=f"{message}: {answer.reason.message}")
        return FoundBase(record=record, reasons=(reason,))

    async def find_unchanged(self, digest: str, text: str, platform: str) -> BaseRecord | None:
        """Return the base image ``digest``: the engine's, or the one that ``text`` names if that is still the same.

        ``None`` if it is another one, or nobody answers.
        """
        with suppress(CodedError):
            image = await (await self._engines.docker()).images.find(digest)
            if image is not None:
                return await self.read_from_engine(image.id, image.diff_ids)
        with suppress(CodedError):
            found = await self.resolve_image(text, platform)
            return found.record if found.record.digest == digest else None
        return None

    async def find_in_registry(
        self, reference: Reference, platform: str, *, mirrored: bool = True
    ) -> BaseRecord | Unknown | None:
        """Return the image in its registry; ``None`` if the registry does not have it.

        Not ``mirrored``: ask the registry itself and none of its mirrors.

        Raises: BasePlatformError if it is for another platform; BaseInvalidError if it is not an image.
        """
        registry = await self._engines.registry()
        answer = await registry.manifest(reference, platform=platform, mirrored=mirrored)
        if not isinstance(answer, Yes):
            return answer if isinstance(answer, Unknown) else None
        document = parse_manifest(answer.value.data, answer.value.media_type)
        if not isinstance(document, Manifest):
            raise BaseInvalidError(f"{reference} is not an image but an index of images for other platforms")
        config = await registry.read_blob(reference, document.config, CONFIG_LIMIT, mirrored=mirrored)
        base = _record_from_manifest(reference, answer.value.digest, document, config)
        check_platform(str(reference), parse_image_config(config).platform, platform)
        return base

    async def read_from_engine(self, image_id: str, diff_ids: Sequence[str]) -> BaseRecord:
        """Return the record of an image in the engine; its config is exported unless it is recorded already."""
        recorded = await self._index.bases.find(image_id)
        if recorded is not None and recorded.config:
            return recorded
        async with self._layers.staging_folder() as folder:
            exported = await (await self._engines.docker()).images.export(image_id, folder, ())
        layers = tuple(BaseLayer(diff_id=diff_id) for diff_id in diff_ids)
        base = BaseRecord(digest=image_id, config=exported.config, layers=layers)
        await self._index.bases.put(base)
        return base

    async def run_steps(
        self, below: BaseRecord, steps: Sequence[str], platform: str, progress: Progress, *, fresh: bool = False
    ) -> BaseRecord:
        """Run docker steps on ``below`` in the engine, and store the layers that they produce.

        Raises: StepInvalidError, PrunedError, and the engine's other errors; in background work CodeNotAllowedError, if
        these steps have not run here on this image.
        """
        code = [_steps_code(below, steps, platform)]
        await self._engines.known_code.require(code)
        await self._index.bases.put(below)
        engine = await self._engines.docker()
        await self._loader.ensure_loaded(below, progress)
        async with self._engines.stepping.hold(progress):
            result_id = await engine.build_steps(below.digest, steps, platform=platform, fresh=fresh, progress=progress)
        image = await engine.images.find(result_id)
        if image is None:
            raise PrunedError("The engine ran the docker steps, but no longer has the result", hint="Try again.")
        shared = count_shared_layers(image.diff_ids, (layer.diff_id for layer in below.layers))
        new = image.diff_ids[shared:]
        async with self._layers.staging_folder() as folder:
            exported = await engine.images.export(result_id, folder, new)
            stored = [await self._layers.store_layer(exported.layers[diff_id], diff_id) for diff_id in new]
        base = BaseRecord(
            digest=result_id,
            config=exported.config,
            layers=(*below.layers[:shared], *stored),
            reference=below.reference,
            below=below.digest,
        )
        await self._index.bases.put(base)
        await self._engines.known_code.record(code)
        return base

    async def _build_dockerfile(self, base: Base, platform: str, progress: Progress, *, fresh: bool) -> BaseRecord:
        context, file = base.context_path, base.dockerfile_path or DOCKERFILE
        # What it builds on may have moved: the very content is not known before it runs.
        named = os.path.join(context, file) if context else DOCKERFILE
        await self._engines.known_code.require([PackageCode(kind="docker-step", package=named, content="")])
        text = base.dockerfile if base.dockerfile is not None else await _read_dockerfile(context or "", file)
        engine = await self._engines.docker()
        named_platform = platform if base.platform is not None else None
        async with self._engines.stepping.hold(progress):
            result_id = await engine.build_dockerfile(
                text, context=context, file=file, platform=named_platform, fresh=fresh, progress=progress
            )
        if base.context is not None:  # what was sent must be what was digested
            digest = await asyncio.to_thread(LocalFiles().context_digest, context or "", file)
            if digest != base.context:
                raise ContextChangedError(
                    f"{context} is not the build context that was read: it changed since then",
                    hint="Run the command again. A version that an older roost registered with an ignore file named "
                    "after its Dockerfile has to be registered again.",
                )
        image = await engine.images.find(result_id)
        if image is None:
            raise PrunedError("The engine built the Dockerfile, but no longer has the result", hint="Try again.")
        check_platform("what the Dockerfile makes", image.platform, platform)
        return await self.read_from_engine(result_id, image.diff_ids)


def _steps_code(below: BaseRecord, steps: Sequence[str], platform: str) -> PackageCode:
    """Return what names ``steps`` on an image."""
    content = digest_bytes(msgspec.json.encode([below.digest, steps, platform]))
    return PackageCode(kind="docker-step", package=steps[0] if steps else "a docker step", content=f"steps:{content}")


async def _read_dockerfile(context: str, file: str) -> str:
    path = os.path.join(context, file)
    try:
        return await asyncio.to_thread(_read_covered_file, context, file)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDefinitionError(
            f"{path} can't be read: {error}", hint="A build context has a Dockerfile, `Dockerfile` unless it is named."
        ) from error


def _read_covered_file(context: str, file: str) -> str:
    """Return the text of ``file``; if it is a link, or below one, its target must be covered by the context's digest
    too. Blocks."""
    path = os.path.join(context, file)
    target = os.path.relpath(os.path.realpath(path), os.path.realpath(context))
    if target != file and target not in LocalFiles().list_context(context, file):
        raise InvalidDefinitionError(
            f"{path} points to {target}, which is not part of the build context",
            hint="Put the Dockerfile itself into the folder; Docker does not follow links out of it either.",
        )
    return LocalFiles().read(path).decode()


def _record_from_manifest(reference: Reference, digest: str, document: Manifest, config: bytes) -> BaseRecord:
    diff_ids = parse_image_config(config).diff_ids
    if len(diff_ids) != len(document.layers):
        raise BaseInvalidError(
            f"{reference}: its manifest has {len(document.layers)} layers, but its config has a different number"
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


def check_platform(name: str, found: str, wanted: str) -> None:
    """Raise BasePlatformError if ``found`` is not ``wanted``; the architecture's variant is ignored."""
    if not same_platform(found, wanted):
        raise BasePlatformError(
            f"{name} is for {found}, but the environment is for {wanted}",
            hint="Name an image of that platform, or set [base] platform.",
        )
