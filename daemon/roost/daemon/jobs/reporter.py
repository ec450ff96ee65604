"""What engines tell, as messages of a flight: thread-safe, throttled, with the time each step took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from roost.daemon.credentials.redaction import redact
from roost.daemon.credentials.substitution import concealed
from roost.daemon.jobs.progress import StepKind
from roost.store.index.index import Index
from roost.wire.builds import Message

# Ten a second are enough for an eye, and keep a fast link's callbacks out of the event loop.
_INTERVAL = 0.1
_WAIT = "wait"


@asynccontextmanager
async def acquire_slot(
    turn: asyncio.Lock | asyncio.Semaphore, publish: Callable[[Message], None]
) -> AsyncIterator[None]:
    """Hold ``turn``; that others hold it is told for as long as it is so: nobody shall think that it hangs."""
    waits = turn.locked()
    if waits:
        publish(Message(event="step", step=_WAIT, state="started"))
    async with turn:
        if waits:
            publish(Message(event="step", step=_WAIT, state="finished"))
        yield


class BuildProgress:
    """A ``Progress`` that publishes to a flight and remembers what the finished steps took."""

    def __init__(self, publish: Callable[[Message], None], environ: Mapping[str, str] | None = None) -> None:
        """``environ``: values that were given for variables, which no line may tell."""
        self._environ = environ or {}
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._started: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._totals: dict[str, int | None] = {}
        self._durations: list[tuple[str, float, int | None]] = []

    def start(self, step: StepKind, total: int | None = None) -> None:
        self._started[step] = time.monotonic()
        self._totals[step] = total
        self._send(Message(event="step", step=step, state="started", total=total))

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        if total is not None:
            self._totals[step] = total
        now = time.monotonic()
        if now - self._told.get(step, 0.0) < _INTERVAL and done != total:
            return
        self._told[step] = now
        self._send(Message(event="progress", step=step, done=done, total=self._totals.get(step)))

    def finish(self, step: StepKind) -> None:
        started = self._started.pop(step, None)
        if started is not None:
            self._durations.append((step, time.monotonic() - started, self._totals.get(step)))
        self._send(Message(event="step", step=step, state="finished"))

    def log(self, line: str) -> None:
        self._send(concealed(Message(event="log", line=redact(line)), self._environ))

    def acquire_slot(self, turn: asyncio.Lock | asyncio.Semaphore) -> AbstractAsyncContextManager[None]:
        """Hold ``turn``; see the function."""
        return acquire_slot(turn, self._send)

    async def record(self, index: Index) -> None:
        """Keep what the steps took, for estimates; only downloads are counted in bytes."""
        for step, seconds, total in self._durations:
            await index.durations.record(step, seconds, total if step == "download" else None)

    def _send(self, message: Message) -> None:
        self._loop.call_soon_threadsafe(self._publish, message)
