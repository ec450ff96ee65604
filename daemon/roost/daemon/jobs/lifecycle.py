"""When the daemon stops: what keeps it busy, the one idle timer, and what is told before it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from roost.model.errors import CodedError

log = logging.getLogger(__name__)
Hook = Callable[[], Awaitable[None]]


class DaemonBusyError(CodedError):
    """It was asked to stop only if idle, and is not."""

    code = "daemon-busy"
    http_status = 409
    retryable = True


class DaemonStoppingError(CodedError):
    """It is on its way out and takes no new work."""

    code = "daemon-stopping"
    exit_status = 5
    http_status = 503
    retryable = True


class Lifecycle:
    """Counts what is going on (``hold``), ends the daemon when nothing has for ``idle_exit`` seconds (0: never).

    One timer is set while idle and none otherwise; a request only notes the time, and the timer looks at it when it
    fires, so an idle daemon wakes once.
    """

    def __init__(self, idle_exit: float = 0.0) -> None:
        self.idle_exit = idle_exit
        self.held: Counter[str] = Counter()
        self._last = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = asyncio.Event()
        self._hooks: list[Hook] = []
        self.reason = ""

    @property
    def idle(self) -> bool:
        """No build, stream or foreground run: what a newer client may restart."""
        return not self.held

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @contextmanager
    def hold(self, what: str) -> Iterator[None]:
        """Keep the daemon alive and not idle while the block runs. ``what`` is a word such as ``build``."""
        self.acquire(what)
        try:
            yield
        finally:
            self.release(what)

    def acquire(self, what: str) -> None:
        """``hold`` without a block, for what ends elsewhere (a foreground run)."""
        self.held[what] += 1
        self._cancel_timer()

    def release(self, what: str) -> None:
        """Undo one ``acquire``."""
        self.held[what] -= 1
        if self.held[what] <= 0:
            del self.held[what]
        self.touch()

    def touch(self) -> None:
        """Something was asked: the idle time starts anew."""
        self._last = time.monotonic()
        if self._timer is None and self.idle and self.idle_exit and not self.stopping:
            self._arm(self.idle_exit)

    def _arm(self, delay: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        left = self._last + self.idle_exit - time.monotonic()
        if left > 0:
            self._arm(left)
        elif self.idle:
            self.stop("idle")

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self, reason: str) -> None:
        """Begin to stop; the second call changes nothing."""
        if not self.stopping:
            log.info("Stopping: %s", reason)
            self.reason = reason
            self._cancel_timer()
            self._stopping.set()

    def on_stop(self, hook: Hook) -> None:
        """``hook`` runs when the daemon stops, before connections are closed; the last added runs first."""
        self._hooks.append(hook)

    async def wait(self) -> None:
        """Until somebody calls ``stop``."""
        await self._stopping.wait()

    async def run_hooks(self, timeout: float) -> None:
        """Run the hooks, each for ``timeout`` seconds at most; one that fails is logged and the rest still run."""
        while self._hooks:
            hook = self._hooks.pop()
            try:
                await asyncio.wait_for(hook(), timeout)
            except Exception:
                log.exception("A stop hook failed")
