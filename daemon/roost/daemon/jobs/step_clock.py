"""How the time of a build divides among its steps, which overlap and contain each other. Pure.

Every moment counts for one step, so that the parts add up to the whole: for the step that began last of those that are
running, and between steps for the next one (what is prepared for it). Downloads count for the step that needs them:
which of them a tool reports depends on their size, and it goes on with other work meanwhile.
Separate from ``reporter``, which sends messages.
"""

from __future__ import annotations

WAITING = "wait"
_PART_OF_OTHERS = "download"


class StepClock:
    """Divides time. ``now`` of all methods is in seconds of one clock, and never goes back."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._running: list[str] = []
        self.seconds: dict[str, float] = {}
        """Of each step that has begun so far; waiting included."""

    def start(self, step: str, now: float) -> None:
        """``step`` begins."""
        if step == _PART_OF_OTHERS:
            return
        self._charge(self._running[-1] if self._running else step, now)
        self._running.append(step)

    def finish(self, step: str, now: float) -> None:
        """``step`` ended."""
        if step in self._running:
            self._charge(self._running[-1], now)
            self._running.remove(step)

    @property
    def is_running(self) -> bool:
        """Whether a step has not ended."""
        return bool(self._running)

    @property
    def worked(self) -> float:
        """Seconds of all steps except waiting."""
        return sum(seconds for step, seconds in self.seconds.items() if step != WAITING)

    @property
    def waited(self) -> float:
        """Seconds of waiting for other work."""
        return self.seconds.get(WAITING, 0.0)

    def _charge(self, step: str, now: float) -> None:
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._since
        self._since = now
