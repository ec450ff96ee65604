"""Giving memory back to the system after the work for many watches: glibc keeps what was freed between objects that
live on, for ever if nothing asks for it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from roost.daemon.jobs.lifecycle import BackgroundTasks
from roost.model.errors import CodedError

log = logging.getLogger(__name__)
MANY = 1_000
"""Readings and plans after which there is enough to give back."""
REST_SECONDS = 5.0
"""From the last of them: what they left to be written is written by then."""


class MemoryRelease:
    """Counts readings and plans, and gives memory back once many have come to an end."""

    def __init__(self, shrink: Callable[[], Awaitable[None]]) -> None:
        """``shrink``: frees what the index holds."""
        self._shrink = shrink
        self._tasks = BackgroundTasks()
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, count: int = 1) -> None:
        """Note readings and plans, or watches that were taken up."""
        self._count += count
        if self._count >= MANY:
            self.stop()
            self._timer = asyncio.get_running_loop().call_later(REST_SECONDS, self._release)

    def stop(self) -> None:
        """Give back nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        self._count, self._timer = 0, None
        self._tasks.spawn(self._give_back())

    async def _give_back(self) -> None:
        with suppress(CodedError):
            await self._shrink()
        await asyncio.to_thread(give_back)


def give_back() -> None:
    """Give free memory back to the system, that of cyclic garbage too. Holds everything up, for tens of milliseconds:
    for rare calls. Another C library than glibc needs none."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # malloc_trim(3)
    except (AttributeError, OSError) as error:
        log.debug("Free memory is not given back: %s", error)
