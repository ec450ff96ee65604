"""When the daemon stops: what keeps it busy, the idle timer, and the hooks that run before it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager

from roost.model.errors import CodedError

log = logging.getLogger(__name__)
Hook = Callable[[], Awaitable[None]]
PASSIVE_ACTIVITIES = frozenset({"watch"})
"""Activities that keep the daemon alive without giving it anything to do."""
RESUMED_ACTIVITIES = frozenset({"bytecode"})
"""Activities that the next daemon goes on with, and that nobody waits for."""


class DaemonBusyError(CodedError):
    """The daemon was asked to stop only if idle, and is not idle."""

    code = "daemon-busy"
    http_status = 409
    retryable = True


class DaemonStoppingError(CodedError):
    """The daemon is stopping and accepts no new work."""

    code = "daemon-stopping"
    exit_status = 5
    http_status = 503
    retryable = True


class BackgroundTasks:
    """Tasks that are not awaited, referenced until they end: the event loop itself keeps no task alive."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run ``work`` in the background."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self) -> None:
        """Wait until all that run now have ended, however they end."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cancel(self) -> None:
        """Cancel all, and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        await self.wait()


class Lifecycle:
    """Counts the activities that hold the daemon, and stops it after ``idle_exit`` seconds without any (0: never).

    One timer is set while idle and none otherwise. A request only notes the time, and the timer looks at it when it
    fires, so that an idle daemon wakes once.
    """

    def __init__(self, idle_exit: float = 0.0) -> None:
        self.idle_exit = idle_exit
        self.held: Counter[str] = Counter()
        """Activities under way, by kind."""
        self._last = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self._hooks: list[Hook] = []
        self._observers: list[Callable[[], None]] = []
        self.reason = ""

    @property
    def is_idle(self) -> bool:
        """Whether there is no build, stream or foreground run: a newer client may then restart the daemon."""
        return self.held.keys() <= PASSIVE_ACTIVITIES | RESUMED_ACTIVITIES

    @property
    def work(self) -> dict[str, int]:
        """Activities under way that a stop would interrupt, and how many there are of each."""
        return {kind: count for kind, count in self.held.items() if kind not in RESUMED_ACTIVITIES}

    @property
    def is_at_rest(self) -> bool:
        """Whether the daemon has nothing to do: no request either, and at most passive activities."""
        return self.held.keys() <= PASSIVE_ACTIVITIES and not self.is_stopping

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    @contextmanager
    def hold(self, activity: str) -> Iterator[None]:
        """Keep the daemon alive and not idle while the block runs. ``activity`` is a kind such as ``build``."""
        self.acquire(activity)
        try:
            yield
        finally:
            self.release(activity)

    def acquire(self, activity: str) -> None:
        """Hold the daemon until ``release``, for an activity that ends elsewhere (a foreground run)."""
        self.held[activity] += 1
        self._cancel_timer()
        self._notify()

    def release(self, activity: str) -> None:
        """Undo one ``acquire``."""
        self.held[activity] -= 1
        if self.held[activity] <= 0:
            del self.held[activity]
        self.touch()

    def touch(self) -> None:
        """Start the idle time again: a request came."""
        self._last = time.monotonic()
        self._notify()
        if self._timer is None and not self.held and self.idle_exit and not self.is_stopping:
            self._set_timer(self.idle_exit)

    def on_activity(self, observer: Callable[[], None]) -> None:
        """Call ``observer`` whenever an activity begins or ends, or a request comes. It must not take long."""
        self._observers.append(observer)

    def _notify(self) -> None:
        for observer in self._observers:
            observer()

    def _set_timer(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        left = self._last + self.idle_exit - time.monotonic()
        if left > 0:
            self._set_timer(left)
        elif not self.held:
            self.stop("idle")

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self, reason: str) -> None:
        """Begin to stop; a second call changes nothing."""
        if not self.is_stopping:
            log.info("Stopping: %s", reason)
            self.reason = reason
            self._cancel_timer()
            self._stopping.set()

    def on_stop(self, hook: Hook) -> None:
        """Run ``hook`` when the daemon stops, before connections are closed; the last added runs first."""
        self._hooks.append(hook)

    async def wait(self) -> None:
        """Wait until ``stop`` is called."""
        await self._stopping.wait()

    async def run_hooks(self, timeout: float) -> None:
        """Run the hooks, each for ``timeout`` seconds at most; a failure is logged and the others still run."""
        while self._hooks:
            hook = self._hooks.pop()
            try:
                await asyncio.wait_for(hook(), timeout)
            except Exception:
                log.exception("A stop hook failed")
