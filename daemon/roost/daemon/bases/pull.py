"""Images on their way from a registry into the engine.

The engine fetches them itself, with its own ways to what it has already. But it goes neither by roost's mirrors nor by
roost's word on plain http, and it may be on a network that has no way there: then roost fetches the image and loads it.
"""

from __future__ import annotations

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import BaseInvalidError, BaseMissingError, BaseUnreachableError
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Unknown
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.records import BaseRecord


class ImagePuller:
    """Pulls images that are known by their digest."""

    def __init__(self, engines: Engines, bases: Bases) -> None:
        self._engines = engines
        self._bases = bases

    async def pull(self, image: BaseRecord, asked: str | None, platform: str, progress: Progress) -> None:
        """Make sure that the engine has the image of ``image.reference``. ``platform``: the one that it is for, and
        ``asked`` if somebody names it.

        Raises BaseInvalidError where another one comes, ImageMissingError and BaseMissingError where the registry has
        none, and the errors of engine and registry."""
        from roost.daemon.engines.docker.errors import EngineError

        reference = parse_reference(image.reference or "")
        if reference.host in self._engines.config.registries.mirrors:
            await self._fetch(image, reference, platform, progress)
            return
        try:
            pulled = await (await self._engines.docker()).images.pull(str(reference), asked, progress)
        except EngineError as error:
            progress.log(f"The engine can't fetch {reference}, so roost does: {error.message}")
            await self._fetch(image, reference, platform, progress)
            return
        if pulled.id != image.digest:
            raise BaseInvalidError(f"{reference} came as {pulled.id}, and not as {image.digest}", hint="Try again.")

    async def _fetch(self, image: BaseRecord, reference: Reference, platform: str, progress: Progress) -> None:
        """Layers that the engine has are not fetched."""
        whole = image if image.config else await self._bases.find_in_registry(reference, platform)
        if isinstance(whole, Unknown):
            raise BaseUnreachableError(
                f"Whether its registry has {reference} is not known: {whole.reason.message}",
                hint="`roost registry test` shows what is wrong.",
            )
        if whole is None:
            raise BaseMissingError(f"The registry does not have {reference}", hint="Check its name.")
        if whole.digest != image.digest:
            raise BaseInvalidError(f"{reference} is {whole.digest} in its registry, and not {image.digest}")
        await self._bases.ensure_loaded(whole, progress)
