"""Free pages of the index go back to the disk, some at a time, and the WAL is truncated."""

from __future__ import annotations

import asyncio
import logging

from roost.store.index.index import Index

log = logging.getLogger(__name__)
COMPACTION = "compact-index"
EVERY_SECONDS = 86_400.0
CHUNK_PAGES = 64
"""Pages in one transaction: a few milliseconds."""
_PAUSE_SECONDS = 0.005
_WORTHWHILE = 1024
"""Free pages (4 MB) that stay: they are used again."""


class Compaction:
    """Shrinks the index of one daemon."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def run(self) -> None:
        """Give back all free pages but some. Whoever writes meanwhile waits for one chunk at most."""
        freed = 0
        while (await self._index.upkeep.count_free_pages())[0] > _WORTHWHILE:
            await self._index.upkeep.free_pages(CHUNK_PAGES)
            freed += CHUNK_PAGES
            await asyncio.sleep(_PAUSE_SECONDS)
        await self._index.database.checkpoint()
        if freed:
            log.info("The index is smaller by %d pages", freed)
