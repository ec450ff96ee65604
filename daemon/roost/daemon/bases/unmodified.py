"""Base images that nothing is put on: used unmodified, and found as a user of Docker would find them.

Such an image is identified by the digest of its config like any base. If only the digest is needed, the engine reports
it; the config and the layers' blobs are fetched or exported when somebody pushes the image.
"""

from __future__ import annotations

import asyncio
import re

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import BaseMissingError, BasePlatformError
from roost.daemon.bases.pull import ImagePuller
from roost.daemon.bases.resolve import FoundBase
from roost.daemon.engines.docker.errors import ImagePlatformError
from roost.daemon.engines.docker.values import EngineImage
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown
from roost.daemon.oci.platforms import same_platform
from roost.daemon.oci.references import parse_reference
from roost.daemon.oci.target_platforms import can_run
from roost.model.errors import ServiceUnreachableError
from roost.model.records import BaseLayer, BaseRecord, Generation
from roost.store.store import Store

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def parse_image_id(text: str) -> str | None:
    """Return ``sha256:…`` if ``text`` is an image's id; ``None`` if it is a reference."""
    match = _ID.fullmatch(text)
    return f"sha256:{match[1]}" if match else None


class UnmodifiedBases:
    """Finds unmodified bases, records them, and loads them into the engine."""

    def __init__(self, store: Store, engines: Engines, bases: Bases) -> None:
        self._index = store.index
        self._engines = engines
        self._bases = bases
        self._puller = ImagePuller(engines, bases)

    async def find(self, text: str, platform: str, requested_platform: str | None) -> BaseRecord | Unknown | None:
        """Return the image that ``text`` names; ``None`` if neither the engine nor a registry has it.

        The engine's takes precedence, as for Docker, then its registry's. ``platform``: the one that the image is used
        for; ``requested_platform``: the one that the definition names, if any. If it names none, an image of another
        platform in the engine was pulled for another purpose: the registry's takes precedence.

        Raises: ImagePlatformError if the engine's is for another platform than the requested one, or can't run;
        BasePlatformError, BaseInvalidError; ServiceUnreachableError if ``text`` is an id and the engine is unreachable.
        """
        image_id = parse_image_id(text)
        try:
            image = await (await self._engines.docker()).images.find(image_id or text)
        except ServiceUnreachableError:
            if image_id is not None:
                raise
            image = None
        if image is not None and requested_platform and not same_platform(image.platform, requested_platform):
            what = f"{requested_platform} is requested"
            raise _image_platform_error(text, image.platform, what, requested_platform)
        if image is not None and (image_id is not None or same_platform(image.platform, platform)):
            return await self._record_of(text, image)
        if image_id is not None:
            return await self._index.bases.find(image_id)
        return await self._find_in_registry(text, platform, image)

    async def _find_in_registry(
        self, text: str, platform: str, other: EngineImage | None
    ) -> BaseRecord | Unknown | None:
        """Return the registry's image, else ``other``: the engine's for another platform, if that can be run.

        Raises: ImagePlatformError if ``other`` can't be run: a generation would record it; BasePlatformError,
        BaseInvalidError.
        """
        try:
            found = await self._bases.resolver.find_in_registry(parse_reference(text), platform)
        except BasePlatformError:
            if other is None:
                raise
            found = None
        if isinstance(found, BaseRecord) or other is None:
            return found
        if not await asyncio.to_thread(can_run, other.platform, platform):
            why = f", and its registry can't be checked for another: {found.reason.message}" if found else ""
            raise _image_platform_error(text, other.platform, f"this is {platform}{why}", platform)
        return await self._record_of(text, other)

    async def find_in_engine(self, digest: str) -> BaseRecord | None:
        """Return the engine's image with this id. Raises: the engine's errors."""
        image = await (await self._engines.docker()).images.find(digest)
        return await self._record_of(digest, image) if image is not None else None

    async def _record_of(self, text: str, image: EngineImage) -> BaseRecord:
        """Return the recorded image, else a record without its config and blobs."""
        layers = tuple(BaseLayer(diff_id=diff_id) for diff_id in image.diff_ids)
        reference = _find_origin(text, image.repo_digests)
        new = BaseRecord(digest=image.id, config=b"", layers=layers, reference=reference)
        return await self._index.bases.find(image.id) or new

    async def resolve(self, text: str, platform: str, requested_platform: str | None, *, fresh: bool) -> FoundBase:
        """Return the image for a new generation.

        ``fresh``: its registry's takes precedence, as for other bases, over what the engine has under the name.

        Raises: BaseMissingError if nobody has it; BaseUnreachableError if its registry gives no answer and the engine
        does not have it; the errors of ``find``.
        """
        image_id = parse_image_id(text)
        found = await self.find(text, platform, requested_platform) if image_id is not None or not fresh else None
        if isinstance(found, BaseRecord):
            return FoundBase(record=found)
        if image_id is not None:
            raise BaseMissingError(
                f"The engine does not have the image {image_id}", hint="Load it into the engine again."
            )
        return await self._bases.resolver.resolve_image(text, platform)

    async def load_recorded(self, generation: Generation, text: str) -> BaseRecord:
        """Return the image that ``generation`` records. ``text``: the name of the base, for the error.

        Raises: BaseMissingError if it no longer exists anywhere.
        """
        assert generation.base_digest is not None
        base = await self._index.bases.find(generation.base_digest)
        if base is not None and base.reference is not None:
            return base
        found = await self.find_in_engine(generation.base_digest)
        if found is not None:
            return found
        if base is not None and base.config and await self._bases.loader.is_available(base):
            return base
        raise BaseMissingError(
            f"Generation {generation.number} keeps {generation.base_digest}, which was only in the engine and no "
            "longer exists",
            hint=f"Load it into the engine again, or use what {text} names now with `roost build --rebuild`.",
        )

    async def ensure_loaded(
        self, base: BaseRecord, requested_platform: str | None, platform: str, progress: Progress
    ) -> None:
        """Pull the image into the engine if a registry has it, else load it; do nothing if the engine has it.

        Raises: BaseInvalidError, BaseMissingError, and the errors of engine and registry.
        """
        engine = await self._engines.docker()
        if await engine.images.find(base.digest) is not None:
            return
        if base.reference is None:
            await self._bases.loader.ensure_loaded(base, progress)
        else:
            await self._puller.pull(base, requested_platform, platform, progress)

    async def with_blobs(self, base: BaseRecord, platform: str) -> BaseRecord:
        """Return ``base`` with its config, and with the blobs of its layers if a registry has it.

        Raises: the engine's errors.
        """
        if base.config:
            return base
        if base.reference is not None:
            found = await self._bases.resolver.find_in_registry(parse_reference(base.reference), platform)
            if isinstance(found, BaseRecord) and found.digest == base.digest:
                await self._index.bases.put(found)
                return found
        return await self._bases.resolver.read_from_engine(base.digest, [layer.diff_id for layer in base.layers])


def _image_platform_error(text: str, found: str, what: str, wanted: str) -> ImagePlatformError:
    return ImagePlatformError(
        f"The engine's {text} is for {found}, and {what}",
        hint=f"`docker pull --platform {wanted} {text}` fetches the other.",
    )


def _find_origin(text: str, repo_digests: tuple[str, ...]) -> str | None:
    """Return the reference with digest that the engine pulled the image by, of the repository that ``text`` names."""
    references = [parse_reference(each) for each in repo_digests]
    if parse_image_id(text) is None:
        references = [each for each in references if each.name == parse_reference(text).name]
    return str(references[0]) if references else None
