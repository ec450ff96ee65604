"""Base images that nothing is put on: taken as they are, found where a user of Docker would find them.

Such an image is known by the digest of its config like any base. Where only that is wanted the engine tells it; the
config itself and the layers' blobs are fetched or taken out when somebody pushes it.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import BaseMissingError, BasePlatformError
from roost.daemon.bases.pull import ImagePuller
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown
from roost.daemon.oci.platforms import same_platform
from roost.daemon.oci.references import parse_reference
from roost.daemon.oci.target_platforms import can_run
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.records import BaseLayer, BaseRecord, Generation
from roost.store.store import Store
from roost.wire.plans import Reason

if TYPE_CHECKING:
    from roost.daemon.engines.docker.values import EngineImage

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def parse_image_id(text: str) -> str | None:
    """``sha256:…`` where ``text`` is an image's id and no reference."""
    found = _ID.fullmatch(text)
    return f"sha256:{found[1]}" if found else None


class UnmodifiedBases:
    """Finds them, keeps them, brings them into the engine."""

    def __init__(self, store: Store, engines: Engines, bases: Bases) -> None:
        self._index = store.index
        self._engines = engines
        self._bases = bases
        self._puller = ImagePuller(engines, bases)

    async def find(self, text: str, platform: str, asked: str | None) -> BaseRecord | Unknown | None:
        """What ``text`` names: the engine's image, as for Docker, else its registry's; ``None``: nobody has it.
        ``platform``: the one that it is for, and ``asked`` if the definition names it. Where it does not, an image of
        another platform in the engine is one that somebody pulled for another purpose: the registry's comes first.

        Raises ImagePlatformError, BasePlatformError, BaseInvalidError; ServiceUnreachableError where ``text`` is an
        id."""
        own = parse_image_id(text)
        try:
            image = await (await self._engines.docker()).images.find(own or text)
        except ServiceUnreachableError:
            if own is not None:
                raise
            image = None
        if image is not None and asked and not same_platform(image.platform, asked):
            raise _wrong_platform(text, image.platform, f"{asked} is asked for", asked)
        if image is not None and (own is not None or same_platform(image.platform, platform)):
            return await self._kept(text, image)
        if own is not None:
            return await self._index.bases.find(own)
        return await self._of_registry(text, platform, image)

    async def _of_registry(self, text: str, platform: str, other: EngineImage | None) -> BaseRecord | Unknown | None:
        """``other``: what the engine has of another platform, which is better than none if it can be run. Raises
        ImagePlatformError where it can't: a generation would keep it."""
        try:
            found = await self._bases.find_in_registry(parse_reference(text), platform)
        except BasePlatformError:
            if other is None:
                raise
            found = None
        if isinstance(found, BaseRecord) or other is None:
            return found
        if not await asyncio.to_thread(can_run, other.platform, platform):
            why = f", and its registry can't say whether it has another: {found.reason.message}" if found else ""
            raise _wrong_platform(text, other.platform, f"this is {platform}{why}", platform)
        return await self._kept(text, other)

    async def find_in_engine(self, digest: str) -> BaseRecord | None:
        """The engine's image of that id. Raises the engine's errors."""
        image = await (await self._engines.docker()).images.find(digest)
        return await self._kept(digest, image) if image is not None else None

    async def _kept(self, text: str, image: EngineImage) -> BaseRecord:
        layers = tuple(BaseLayer(diff_id=diff_id) for diff_id in image.diff_ids)
        own = BaseRecord(digest=image.id, config=b"", layers=layers, reference=_origin(text, image.repo_digests))
        return await self._index.bases.find(image.id) or own

    async def resolve(
        self, text: str, platform: str, asked: str | None, reasons: list[Reason], *, fresh: bool
    ) -> BaseRecord:
        """The image for a new generation. ``fresh``: what its registry says counts, as for any base, and not what the
        engine has under that name; ``reasons`` tell where it can't say.

        Raises BaseMissingError, BaseUnreachableError and what ``find`` raises."""
        own = parse_image_id(text)
        found = await self.find(text, platform, asked) if own is not None or not fresh else None
        if isinstance(found, BaseRecord):
            return found
        if own is not None:
            raise BaseMissingError(f"The engine does not have the image {own}", hint="Bring it into the engine again.")
        return await self._bases.resolve_image(text, platform, reasons)

    async def load_recorded(self, generation: Generation, text: str) -> BaseRecord:
        """The image that a generation keeps. Raises BaseMissingError where it is nowhere any more."""
        assert generation.base_digest is not None
        base = await self._index.bases.find(generation.base_digest)
        if base is not None and base.reference is not None:
            return base
        found = await self.find_in_engine(generation.base_digest)
        if found is not None:
            return found
        if base is not None and base.config and await self._bases.is_available(base):
            return base
        raise BaseMissingError(
            f"Generation {generation.number} keeps {generation.base_digest}, which was in the engine alone and is gone",
            hint=f"Bring it into the engine again, or take what {text} names now with `roost build --rebuild`.",
        )

    async def ensure_loaded(self, base: BaseRecord, asked: str | None, platform: str, progress: Progress) -> None:
        """Make sure that the engine has it: pulled where a registry has it.

        Raises BaseInvalidError, BaseMissingError, and the errors of engine and registry."""
        engine = await self._engines.docker()
        if await engine.images.find(base.digest) is not None:
            return
        if base.reference is None:
            await self._bases.ensure_loaded(base, progress)
        else:
            await self._puller.pull(base, asked, platform, progress)

    async def with_blobs(self, base: BaseRecord, platform: str) -> BaseRecord:
        """The same with its config, and with the blobs of its layers where a registry tells them. Raises the engine's
        errors."""
        if base.config:
            return base
        if base.reference is not None:
            found = await self._bases.find_in_registry(parse_reference(base.reference), platform)
            if isinstance(found, BaseRecord) and found.digest == base.digest:
                await self._index.bases.put(found)
                return found
        return await self._bases.read_from_engine(base.digest, [layer.diff_id for layer in base.layers])


def _wrong_platform(text: str, found: str, but: str, wanted: str) -> CodedError:
    from roost.daemon.engines.docker.errors import ImagePlatformError

    return ImagePlatformError(
        f"The engine's {text} is for {found}, and {but}",
        hint=f"`docker pull --platform {wanted} {text}` fetches the other.",
    )


def _origin(text: str, repo_digests: tuple[str, ...]) -> str | None:
    """Where the engine had it from, of the repository that was named."""
    named = [parse_reference(each) for each in repo_digests]
    if parse_image_id(text) is None:
        named = [each for each in named if each.name == parse_reference(text).name]
    return str(named[0]) if named else None
