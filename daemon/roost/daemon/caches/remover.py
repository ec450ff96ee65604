"""Remove one item from the caches, safe at every instant:

1. claim it (``claims``), or keep it if anything uses it
2. ask what else needs it (``needs``): a build says so before it looks into a cache
3. delete what points to it, rename it into the trash, and sync the folder that it was in
4. let its row follow it there; on a full disk the row stays, and the next comparison deletes it
5. release the claim, and delete the content in a worker
6. delete the row

A crash after any step leaves an item that is complete under its name, or in the trash, which is emptied at the next
start, or by a removal of what is in the trash.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from roost.daemon.caches.claims import Claims
from roost.daemon.caches.needs import Needs, is_fresh
from roost.daemon.caches.reaping import REAP, ReapRequest
from roost.daemon.caches.shelves import ASIDE, list_leftovers
from roost.daemon.engines.engine_set import Engines
from roost.model.caches import CacheItem, CacheKind, Kept
from roost.model.errors import StoreError
from roost.store.cancellation import finish_despite_cancel
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, move_to_trash, rename, sync_folder
from roost.store.disk.layer_files import digest_of_blob
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint
from roost.store.index.index import Index
from roost.wire.run_output import REMOVED

_FILE_KINDS: tuple[CacheKind, ...] = ("layer", "shared-layer", "output")
"""Kinds that are one file, which nothing maps."""

TRASH_SECONDS = 3600.0
"""How often the trash is emptied, while nothing else is done."""

Reap = Callable[[str, bool], Awaitable[int]]
"""Deletes a path in the trash, and returns the freed bytes. Whether the file may be cut in steps comes second."""


class CacheRemover:
    """Lists and removes what is in the caches of one root."""

    def __init__(self, layout: Layout, index: Index, engines: Engines, reap: Reap | None = None) -> None:
        self._layout = layout
        self._index = index
        self._workers = engines.workers
        self._claims = Claims(layout, engines.holds)
        self._needs = Needs(layout, index)
        self._reap = reap or self._reap_in_worker
        self._moved: dict[str, str] = {}
        """Id of an item whose deletion has not ended, which may have been cancelled, to its id in the trash."""

    async def list_items(self) -> list[CacheItem]:
        """Return everything that could be removed, as it was recorded, with what needs it. What has no size yet is
        left out."""
        return await self._needs.complete(await self._index.caches.list_items())

    async def remove(self, item: CacheItem) -> int | Kept:
        """Remove ``item``; return the bytes on the disk that were freed, or why it stays.

        Once it is in the trash, a cancellation ends the deletion at once. The rest stays there, and is an item; to
        remove ``item`` again goes on with it.
        """
        if item.kind == "trash":
            return await self._delete(item.id, item.kind)
        if item.id not in self._moved:
            result = await finish_despite_cancel(asyncio.create_task(self._move(item)))
            if result is not None:
                return result
        freed = await self._delete(self._moved[item.id], item.kind)
        del self._moved[item.id]
        return freed

    async def _move(self, item: CacheItem) -> Kept | None:
        """Move ``item`` into the trash, or return why it stays."""
        async with self._claims.claim(item) as reason:
            failpoint("collect.claimed")
            reason = reason or await self._needs.find(item)
            if reason is not None:
                return Kept(reason=reason)
            moved = await asyncio.to_thread(self._rename, item)
            failpoint("collect.moved")
            if isinstance(moved, Kept):
                if moved.reason == "gone":
                    with suppress(StoreError):
                        await self._index.caches.drop([item.id])
                return moved
            with suppress(StoreError):
                await self._index.caches.rename(item.id, moved, "trash")
                if item.kind in ("layer", "shared-layer"):  # a row whose blob is missing counts as none
                    await self._index.layers.delete([digest_of_blob(item.id)])
            failpoint("collect.recorded")
            self._moved[item.id] = moved
            return None

    def _rename(self, item: CacheItem) -> str | Kept:
        path = os.path.join(self._layout.root, item.id)
        self._claims.detach(item)
        if item.kind == "output":
            _mark_removed(path)
        failpoint("collect.detached")
        try:
            moved = _move_aside(path, self._layout.trash)
        except OSError as error:
            return Kept(reason=f"unmovable:{error.strerror}")
        if moved is None:
            return Kept(reason="gone")
        if is_fresh(item.kind, moved):  # a version began to refer to it since
            rename(moved, path)
            return Kept(reason="version")
        if item.kind == "output":
            with suppress(FileNotFoundError):
                os.unlink(path + ".cut")
        sync_folder(os.path.dirname(path))
        return os.path.relpath(moved, self._layout.root)

    async def reap(self, path: str) -> int:
        """Delete a path in the trash, and return the freed bytes. If it is cancelled, the rest stays, as an item."""
        return await self._reap(path, False)

    async def empty_trash(self) -> None:
        """Delete everything in the trash: what an interrupted removal or start has left. The work of idleness."""
        for item in await asyncio.to_thread(lambda: list(list_leftovers(self._layout))):
            if item.kind == "trash":
                await self._delete(item.id, item.kind)

    async def _delete(self, trash_id: str, kind: CacheKind) -> int:
        freed = await self._reap(os.path.join(self._layout.root, trash_id), kind in _FILE_KINDS)
        failpoint("collect.deleted")
        with suppress(StoreError):
            await self._index.caches.drop([trash_id])
        failpoint("collect.dropped")
        return freed

    async def _reap_in_worker(self, path: str, shrinks: bool) -> int:
        return await self._workers.run(REAP, ReapRequest(path=path, shrinks=shrinks))


def _move_aside(path: str, trash: str) -> str | None:
    """Move ``path`` into the trash, or beside itself under a name that nobody uses: a cache may be on another disk, and
    a full one may have no room for one more name in the trash. Return its new path, ``None`` if it did not exist."""
    try:
        return move_to_trash(path, trash)
    except OSError as error:
        if error.errno not in (errno.EXDEV, *FULL_DISK_ERRNOS):
            raise
    beside = os.path.join(os.path.dirname(path), f"{ASIDE}{secrets.token_hex(4)}")
    try:
        rename(path, beside)
    except FileNotFoundError:
        return None
    return beside


def _mark_removed(output: str) -> None:
    """Leave a mark beside the output of a run: `roost runs logs` says what became of it."""
    with suppress(OSError), open(os.path.join(os.path.dirname(output), REMOVED), "wb"):
        pass
