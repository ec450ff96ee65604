"""A name for a base image while BuildKit builds on it: unlike the classic builder, it takes no ids after ``FROM``.

(``sha256:…`` is read as the image ``docker.io/library/sha256`` with the tag ``…``, and asked for in that registry.)
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from roost.daemon.engines.docker_ids import own_name
from roost.store.errors import RoostError

if TYPE_CHECKING:
    from roost.daemon.engines.docker_engine import DockerEngine


class BaseNames:
    """Names bases, and takes the names away again when the last build on one is done."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def named(self, engine: DockerEngine, image_id: str) -> AsyncIterator[str]:
        """``roost/base:<digits of the id>``. It stays where it is the image's only name: an image goes with its last
        one. Raises ImageMissingError."""
        name = own_name(image_id)
        self._used[name] += 1
        try:
            await engine.tag(image_id, name)
            yield name
        finally:
            self._used[name] -= 1
            if not self._used[name]:
                await self._taken_away(engine, image_id, name)

    async def _taken_away(self, engine: DockerEngine, image_id: str, name: str) -> None:
        """A name that stays harms nobody: whatever hinders this is not why a build fails."""
        with contextlib.suppress(RoostError):
            image = await engine.image(image_id)
            if image is not None and set(image.tags) - {name} and not (await engine.facts()).containerd:
                await engine.untag(name)
