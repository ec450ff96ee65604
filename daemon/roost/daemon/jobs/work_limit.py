"""How many pieces of one kind of work run at the same time, in the order in which they were requested.

A module of its own, because engines and locks use it and need nothing of builds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from roost.daemon.background.work import BackgroundWork, current_work
from roost.daemon.jobs.progress import Progress

_REPORT_SECONDS = 1.0
"""Seconds between two reports of one waiter: hundreds may wait, and each end of work concerns all of them."""


class WorkLimit:
    """Lets ``limit`` pieces of work run at a time. Those that wait begin in order, and report how many are ahead.

    Background work never has the place of somebody who waits. It runs beside the limit; an ``exclusive`` limit counts
    it, lets it in last, and makes it give way.
    """

    def __init__(self, limit: int, *, exclusive: bool = False) -> None:
        self._limit = limit
        self._exclusive = exclusive
        self._running = 0
        self._background: list[BackgroundWork] = []
        """Background work that runs and counts."""
        self._waiters: dict[asyncio.Future[None], _Waiter] = {}
        """In the order in which they came. A waiter that may begin is no longer in here."""

    @property
    def running(self) -> int:
        """Number of pieces of work that run."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of those that wait."""
        return len(self._waiters)

    @asynccontextmanager
    async def hold(self, progress: Progress) -> AsyncIterator[None]:
        """Wait until the block may run, and run it. While it waits, the step ``wait`` is reported to ``progress``, with
        the number of those that were ahead at the beginning, and of those among them that are done."""
        work = current_work()
        if work is not None and not self._exclusive:
            yield
            return
        await self._acquire(progress, work)
        if work is not None:
            self._background.append(work)
        try:
            yield
        finally:
            if work is not None:
                self._background.remove(work)
            self._running -= 1
            self._start_waiters()

    async def _acquire(self, progress: Progress, work: BackgroundWork | None) -> None:
        if self._running < self._limit:
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiters[turn] = _Waiter(progress, self._running + len(self._waiters), is_background=work is not None)
        if work is None:
            for holder in self._background:
                holder.give_way()
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiters.pop(turn, None) is None:  # it was let in at the same moment
                self._running -= 1
            self._start_waiters()
            raise

    def _start_waiters(self) -> None:
        """Let in whoever came first, as far as the limit allows, and report to the others."""
        order = sorted(self._waiters, key=lambda turn: self._waiters[turn].is_background)
        for turn in order[: max(0, self._limit - self._running)]:
            self._running += 1
            self._waiters.pop(turn).finish()
            if not turn.cancelled():
                turn.set_result(None)
        for place, waiter in enumerate(self._waiters.values()):
            waiter.report(self._running + place)


class _Waiter:
    """Someone who waits, and how far the work ahead of him has got."""

    def __init__(self, progress: Progress, ahead: int, *, is_background: bool) -> None:
        self.is_background = is_background
        self._progress = progress
        self._total = ahead
        self._reported = time.monotonic()
        progress.start("wait", ahead)

    def report(self, ahead: int) -> None:
        now = time.monotonic()
        if now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            self._progress.advance("wait", self._total - ahead, self._total)

    def finish(self) -> None:
        self._progress.finish("wait")
