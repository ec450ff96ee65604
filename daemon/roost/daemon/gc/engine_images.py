"""Images of roost in an engine: which ones containers use, and their removal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from roost.model.caches import Kept
from roost.model.errors import ServiceUnreachableError


class ImagesInEngine:
    """The images of the engine that runs use."""

    def __init__(self, find_images_in_use: Callable[[], Awaitable[Mapping[str, tuple[str, ...]]]]) -> None:
        self._find_images_in_use = find_images_in_use

    async def find_uses(self) -> Mapping[str, tuple[str, ...]] | None:
        try:
            return await self._find_images_in_use()
        except ServiceUnreachableError:
            return None

    async def remove(self, artifact_id: str) -> int | Kept:
        return Kept(reason="unknown:images are not removed yet")
