"""What garbage collection asks of those who have the caches and the images: a list, and the removal of one thing.

Separate since the collection knows these parts by this interface only, and tests replace them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from roost.model.caches import CacheItem, Kept


class CacheInventory(Protocol):
    """The caches of a root."""

    async def list_items(self) -> Sequence[CacheItem]:
        """Return what is in the caches, from the index: without a look at the disk."""

    async def remove(self, item: CacheItem) -> int | Kept:
        """Remove an item and return the bytes that this freed, or why it stays. Never waits for a lock that somebody
        holds. If it is cancelled, it ends within 100 ms, and the rest of the item is removed later."""

    async def reap(self, path: str) -> int:
        """Delete a path in the trash and return the freed bytes. If it is cancelled, it ends within 100 ms."""


class EngineImages(Protocol):
    """The images of roost in engines."""

    async def find_uses(self) -> Mapping[str, tuple[str, ...]] | None:
        """Return what uses each image (``container:<id>``), by the image's config digest; ``None`` if that can't be
        told, because the engine does not answer."""

    async def remove(self, artifact_id: str) -> int | Kept:
        """Remove an image from its engine and return its bytes, or why it stays."""
