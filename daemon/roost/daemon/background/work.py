"""One piece of background work, in a context variable: its tasks, threads and processes see that nobody waits for them.

Whoever needs what background work holds makes it give way. It is then cancelled, and what is left to clean up goes on
at normal priority, because a person may be waiting for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import TypeVar

T = TypeVar("T")

_current: ContextVar[BackgroundWork | None] = ContextVar("_current", default=None)
_running: set[BackgroundWork] = set()


class GaveWayError(Exception):
    """The work was cancelled because somebody needs what it made or held. Ask again later."""


class BackgroundWork:
    """One piece of work. ``allows_code``: it may run code of packages that has never run on this machine."""

    def __init__(self, *, allows_code: bool = False) -> None:
        self.allows_code = allows_code
        self.gave_way = False
        self._task: asyncio.Task[object] | None = None

    async def run(self, start: Callable[[], Coroutine[object, object, T]]) -> T:
        """Run ``start()`` as this work, in a context of its own: no caller's variables are in effect.

        If the caller is cancelled, the work is cancelled, and its end is awaited first.

        Raises:
            GaveWayError: if it gave way.
        """
        task: asyncio.Task[T] = Context().run(self._create, start)
        self._task = task
        _running.add(self)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.shield(asyncio.wait([task]))
            raise
        finally:
            _running.discard(self)
            if task.done() and not task.cancelled():
                task.exception()  # marks it as retrieved
        if task.cancelled() and self.gave_way:
            raise GaveWayError
        try:
            return task.result()
        except Exception as error:
            if self.gave_way:  # what was cancelled has said so in its own way
                raise GaveWayError from error
            raise

    def _create(self, start: Callable[[], Coroutine[object, object, T]]) -> asyncio.Task[T]:
        _current.set(self)
        return asyncio.ensure_future(start())

    def give_way(self) -> None:
        """Cancel the work, since somebody waits for what it makes or holds. A second call changes nothing."""
        if not self.gave_way and self._task is not None and not self._task.done():
            self.gave_way = True
            self._task.cancel()


def current_work() -> BackgroundWork | None:
    """Return the background work that the caller is part of; ``None`` if somebody waits for it."""
    return _current.get()


def is_background() -> bool:
    """Whether the caller is part of background work that has not given way."""
    work = _current.get()
    return work is not None and not work.gave_way


def make_way() -> None:
    """Make all background work give way, unless the caller is part of it."""
    if _current.get() is None:
        for work in list(_running):
            work.give_way()
