"""Temporary names for base images: BuildKit, unlike the classic builder, accepts no ids after ``FROM``.

BuildKit reads ``sha256:…`` as the image ``docker.io/library/sha256`` with the tag ``…``, and asks that registry for it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator

from roost.daemon.engines.docker.ids import config_reference
from roost.daemon.engines.docker.images import DockerImages
from roost.model.errors import CodedError

TEMPORARY_REPOSITORY = "roost/building"
"""Repository of temporary names. Each build has a name of its own, since others, in other daemons too, may build on the
same base and remove theirs."""


@contextlib.asynccontextmanager
async def temporary_base_name(images: DockerImages, image_id: str) -> AsyncIterator[str]:
    """Provide a name of the image for the duration of the block; in containerd's store its permanent name.

    Raises: ImageMissingError if the engine does not have the image.
    """
    if await images.named_by_config():
        name = config_reference(image_id)
        await images.tag(image_id, name)
        yield name
        return
    name = f"{TEMPORARY_REPOSITORY}:{secrets.token_hex(16)}"
    await images.tag(image_id, name)
    try:
        yield name
    finally:
        await _remove_name(images, image_id, name)


async def _remove_name(images: DockerImages, image_id: str, name: str) -> None:
    """Remove a temporary name, but not the image.

    The engine deletes an image together with its last name, so one without a permanent name gets one first. A name that
    stays is harmless: errors must not fail the build.
    """
    with contextlib.suppress(CodedError):
        image = await images.find(image_id)
        if image is None:
            return
        if all(tag.startswith(f"{TEMPORARY_REPOSITORY}:") for tag in image.tags):
            await images.tag(image_id, config_reference(image_id))
        await images.untag(name)
