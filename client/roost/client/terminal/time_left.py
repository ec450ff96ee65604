"""The time that a build still takes, as it is shown: a count-down from what was predicted, corrected by what is seen.

Pure: the caller passes the time. What is shown approaches what is known within seconds, and never jumps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

SHORTEST = 2.0
"""Seconds: of what is over sooner, nothing is shown."""
_PATIENCE = 1.25
"""By how much a build may take longer than predicted before that is said."""
_SETTLING = 4.0
"""Seconds within which two thirds of a correction are shown."""
_MEASURED = 0.1
"""Part of a step that has to be done before its speed says how long the rest takes."""


class TimeLeft:
    """Expected times of one build. ``now`` of all methods is in seconds of one clock, and never goes back."""

    def __init__(self) -> None:
        self._expected: float | None = None
        self._began = 0.0
        self._pending: dict[str, float] = {}
        """Seconds of each step that has not finished, as they were predicted."""
        self._together = math.inf
        """Seconds of all steps together for each second of their sum."""
        self._running: dict[str, tuple[float, float]] = {}
        """Since when each step runs, and which part of it is done."""
        self._shown = 0.0
        self._shown_at = 0.0

    def expect(self, seconds: float | None, steps: Mapping[str, float], now: float) -> None:
        """What is left takes ``seconds``, and its steps those of ``steps``; ``None`` if that is not known."""
        self._expected, self._began = seconds, now
        self._pending = dict(steps)
        self._together = (seconds or 0.0) / sum(steps.values()) if any(steps.values()) else math.inf
        self._shown, self._shown_at = seconds or 0.0, now

    def start_step(self, step: str, now: float) -> None:
        """``step`` begins."""
        self._running.setdefault(step, (now, 0.0))

    def advance_step(self, step: str, part: float) -> None:
        """``part`` (0 to 1) of ``step`` is done."""
        if step in self._running:
            self._running[step] = self._running[step][0], min(max(part, 0.0), 1.0)

    def finish_step(self, step: str, now: float) -> None:
        """``step`` ended. Waiting for others is no part of what was expected."""
        began, _ = self._running.pop(step, (now, 0.0))
        self._pending.pop(step, None)
        if step == "wait":
            self._began += now - began
            self._shown_at += now - began

    def describe(self, now: float) -> str:
        """Return what is shown at ``now``; empty if that is nothing."""
        if self._expected is None or self._expected < SHORTEST or "wait" in self._running:
            return ""
        measured = self._measure_left(now)
        left = measured if measured is not None else min(self._expected - (now - self._began), self._sum_pending(now))
        self._shown = self._approach(left, now)
        self._shown_at = now
        if measured is None and now - self._began > self._expected * _PATIENCE:
            return f"taking longer than the {format_rough(self._expected)} expected"
        return f"about {format_rough(self._shown)} left" if self._shown >= 1.0 else "almost done"

    def _sum_pending(self, now: float) -> float:
        """Return what the steps that have not ended were predicted to take yet: others may have been quicker."""
        running = {step: now - began for step, (began, _) in self._running.items()}
        left = sum(max(0.0, seconds - running.get(step, 0.0)) for step, seconds in self._pending.items())
        return left * self._together if math.isfinite(self._together) else math.inf

    def _approach(self, known: float, now: float) -> float:
        passed = now - self._shown_at
        counted = max(0.0, self._shown - passed)
        return counted + (max(0.0, known) - counted) * min(1.0, passed / _SETTLING)

    def _measure_left(self, now: float) -> float | None:
        """Return the time left by the speed of a running step, with the steps behind it; ``None`` if none is known."""
        left = [
            (now - began) * (1 - part) / part
            for began, part in self._running.values()
            if part >= _MEASURED and now - began >= SHORTEST
        ]
        if not left:
            return None
        return max(left) + sum(seconds for step, seconds in self._pending.items() if step not in self._running)


def format_rough(seconds: float) -> str:
    """Return seconds as a person would say them: ``4 s``, ``25 s``, ``3 min``, ``1 h 10 min``."""
    if seconds < 9.5:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(1, minutes)} min"
    tens = round(minutes / 10) * 10
    return f"{tens // 60} h {tens % 60} min" if tens % 60 else f"{tens // 60} h"
