"""When changes are due: a while after the last of a series, but no later than ten times that after the first. Pure.

One entry for each key, however often it changes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
LONGEST = 10.0
"""In quiet times: a file that is written again and again is processed this long after its first change."""


class Debounce(Generic[Key]):
    """Keys that changed, and when each is due. Times are those of a monotonic clock, in seconds."""

    def __init__(self, quiet: Callable[[], float]) -> None:
        """``quiet``: seconds without a further change after which a key is due; asked for at each change."""
        self._quiet = quiet
        self._due: dict[Key, tuple[float, float]] = {}
        """Key to the time at which it is due, and the latest possible one."""
        self._heap: list[tuple[float, int, Key]] = []
        """One entry for each key of ``_due``, with a time at which it may be due; ties go by the order of the first
        changes."""
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def note(self, key: Key, now: float) -> None:
        """Note a change of ``key``."""
        quiet = self._quiet()
        if key in self._due:
            latest = self._due[key][1]
            self._due[key] = min(now + quiet, latest), latest
            return
        self._due[key] = now + quiet, now + LONGEST * quiet
        self._count += 1
        heapq.heappush(self._heap, (now + quiet, self._count, key))

    def next_time(self) -> float | None:
        """Return a time before which nothing is due; ``None`` if nothing has changed."""
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[Key]:
        """Remove and return the keys that are due, the earliest first."""
        found: list[Key] = []
        while self._heap and self._heap[0][0] <= now:
            _, number, key = heapq.heappop(self._heap)
            due, _ = self._due[key]
            if due > now:  # it changed again since
                heapq.heappush(self._heap, (due, number, key))
            else:
                del self._due[key]
                found.append(key)
        return found
