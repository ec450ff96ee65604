"""Progress of engines as messages of a shared task: thread-safe, throttled, with the duration of each step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from roost.daemon.background.work import current_work
from roost.daemon.credentials.redaction import redact
from roost.daemon.credentials.values import SecretValues
from roost.daemon.jobs.progress import StepKind
from roost.daemon.jobs.step_clock import StepClock
from roost.model.records import StepObservation
from roost.store.index.index import Index
from roost.wire.builds import Message

_INTERVAL = 0.1
"""Seconds between two messages of progress. Ten a second are enough for an eye, and keep a fast link's callbacks out
of the event loop."""


class BuildReporter:
    """Where the parts of one build report: messages for its readers, and a milestone for the build itself."""

    def __init__(self, publish: Callable[[Message], None]) -> None:
        self.publish = publish
        self.lock_installs = asyncio.Event()
        """Milestone: all packages of the lock are known to install, before the whole result is ready."""
        self.seconds_worked = 0.0
        """What the steps took that are done, as far as estimates may learn from it."""
        self.seconds_waited = 0.0
        """Of waiting for other builds meanwhile."""

    def count(self, worked: float | None, waited: float) -> None:
        """Add what some steps took."""
        self.seconds_worked += worked or 0.0
        self.seconds_waited += waited


class BuildProgress:
    """A ``Progress`` that publishes messages and records how long the finished steps took."""

    def __init__(self, publish: Callable[[Message], None], environ: Mapping[str, str] | None = None) -> None:
        """``environ``: values of variables, which no line may show."""
        self._values = SecretValues(environ or {})
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._clock = StepClock(time.monotonic())
        self._work: dict[str, tuple[dict[str, float], str]] = {}
        self._published: dict[str, float] = {}
        """When progress of a step was last published."""
        self._totals: dict[str, int | None] = {}

    @property
    def seconds_worked(self) -> float:
        """Seconds that the steps took so far, without waiting for other builds."""
        return self._clock.worked

    @property
    def seconds_waited(self) -> float:
        """Seconds of waiting for other builds."""
        return self._clock.waited

    def expect(self, step: str, amounts: Mapping[str, float], subject: str = "") -> None:
        """Note what ``step`` has to do: its duration is recorded with that, for estimates (``daemon.estimates``)."""
        self._work[step] = dict(amounts), subject

    def start(self, step: StepKind, total: int | None = None) -> None:
        self._clock.start(step, time.monotonic())
        self._totals[step] = total
        self._send(Message(event="step", step=step, state="started", total=total))

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        if total is not None:
            self._totals[step] = total
        now = time.monotonic()
        if now - self._published.get(step, 0.0) < _INTERVAL and done != total:
            return
        self._published[step] = now
        self._send(Message(event="progress", step=step, done=done, total=self._totals.get(step)))

    def finish(self, step: StepKind) -> None:
        self._clock.finish(step, time.monotonic())
        self._send(Message(event="step", step=step, state="finished"))

    def log(self, line: str) -> None:
        for each in self._split(line):
            self._send(Message(event="log", line=each))

    def note(self, line: str) -> None:
        for each in self._split(line):
            self._send(Message(event="log", line=each, note=True))

    def _split(self, text: str) -> list[str]:
        """Return the lines of ``text`` without what nobody may see, which may go over several lines."""
        return redact(self._values.mask(text)).splitlines() or [""]

    async def record(self, index: Index) -> None:
        """Store how long the steps took, and what they had to do, for estimates.

        Left out are waiting, which depends on others; steps of which it is not known what they had to do; and
        background work, which takes longer than what somebody waits for.
        """
        if current_work() is not None:
            return
        await index.durations.record_all(self._list_observations())

    def _list_observations(self) -> list[StepObservation]:
        return [
            StepObservation(step=step, seconds=seconds, amounts=self._work[step][0], subject=self._work[step][1])
            for step, seconds in self._clock.seconds.items()
            if step in self._work
        ]

    def _send(self, message: Message) -> None:
        self._loop.call_soon_threadsafe(self._publish, message)
