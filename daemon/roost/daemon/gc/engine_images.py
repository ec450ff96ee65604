"""Images of roost in the engine that is in use: which ones containers use, and their removal.

Only the name that roost gave an image is removed; the engine deletes the image with its last name, and refuses that
while a container was created from it, running or not. An image that the user has named too stays, and so does one that
another image was built on, and one that roost neither made nor fetched and that would be gone without roost's name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from roost.daemon.engines.engine_set import Engines
from roost.daemon.oci.references import parse_reference
from roost.model.caches import Kept
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.records import Artifact, ImageRecord
from roost.store.failpoints import failpoint
from roost.store.index.index import Index

ImageUses = Callable[[], Awaitable[Mapping[str, tuple[str, ...]]]]


class ImagesInEngine:
    """The images of the engine that runs use. ``find_images_in_use``: image ids and the containers made from each."""

    def __init__(self, index: Index, engines: Engines, find_images_in_use: ImageUses) -> None:
        self._index = index
        self._engines = engines
        self._find_images_in_use = find_images_in_use

    async def find_uses(self) -> Mapping[str, tuple[str, ...]] | None:
        """As ``EngineImages`` says."""
        try:
            return await self._find_images_in_use()
        except CodedError:  # whatever it is, the engine did not say
            return None

    async def remove_all(self) -> dict[str, int | Kept]:
        """Remove all images, pinned ones too, and return what became of each, by name. For the end of the root."""
        images = [each for each in await self._index.artifacts.list_all() if each.kind == "image"]
        return {each.path: await self.remove(each.id, protected=False) for each in images}

    async def remove(self, artifact_id: str, *, protected: bool = True) -> int | Kept:
        """As ``EngineImages`` says. A crash in between leaves a row whose image is missing, which the next use
        notices as if somebody had pruned the engine. ``protected``: whether pins and leases count."""
        artifact = await self._index.artifacts.find(artifact_id)
        image = await self._index.images.find(artifact.key) if artifact is not None else None
        if artifact is None or image is None:
            return Kept(reason="gone")
        uses = await self.find_uses()
        if uses is None:
            return Kept(reason="unknown:the engine does not answer")
        if users := uses.get(image.config_digest):
            return Kept(reason=users[0])
        protections = await self._index.artifacts.list_protections(artifact_id)
        if protected and protections:
            return Kept(reason=protections[0])
        return await self._untag(artifact, image)

    async def _untag(self, artifact: Artifact, image: ImageRecord) -> int | Kept:
        try:
            images = (await self._engines.docker()).images
            if _is_foreign(image) and await images.is_last_name(image.config_digest, image.name):
                return Kept(reason="foreign")
            is_gone = await images.remove(image.config_digest, image.name, _list_pulled(image))
            failpoint("collect.image-untagged")
        except ServiceUnreachableError:
            return Kept(reason="unknown:the engine does not answer")
        except CodedError as error:  # a container was created meanwhile
            return Kept(reason=error.message)
        await self._index.artifacts.delete(artifact.id)
        return artifact.bytes if is_gone else 0


def _is_foreign(image: ImageRecord) -> bool:
    """Return whether an image is used as somebody else made it, and no registry that roost knows has it."""
    return image.config_digest == image.base_digest and not image.registry_digests


def _list_pulled(image: ImageRecord) -> list[str]:
    """Return the references by which roost may have had the engine pull an image, as engines write them."""
    names = (
        f"{parse_reference(place).name}@{manifest_digest}" for place, manifest_digest in image.registry_digests.items()
    )
    return [each.removeprefix("docker.io/") for each in names]
