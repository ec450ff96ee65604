"""Work for the time in which the daemon has nothing else to do: verification, collection, compaction.

Registered work runs one at a time, once nothing has happened for a while. Whatever then happens cancels it at once, and
it runs again in the next quiet time. When each last ended is stored in the index, so that "once a day" holds although
the daemon comes and goes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from roost.daemon.jobs.lifecycle import Lifecycle
from roost.model.errors import CodedError
from roost.store.clock import rfc3339
from roost.store.index.tables.upkeep import UpkeepTable

log = logging.getLogger(__name__)
SHORTEST_SLEEP = 600.0
"""Seconds. A daemon that sleeps wakes for due work no more often than this."""
LONGEST_SLEEP = 6 * 3600.0
"""Seconds. The clock may jump, and does not advance while the machine is suspended: due times are compared again."""
Now = Callable[[], datetime]


@dataclass(frozen=True)
class Work:
    """Work that is due ``every_seconds`` after it last ended in order."""

    name: str
    every_seconds: float
    run: Callable[[], Awaitable[None]]


class IdleWork:
    """Runs registered work while the daemon is at rest (``Lifecycle.is_at_rest``), and only then.

    One timer at most is set: for the end of the quiet time that has to pass, or for the next due time. It neither holds
    the daemon nor restarts its idle timer, so that it does not postpone the daemon's end.
    """

    def __init__(
        self,
        records: UpkeepTable,
        lifecycle: Lifecycle,
        delay: Callable[[], float],
        now: Now = lambda: datetime.now(timezone.utc),
    ) -> None:
        """``delay``: seconds without any activity after which work begins; asked for each time."""
        self._records = records
        self._lifecycle = lifecycle
        self._delay = delay
        self._now = now
        self._works: dict[str, Work] = {}
        self._ended: dict[str, str] | None = None
        """When each work last ended, RFC 3339; ``None`` until the index was asked."""
        self._quiet_since = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._running = ""
        self._started = False

    def register(self, name: str, every_seconds: float, run: Callable[[], Awaitable[None]]) -> None:
        """Run ``run`` in idleness, ``every_seconds`` after it last returned or raised.

        When anything happens, ``run`` is cancelled and has 100 ms to end: work in a thread watches a flag that its
        cancellation sets. ``name`` is the key under which the index stores when it last ended.
        """
        self._works[name] = Work(name, every_seconds, run)

    def start(self) -> None:
        """Begin to observe the lifecycle. Every work must be registered by then."""
        self._started = True
        self._lifecycle.on_activity(self._on_activity)
        self._on_activity()

    async def stop(self) -> None:
        """Cancel what runs, wait for its end, and start nothing more."""
        self._started = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _on_activity(self) -> None:
        self._quiet_since = time.monotonic()
        if self._task is not None:
            self._task.cancel()
        elif self._timer is None:
            self._set_timer(self._delay())

    def _set_timer(self, seconds: float) -> None:
        if self._started and self._works:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._lifecycle.is_at_rest:
            return  # the end of that activity sets the timer
        left = self._quiet_since + self._delay() - time.monotonic()
        if left > 0:
            self._set_timer(left)
        else:
            self._task = asyncio.create_task(self._run_due())
            self._task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            if self._running in self._works:  # others that are due come first next time
                self._works[self._running] = self._works.pop(self._running)
            self._set_timer(self._delay())
        elif error := task.exception():
            log.error("Idle work ended", exc_info=error)
            self._set_timer(LONGEST_SLEEP)
        else:
            self._set_timer(self._measure_sleep())
        self._running = ""

    async def _run_due(self) -> None:
        if self._ended is None:
            self._ended = await self._records.list_last_runs()
        for work in list(self._works.values()):  # each at most once: it may be due again at once if the clock jumps
            if find_due_in(self._ended.get(work.name), work.every_seconds, self._now()) <= 0:
                self._running = work.name
                await self._run(work)

    async def _run(self, work: Work) -> None:
        """Run ``work`` and store that it ended. After a failure it is not tried again before it is due again."""
        began = time.monotonic()
        try:
            await work.run()
            log.info("Idle work %s took %.1f s", work.name, time.monotonic() - began)
        except CodedError as error:
            log.warning("Idle work %s failed: %s", work.name, error.message)
        except Exception:
            log.exception("Idle work %s failed", work.name)
        assert self._ended is not None
        self._ended[work.name] = rfc3339(self._now())
        try:
            await self._records.record_run(work.name, self._ended[work.name])
        except CodedError as error:  # on a full disk, memory has to do
            log.warning("The end of idle work %s was not stored: %s", work.name, error.message)

    def _measure_sleep(self) -> float:
        ended, now = self._ended or {}, self._now()
        due = min(find_due_in(ended.get(work.name), work.every_seconds, now) for work in self._works.values())
        return min(max(due, SHORTEST_SLEEP), LONGEST_SLEEP)


def find_due_in(ended: str | None, every_seconds: float, now: datetime) -> float:
    """Return in how many seconds work is due that ``ended`` then; 0 or less: now.

    A time in the future comes from a clock that was wrong, so it counts as none.
    """
    try:
        last = None if ended is None else datetime.fromisoformat(ended.replace("Z", "+00:00"))
    except ValueError:
        last = None
    if last is None or last.tzinfo is None or last > now:
        return 0.0
    return every_seconds - (now - last).total_seconds()
