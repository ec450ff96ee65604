"""A build as it happens: one line that is redrawn on a terminal, plain lines elsewhere. Always on standard error."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, TextIO

from roost.client.terminal.text import duration, is_rich, paint, size

TITLES = {
    "wait": "waiting for other builds",
    "solve": "solving",
    "lock-pip": "locking pip packages",
    "download": "downloading",
    "link": "linking",
    "build-wheels": "building wheels",
    "pip": "installing pip packages",
    "bytecode": "compiling",
    "scripts": "running link scripts",
    "publish": "publishing",
    "base": "getting the base image",
    "docker-steps": "running the docker steps",
    "layers": "writing layers",
    "load": "loading into the engine",
    "pull": "pulling",
    "push": "pushing",
}
REDRAW_SECONDS = 0.08
LOG_LINES = 20
IN_BYTES = ("download",)


class Display:
    """Feed it the stream's messages; ``close`` leaves the terminal clean."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._rich = is_rich(stream) and not quiet
        self._quiet = quiet
        self._steps: dict[str, Running] = {}
        self._estimates: dict[str, float] = {}
        self._drawn = 0.0
        self._dirty = False
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        """The latest lines of the build's log, to show should it fail."""

    def show(self, message: Mapping[str, Any]) -> None:
        """Take in one ``wire.Message``."""
        handler = getattr(self, "_on_" + str(message.get("event")), None)
        if handler is not None:
            handler(message)

    def close(self) -> None:
        """No line is left half drawn."""
        if self._dirty:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._dirty = False

    def _on_plan(self, message: Mapping[str, Any]) -> None:
        steps = (message.get("plan") or {}).get("steps", [])
        self._estimates = {step["kind"]: step["seconds"] for step in steps if step.get("seconds")}

    def _on_log(self, message: Mapping[str, Any]) -> None:
        self.log.append(str(message.get("line", "")))

    def _on_step(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("step"))
        if message.get("state") == "started":
            self._steps.setdefault(name, Running(name, message.get("total")))
            self._redraw() if self._rich else self._say(f"{TITLES.get(name, name)} …")
            return
        step = self._steps.pop(name, None)
        self._estimates.pop(name, None)
        if step is not None:
            self._say(step.summary(self._stream))

    def _on_progress(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("step"))
        step = self._steps.setdefault(name, Running(name, message.get("total")))
        step.update(message.get("done") or 0, message.get("total"))
        if self._rich and time.monotonic() - self._drawn > REDRAW_SECONDS:
            self._redraw()

    def _say(self, line: str) -> None:
        if not self._quiet:
            self.close()
            self._stream.write(f"roost: {line}\n")
            self._stream.flush()
            if self._steps and self._rich:
                self._redraw()

    def _redraw(self) -> None:
        line = " · ".join(step.line() for step in self._steps.values())
        left = self._time_left()
        text = f"roost: {line}" + (f" · about {duration(left)} left" if left else "")
        self._stream.write("\r\033[K" + text[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()
        self._drawn, self._dirty = time.monotonic(), True

    def _time_left(self) -> float | None:
        """From the plan's estimates: what is to come, and of what runs the part that is still to do."""
        if not self._estimates:
            return None
        running = sum(step.left(self._estimates.get(name)) for name, step in self._steps.items())
        return running + sum(seconds for name, seconds in self._estimates.items() if name not in self._steps)


class Running:
    """One step that runs: how far it is, and how fast."""

    def __init__(self, name: str, total: int | None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self.began = time.monotonic()

    def update(self, done: int, total: int | None) -> None:
        self.done, self.total = done, total or self.total

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def line(self) -> str:
        """As the redrawn line has it."""
        title = TITLES.get(self.name, self.name)
        if self.name in IN_BYTES and (self.done or self.total):
            of = f" of {size(self.total)}" if self.total else ""
            return f"{title} {size(self.done)}{of}, {size(self.done / max(self.seconds, 0.001))}/s"
        return f"{title} {self.done}/{self.total}" if self.total else title

    def summary(self, stream: TextIO) -> str:
        """Once it is over."""
        amount = f"{size(self.done)}, " if self.name in IN_BYTES and self.done else ""
        return f"{paint('done', 'green', stream)} {TITLES.get(self.name, self.name)} ({amount}{duration(self.seconds)})"

    def left(self, estimate: float | None) -> float:
        """Seconds to go: by what is done where that is known, else by the estimate."""
        if self.total and self.done:
            return max(0.0, self.seconds * (self.total - self.done) / self.done)
        return max(0.0, (estimate or 0.0) - self.seconds)
