"""When roost collects by itself: after a publication that leaves too much, and in idleness.

A look takes the sums of the index and one statvfs(3), never a scan. After a publication, a collection runs beside what
the daemon does, pauses whenever something happens, and further builds wait for its end: the budget is exceeded by what
is being built only. In idleness it runs too, and is cancelled by whatever happens.

In a root that an older version filled, both only report for a week what would go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta, timezone

from roost.daemon.config.source import ConfigSource
from roost.daemon.gc.collector import Collection, Collector
from roost.daemon.gc.limits import resolve_limits
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.idle_work import find_due_in
from roost.model.errors import CodedError
from roost.store.clock import rfc3339, utc_now
from roost.store.disk.file_ops import measure_disk
from roost.store.index.index import Index
from roost.wire.collection import NextCollectionView

log = logging.getLogger(__name__)
IDLE_WORK = "collection"
EVERY_SECONDS = 3600.0
"""Between two looks in idleness."""
REPORT_ONLY_DAYS = 7
"""The migration of the index writes the end of this time."""
BEGINS = "begins"
REPORTED = "reported"
LEFT_OVER_KINDS = ("stage", "trash")
ENGINE_KINDS = frozenset({"image"})
"""Kinds of the sums that are not on the disk of the root."""


def sum_root(usage: Mapping[str, int]) -> int:
    """Return the bytes under the root, of the sums by kind."""
    return sum(size for kind, size in usage.items() if kind not in ENGINE_KINDS)


def sum_engines(usage: Mapping[str, int]) -> int:
    """Return the bytes in engines, of the sums by kind."""
    return sum(size for kind, size in usage.items() if kind in ENGINE_KINDS)


class CollectionTriggers:
    """Decides when a collection runs by itself."""

    def __init__(
        self,
        root: str,
        index: Index,
        config: ConfigSource,
        collector: Collector,
        events: Events,
        wait_for_records: Callable[[], Awaitable[None]],
    ) -> None:
        """``wait_for_records`` returns when the sums have what builds have put into the caches until now."""
        self._root = root
        self._index = index
        self._config = config
        self._collector = collector
        self._events = events
        self._wait_for_records = wait_for_records
        self._task: asyncio.Task[None] | None = None

    async def check(self) -> bool:
        """Return whether a limit is exceeded."""
        usage = await self._index.collection.map_usage()
        disk = await asyncio.to_thread(measure_disk, self._root)
        limits = resolve_limits(self._config.config.cache, disk.total)
        used, images = sum_root(usage), sum_engines(usage)
        return (
            (limits.budget_bytes > 0 and used > limits.budget_bytes)
            or disk.free < limits.min_free_bytes
            or (limits.image_bytes > 0 and images > limits.image_bytes)
        )

    async def on_published(self) -> None:
        """Begin a collection if what was published exceeds a limit and none is running. Returns at once: further builds
        wait until that is known (``wait_for_space``)."""
        if self._task is None:
            self._task = asyncio.create_task(self._collect_published())
            self._task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()):
            log.error("A collection failed", exc_info=error)

    async def _collect_published(self) -> None:
        await self._wait_for_records()
        if await self.check():
            await self._collect("published")

    async def wait_for_space(self) -> None:
        """Wait for the end of a collection that a publication made necessary."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def run_idle(self) -> None:
        """Collect if a limit is exceeded, or if something is left over: the work of idleness."""
        usage = await self._index.collection.map_usage()
        if any(usage.get(kind) for kind in LEFT_OVER_KINDS) or await self.check():
            await self._collect("idle", leftovers=True)

    async def stop(self) -> None:
        """Cancel the collection that runs, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _collect(self, trigger: str, *, leftovers: bool = False) -> None:
        begins = await self.find_begin()
        if begins is not None:
            await self._report(begins)
            return
        collection = None
        try:
            async for latest in self._collector.run(leftovers=leftovers):
                collection = latest
        finally:
            if collection is not None and collection.results:
                await self._announce(collection, trigger)

    async def _announce(self, collection: Collection, trigger: str) -> None:
        removed = [result for result in collection.results if not result.kept]
        freed = sum(result.freed for result in removed)
        try:
            await self._events.append(
                "cache-collected",
                trigger=trigger,
                removed=len(removed),
                freed_bytes=freed,
                missing_bytes=collection.missing_bytes,
                in_use=len(collection.refused),
            )
        except CodedError as error:  # on a full disk
            log.warning("A collection of %d bytes was not recorded: %s", freed, error.message)

    async def _report(self, begins: str) -> None:
        """Report once a day what would go."""
        today = utc_now()[:10]
        if await self._index.collection.find_state(REPORTED) == today:
            return
        plan = (await self._collector.plan()).plan
        await self._index.collection.put_state(REPORTED, today)
        if plan.steps:
            await self._events.append(
                "cache-to-collect", begins=begins, steps=len(plan.steps), freed_bytes=plan.freed_bytes
            )

    async def find_begin(self) -> str | None:
        """Return the time until which collections by themselves only report; ``None`` if it has passed. A time that
        is further away than it ever was comes from a clock that was wrong."""
        begins = await self._index.collection.find_state(BEGINS)
        if begins is None:
            return None
        latest = rfc3339(datetime.now(timezone.utc) + timedelta(days=REPORT_ONLY_DAYS))
        if begins > latest:
            await self._index.collection.put_state(BEGINS, begins := latest)
        return begins if begins > utc_now() else None

    async def find_next(self) -> NextCollectionView:
        """Return when a collection can begin by itself."""
        ended = (await self._index.upkeep.list_last_runs()).get(IDLE_WORK)
        now = datetime.now(timezone.utc)
        due = find_due_in(ended, EVERY_SECONDS, now)
        return NextCollectionView(
            at=rfc3339(now + timedelta(seconds=due)) if due > 0 else None,
            idle_seconds=self._config.config.daemon.idle_work_seconds,
            begins=await self.find_begin(),
        )
