"""What has to be held so that nothing uses an item while it is moved away, by its kind.

A claim never waits: what is in use stays, and its reason is said. It lasts for a rename. What begins to use an item
during it waits for its end, and then finds that the item is missing, which every user of a cache handles.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from roost.daemon.caches.shelves import FoundItem, find_hold
from roost.daemon.engines.uv.unpacked.removal import find_distribution, forget_archive, lock_cache
from roost.daemon.jobs.holds import Holds
from roost.model.caches import CacheItem
from roost.store.disk.layout import Layout


class Claims:
    """Claims items of one root, in a daemon whose parts hold what they use in ``holds``."""

    def __init__(self, layout: Layout, holds: Holds) -> None:
        self._layout = layout
        self._holds = holds
        self._uv_cache = os.path.join(layout.wheels, "uv")

    @asynccontextmanager
    async def claim(self, item: CacheItem) -> AsyncIterator[str | None]:
        """Claim ``item``: the value is ``None``, or the reason for which it is in use."""
        async with AsyncExitStack() as stack:
            key = await asyncio.to_thread(find_hold, self._layout, FoundItem(item.id, item.kind, 0))
            if key and not await stack.enter_async_context(self._holds.claim(key)):
                yield "build"
            elif item.kind == "package" and not stack.enter_context(_lock_package(self._path(item))):
                yield "locked"
            elif self._is_of_uv(item) and not stack.enter_context(lock_cache(self._uv_cache)):
                yield "locked:uv"
            else:
                yield None

    def detach(self, item: CacheItem) -> None:
        """Delete what points to a claimed item that is about to be moved, so that nobody looks for it. Blocks."""
        if item.kind == "wheel" and self._is_of_uv(item):
            distribution = find_distribution(self._path(item))
            if distribution is not None:
                forget_archive(self._uv_cache, self._path(item), distribution[0])

    def _is_of_uv(self, item: CacheItem) -> bool:
        return self._path(item).startswith(self._uv_cache + os.sep)

    def _path(self, item: CacheItem) -> str:
        return os.path.join(self._layout.root, item.id)


@contextmanager
def _lock_package(folder: str) -> Iterator[bool]:
    """Hold the lock of a package in rattler's cache exclusively; rattler holds it shared while it links the package.

    The lock's file, which says which package is in the folder, is deleted if the folder is gone by the end.
    """
    try:
        descriptor = os.open(folder + ".lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
        if not os.path.lexists(folder):
            os.unlink(folder + ".lock")
    finally:
        os.close(descriptor)
