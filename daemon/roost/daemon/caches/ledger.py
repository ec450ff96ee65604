"""Rows for what is in the caches: compared with the names in their folders after every build, and in idleness.

Nothing that fills a cache has to report it: a build that fails or is killed leaves packages too, and the next
comparison finds them. What is new is measured at once as far as that takes a moment, and otherwise in idle time: so are
the caches that an older roost has filled. Until then its rows have no size, and it is not listed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from roost.daemon.caches.shelves import FoundItem, find_key, is_answers, list_items, list_leftovers, list_outputs
from roost.model.caches import CachedFile
from roost.model.errors import CodedError
from roost.store.clock import utc_now
from roost.store.disk.file_ops import count_tree
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint
from roost.store.index.index import Index

log = logging.getLogger(__name__)

INVENTORY_SECONDS = 6 * 3600.0
"""How often everything is compared, while nothing else is done."""
_MEASURE_SECONDS = 1.0
"""How long what is new is measured at once after a build."""
_BATCH = 50
"""Items that are measured between two writes in idle time."""
_UNMEASURED = -1
_IDLE_SHELVES = ("runs/", "stage/", "trash/")
"""Where is compared in idle time only."""


class CacheLedger:
    """Maintains ``index.caches`` of one root."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._layout = layout
        self._index = index
        self._comparing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._is_requested = False

    def request_comparison(self) -> None:
        """Compare soon, in the background: something was put into a cache."""
        self._is_requested = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._compare_requested())

    async def wait(self) -> None:
        """Wait until every requested comparison is done. Never raises what they raise."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def stop(self) -> None:
        """Cancel comparisons, and wait for their end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def compare(self) -> None:
        """Record what has come into the caches and what has left them; measure what is new as far as that takes a
        moment. Raises what writing to the index raises."""
        async with self._comparing:
            await self._compare(idle=False)

    async def take_inventory(self) -> None:
        """Do the same for all kinds, and measure everything that has no size yet. Cancelled at any time, it goes on
        from there the next time."""
        async with self._comparing:
            await self._compare(idle=True)
        stop = threading.Event()
        try:
            while missing := await self._index.caches.list_unmeasured(_BATCH):
                measured = await asyncio.to_thread(_measure_rows, self._layout, missing, stop.is_set)
                await self._index.caches.put(measured)
                gone = {each.id for each in missing} - {each.id for each in measured}
                await self._index.caches.drop(sorted(gone))
        finally:
            stop.set()

    async def _compare_requested(self) -> None:
        while self._is_requested:
            self._is_requested = False
            try:
                await self.compare()
            except CodedError as error:  # a full disk: the next comparison finds the same
                log.warning("What is in the caches was not recorded: %s", error.message)

    async def _compare(self, *, idle: bool) -> None:
        known = await self._index.caches.map_stamps()
        open_runs = {run.id for run in await self._index.runs.list_open()} if idle else set()
        found = await asyncio.to_thread(_list_found, self._layout, open_runs, idle=idle)
        if not idle:  # answers of indexes change with every build, and nobody waits for their sizes
            for item in [item for item in found.values() if is_answers(item.id) and item.id in known]:
                found[item.id] = msgspec.structs.replace(item, stamp=known[item.id])
        new = [item for item in found.values() if known.get(item.id) not in (item.stamp, _UNMEASURED)]
        rows = await asyncio.to_thread(_read_new, self._layout, new)
        if rows:
            await self._index.caches.put(rows)
        failpoint("caches.recorded")
        gone = [each for each in known if each not in found and (idle or not each.startswith(_IDLE_SHELVES))]
        if gone:
            await self._index.caches.drop(gone)


def _list_found(layout: Layout, open_runs: set[str], *, idle: bool) -> dict[str, FoundItem]:
    found = {item.id: item for item in list_items(layout)}
    if idle:
        found |= {item.id: item for item in list_leftovers(layout)}
        found |= {item.id: item for item in list_outputs(layout) if item.id.split("/")[1] not in open_runs}
    return found


def _read_new(layout: Layout, items: Sequence[FoundItem]) -> list[CachedFile]:
    """Return the rows of new items, measured for a moment and without sizes from then on."""
    deadline = time.monotonic() + _MEASURE_SECONDS
    rows = [
        CachedFile(id=item.id, kind=item.kind, key=find_key(layout, item), stamp=item.stamp, last_used=utc_now())
        for item in items
    ]
    measured = {row.id: row for row in _measure_rows(layout, rows, lambda: time.monotonic() > deadline)}
    return [measured.get(row.id, row) for row in rows]


def _measure_rows(layout: Layout, rows: Sequence[CachedFile], stops: Callable[[], bool]) -> list[CachedFile]:
    """Return ``rows`` with their sizes; those that no longer exist, and those after ``stops`` says so, are left out."""
    measured = []
    for row in rows:
        if stops():
            break
        try:
            figures = count_tree(os.path.join(layout.root, row.id), stops)
        except InterruptedError:
            break
        except OSError:
            continue
        counts = {"files": figures.files, "sources": figures.sources, "source_bytes": figures.source_bytes}
        measured.append(msgspec.structs.replace(row, bytes=figures.total, **counts))
    return measured
