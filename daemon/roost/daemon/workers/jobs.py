"""What workers can run: kinds of workers, and jobs by the name of a function."""

from __future__ import annotations

import os
import re
from typing import Generic, TypeVar

import msgspec

P = TypeVar("P")
R = TypeVar("R")

_TARGET = re.compile(r"[a-z_]+(\.[a-z_]+)*:[a-z_]+")


class WorkerKind(msgspec.Struct, frozen=True, kw_only=True):
    """Workers that are alike: they have the same modules loaded, and a bound in common."""

    name: str
    """In messages: "The conda worker ended …"."""
    modules: tuple[str, ...] = ()
    """What is imported before the first job arrives."""
    processes: int = max(6, os.cpu_count() or 1)
    """At most so many are at work; further jobs wait. Quick jobs have :data:`QUICK_PROCESSES` of their own."""
    memory_share: float = 0.75
    """Part of this machine's memory that the data of one worker may have."""


QUICK_PROCESSES = 2


class WorkerJob(msgspec.Struct, Generic[P, R], frozen=True, kw_only=True):
    """A function that workers of ``kind`` can run: from a payload of type ``P`` to a result of type ``R``.

    Declared beside the code that requests it. Both types must be ones that msgspec encodes.
    """

    kind: WorkerKind
    target: str
    """``module:function``. The function takes a payload and a ``JobContext``; it may be a coroutine."""
    payload: type[P]
    result: type[R]
    doing: str
    """For messages about a crash, if the job did not report more: "… while linking packages"."""
    timeout: float | None = None
    """Seconds that it may take once it has a worker; ``None`` if only its caller ends it."""
    quick: bool = False
    """It takes milliseconds, and must not wait until a long job ends."""
    retires_on_error: bool = False
    """Threads may go on after it has failed: its worker is killed before the caller gets the error."""

    def __post_init__(self) -> None:
        if _TARGET.fullmatch(self.target) is None:
            raise ValueError(f"{self.target!r} does not name a function as module:function")
