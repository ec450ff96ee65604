"""Progress of a build on standard error: one line that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

from roost.client.terminal.text import format_duration, format_size, is_rich, paint, render
from roost.client.terminal.time_left import TimeLeft

STEP_TITLES = {
    "wait": "waiting for other builds",
    "solve": "solving",
    "lock-pip": "locking pip packages",
    "check-lock": "checking the lock with channels and indexes",
    "download": "downloading",
    "link": "linking",
    "build-wheels": "building wheels",
    "pip": "installing pip packages",
    "project": "installing the project",
    "bytecode": "linking byte-code",
    "scripts": "running link scripts",
    "publish": "publishing",
    "base": "getting the base image",
    "docker-steps": "running the docker steps",
    "layers": "writing layers",
    "load": "loading into the engine",
    "pull": "pulling",
    "push": "pushing",
    "pack": "writing the bundle",
    "unpack": "reading the bundle",
}
REDRAW_SECONDS = 0.08
LOG_LINES = 20
BYTE_STEPS = ("download", "pack", "unpack")
"""Steps whose progress is counted in bytes."""


class ProgressDisplay:
    """Shows the messages of a build's stream; ``close`` clears the line that is being redrawn."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._rich = is_rich(stream) and not quiet
        self._quiet = quiet
        self._steps: dict[str, StepProgress] = {}
        self._left = TimeLeft()
        self._drawn_at = 0.0
        self._is_line_open = False
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        """The latest lines of the build's log since a step succeeded, for the report of a failure."""

    def show(self, message: Mapping[str, Any]) -> None:
        """Show one ``wire.Message``. Events of an unknown kind are ignored."""
        handler = getattr(self, "_on_" + str(message.get("event")), None)
        if handler is not None:
            handler(message)

    def close(self) -> None:
        """Clear the line that is being redrawn."""
        if self._is_line_open:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._is_line_open = False

    def _on_plan(self, message: Mapping[str, Any]) -> None:
        plan = message.get("plan") or {}
        for reason in plan.get("reasons", []):
            if reason.get("code") == "prefix-drifted":
                self._print_line(str(reason.get("message")))
        steps = plan.get("steps", [])
        expected = {step["kind"]: step["seconds"] for step in steps if step.get("seconds")}
        self._left.expect(plan.get("seconds"), expected, time.monotonic())

    def _on_log(self, message: Mapping[str, Any]) -> None:
        if message.get("line"):  # without one, it only says from which file something is made
            self.log.append(str(message["line"]))
        if message.get("note"):
            self._print_line(str(message.get("line", "")))

    def _on_step(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("step"))
        if message.get("state") == "started":
            self._steps.setdefault(name, StepProgress(name, message.get("total")))
            self._left.start_step(name, time.monotonic())
            self._redraw() if self._rich else self._print_line(f"{self._steps[name].title} …")
            return
        step = self._steps.pop(name, None)
        self._left.finish_step(name, time.monotonic())
        if not self._steps:
            self.log.clear()  # that was about what has succeeded
        if step is not None:
            self._print_line(step.format_summary(self._stream))

    def _on_progress(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("step"))
        step = self._steps.setdefault(name, StepProgress(name, message.get("total")))
        step.update(message.get("done") or 0, message.get("total"))
        if step.total:
            self._left.advance_step(name, step.done / step.total)
        if self._rich and time.monotonic() - self._drawn_at > REDRAW_SECONDS:
            self._redraw()

    def _on_heartbeat(self, message: Mapping[str, Any]) -> None:
        if self._is_line_open:  # a long step that reports nothing: its time goes on all the same
            self._redraw()

    def _print_line(self, line: str) -> None:
        if not self._quiet:
            self.close()
            self._stream.write(f"roost: {render(line)}\n")
            self._stream.flush()
            if self._steps and self._rich:
                self._redraw()

    def _redraw(self) -> None:
        line = " · ".join(step.format_line() for step in self._steps.values())
        left = self._left.describe(time.monotonic())
        text = f"roost: {line}" + (f" · {left}" if left else "")
        self._stream.write("\r\033[K" + render(text)[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()
        self._drawn_at, self._is_line_open = time.monotonic(), True


class StepProgress:
    """Progress and speed of one running step."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self.began = time.monotonic()

    def update(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total or self.total

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.began

    @property
    def title(self) -> str:
        """What the step does. Of waiting, also how many are still ahead."""
        ahead = (self.total or 0) - self.done
        if self.name == "wait" and ahead > 0:
            return f"waiting: {ahead} other{'s are' if ahead > 1 else ' is'} being solved or built"
        return STEP_TITLES.get(self.name, self.name)

    def format_line(self) -> str:
        """Return the step's part of the redrawn line."""
        title = self.title
        if self.name in BYTE_STEPS and (self.done or self.total):
            of = f" of {format_size(self.total)}" if self.total else ""
            return f"{title} {format_size(self.done)}{of}, {format_size(self.done / max(self.seconds, 0.001))}/s"
        return f"{title} {self.done}/{self.total}" if self.total and self.name != "wait" else title

    def format_summary(self, stream: TextIO) -> str:
        """Return the line for the finished step, in colour if ``stream`` shows it."""
        title = STEP_TITLES.get(self.name, self.name)
        amount = f"{format_size(self.done)}, " if self.name in BYTE_STEPS and self.done else ""
        return f"{paint('done', 'green', stream)} {title} ({amount}{format_duration(self.seconds)})"
