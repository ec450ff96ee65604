"""A name for a base image while BuildKit builds on it: unlike the classic builder, it takes no ids after ``FROM``.

(``sha256:…`` is read as the image ``docker.io/library/sha256`` with the tag ``…``, and asked for in that registry.)
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from roost.daemon.engines.docker.ids import config_reference
from roost.model.errors import CodedError

if TYPE_CHECKING:
    from roost.daemon.engines.docker.engine import DockerEngine

TEMPORARY_REPOSITORY = "roost/building"
"""Repository of names that go with the build: each has its own, for others build on the same base, in other daemons
too, and take away theirs."""


@contextlib.asynccontextmanager
async def temporary_base_name(engine: DockerEngine, image_id: str) -> AsyncIterator[str]:
    """A name for the image while the block lasts; in containerd's store the one that it has there for good.

    Raises ImageMissingError."""
    if (await engine.facts()).containerd:
        name = config_reference(image_id)
        await engine.tag(image_id, name)
        yield name
        return
    name = f"{TEMPORARY_REPOSITORY}:{secrets.token_hex(16)}"
    await engine.tag(image_id, name)
    try:
        yield name
    finally:
        await _taken_away(engine, image_id, name)


async def _taken_away(engine: DockerEngine, image_id: str, name: str) -> None:
    """An image goes with its last name: one that has none for good gets one. A name that stays harms nobody, so
    whatever hinders this is not why a build fails."""
    with contextlib.suppress(CodedError):
        image = await engine.image(image_id)
        if image is None:
            return
        if all(tag.startswith(f"{TEMPORARY_REPOSITORY}:") for tag in image.tags):
            await engine.tag(image_id, config_reference(image_id))
        await engine.untag(name)
