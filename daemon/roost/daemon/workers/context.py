"""What a job in a worker has: a ``Progress`` that reports to the daemon, and a note of what it is doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NoReturn

from roost.daemon.jobs.progress import StepKind
from roost.daemon.workers.faults import describe_error
from roost.daemon.workers.frames import Answer, Doing, Failed, Report
from roost.model.errors import CodedError

_PAUSE_SECONDS = 0.05
"""Between two reports of how far a step is: each costs the daemon a turn of its event loop."""


class JobContext:
    """Given to every job. All methods may be called from any thread."""

    def __init__(self, write: Callable[[Answer], None]) -> None:
        self._write = write
        self.progress = FrameProgress(write)

    def begin(self, subject: str) -> None:
        """Note that the job begins ``subject`` ("linking numpy-1.26.4"), which is named if the worker ends in it."""
        self._write(Doing(subject, True))

    def end(self, subject: str) -> None:
        """Note that ``subject`` has ended."""
        self._write(Doing(subject, False))

    def fail(self, error: CodedError) -> NoReturn:
        """End the job with ``error``, from a callback of native code, which would ignore an exception.

        Does not return: the thread waits until the daemon kills the worker. Only for jobs that retire their worker.
        """
        self._write(Failed(describe_error(error)))
        threading.Event().wait()
        raise AssertionError("an event that nobody sets")


class FrameProgress:
    """A ``Progress`` that writes frames."""

    def __init__(self, write: Callable[[Answer], None]) -> None:
        self._write = write
        self._latest: dict[str, float] = {}

    def start(self, step: StepKind, total: int | None = None) -> None:
        self._write(Report(call="start", subject=step, total=total))

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        now = time.monotonic()
        if done != total and now - self._latest.get(step, 0.0) < _PAUSE_SECONDS:
            return
        self._latest[step] = now
        self._write(Report(call="advance", subject=step, done=done, total=total))

    def finish(self, step: StepKind) -> None:
        self._write(Report(call="finish", subject=step))

    def log(self, line: str) -> None:
        self._write(Report(call="log", subject=line))

    def note(self, line: str) -> None:
        self._write(Report(call="note", subject=line))
