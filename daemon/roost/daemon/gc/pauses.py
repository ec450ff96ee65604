"""Steps that give way to whatever else the daemon is asked for.

A step begins once nothing has happened for a moment. If something happens during it, it is cancelled and begins again
after that: removals go on where they were cancelled. A step that was put off for long runs through, so that a busy
daemon frees space too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from roost.daemon.jobs.lifecycle import Lifecycle

T = TypeVar("T")
QUIET_SECONDS = 0.25
PATIENCE_SECONDS = 5.0


class Pauses:
    """Watches for activity, and runs steps between it."""

    def __init__(self, lifecycle: Lifecycle, quiet: float = QUIET_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self._quiet = quiet
        self._patience = patience
        self._last = time.monotonic() - quiet
        self._running: asyncio.Future[Any] | None = None
        self._interrupted = 0
        lifecycle.on_activity(self._on_activity)

    @property
    def interruptions(self) -> int:
        """How many steps were cancelled so far."""
        return self._interrupted

    def _on_activity(self) -> None:
        self._last = time.monotonic()
        if self._running is not None:
            self._running.cancel()

    async def run(self, step: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``step``, which may be cancelled and called again."""
        deadline = time.monotonic() + self._patience
        while True:
            await self._wait_for_quiet(deadline)
            if time.monotonic() >= deadline:
                return await step()
            task = asyncio.ensure_future(step())
            self._running = task
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait([task])
                raise
            finally:
                self._running = None
            if not task.cancelled():
                return task.result()
            self._interrupted += 1

    async def _wait_for_quiet(self, deadline: float) -> None:
        while True:  # what happens meanwhile moves the time
            left = min(self._last + self._quiet, deadline) - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)
