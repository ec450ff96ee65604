"""Pulling of images from a registry into the engine.

The engine fetches them itself, with its own access to layers that it has. But it uses neither roost's mirrors nor
roost's configuration of plain http, and it may be on a network that can't reach the registry: then roost fetches the
image and loads it.
"""

from __future__ import annotations

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import BaseInvalidError, BaseMissingError, BaseUnreachableError
from roost.daemon.engines.docker.errors import EngineError
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.records import BaseRecord


class ImagePuller:
    """Pulls images whose digest is known."""

    def __init__(self, engines: Engines, bases: Bases) -> None:
        self._engines = engines
        self._bases = bases

    async def pull(self, image: BaseRecord, requested_platform: str | None, platform: str, progress: Progress) -> None:
        """Pull the image of ``image.reference``. ``requested_platform``: the one that a user named, if any.

        Raises: BaseInvalidError if the reference names another image; ImageMissingError or BaseMissingError if the
        registry has none; BaseUnreachableError if the registry gives no answer; the engine's and registry's errors.
        """
        reference = parse_reference(image.reference or "")
        if reference.host in self._engines.config.registries.mirrors:
            await self._fetch_and_load(image, reference, platform, progress)
            return
        try:
            pulled = await (await self._engines.docker()).images.pull(str(reference), requested_platform, progress)
        except EngineError as error:
            progress.log(f"The engine can't fetch {reference}, so roost does: {error.message}")
            await self._fetch_and_load(image, reference, platform, progress)
            return
        if pulled.id != image.digest:
            raise BaseInvalidError(f"{reference} was pulled as {pulled.id}, not as {image.digest}", hint="Try again.")

    async def _fetch_and_load(self, image: BaseRecord, reference: Reference, platform: str, progress: Progress) -> None:
        """Fetch the layers that the engine lacks, and load the image."""
        found = image if image.config else await self._bases.resolver.find_in_registry(reference, platform)
        if isinstance(found, Unknown):
            raise BaseUnreachableError(
                f"Cannot determine whether its registry has {reference}: {found.reason.message}",
                hint="`roost registry test` shows what is wrong.",
            )
        if found is None:
            raise BaseMissingError(f"The registry does not have {reference}", hint="Check its name.")
        if found.digest != image.digest:
            raise BaseInvalidError(f"{reference} is {found.digest} in its registry, not {image.digest}")
        await self._bases.loader.ensure_loaded(found, progress)
