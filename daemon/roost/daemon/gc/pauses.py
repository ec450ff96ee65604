"""Steps that give way to whatever else the daemon is asked for.

A step begins once nothing has happened for a moment. If something happens during it, it is cancelled and begins again
after that: removals go on where they were cancelled. A step that is put off for long begins all the same, and has a
while before anything cancels it, which doubles each time: a busy daemon frees space too.
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
"""How long a step is put off, each time."""
FIRST_WHILE_SECONDS = 1.0
"""Enough for the start of a worker on a busy machine."""


class Pauses:
    """Watches for activity, and runs steps between it."""

    def __init__(self, lifecycle: Lifecycle, quiet: float = QUIET_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self._quiet = quiet
        self._patience = patience
        self._last = time.monotonic() - quiet
        self._running: asyncio.Future[Any] | None = None
        self._kept_until = 0.0
        """Until then nothing cancels the step."""
        self._interrupted = 0
        lifecycle.on_activity(self._on_activity)

    @property
    def interruptions(self) -> int:
        """How many steps were cancelled so far."""
        return self._interrupted

    def _on_activity(self) -> None:
        self._last = time.monotonic()
        if self._running is not None and self._last >= self._kept_until:
            self._running.cancel()

    async def run(self, step: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``step``, which may be cancelled and called again."""
        kept = FIRST_WHILE_SECONDS
        while True:
            is_quiet = await self._wait_for_quiet()
            task = asyncio.ensure_future(step())
            self._running, self._kept_until = task, 0.0
            timer = None
            if not is_quiet:
                began = time.monotonic()
                self._kept_until = began + kept
                timer = asyncio.get_running_loop().call_later(kept, self._cancel_if_busy, task, began)
                kept *= 2
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait([task])
                raise
            finally:
                self._running = None
                if timer is not None:
                    timer.cancel()
            if not task.cancelled():
                return task.result()
            self._interrupted += 1

    def _cancel_if_busy(self, task: asyncio.Future[T], since: float) -> None:
        if self._last > since:
            task.cancel()

    async def _wait_for_quiet(self) -> bool:
        """Wait until nothing has happened for a moment; return whether that came before the patience ended."""
        deadline = time.monotonic() + self._patience
        while True:  # what happens meanwhile moves the time
            now = time.monotonic()
            if now >= self._last + self._quiet:
                return True
            if now >= deadline:
                return False
            await asyncio.sleep(min(self._last + self._quiet, deadline) - now)
