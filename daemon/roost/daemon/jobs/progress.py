"""The interface by which engines report what they do.

Engines call it from whatever thread they run in; implementations must be quick and thread-safe. A module of its own
because engines import nothing else of this package.
"""

from __future__ import annotations

from typing import Literal, Protocol

LockStep = Literal["solve", "lock-pip", "check-lock"]
"""``check-lock``: channels and indexes are asked whether they list what a lock has that was not solved for here."""
PrefixStep = Literal["download", "link", "build-wheels", "pip", "project", "bytecode", "scripts", "publish"]
ImageStep = Literal["base", "docker-steps", "layers", "load", "pull", "push"]
BundleStep = Literal["pack", "unpack"]
StepKind = LockStep | PrefixStep | ImageStep | BundleStep | Literal["wait"]
"""``wait``: other work is ahead (``jobs.work_limit``)."""


class Progress(Protocol):
    """Receives the steps of a build as they happen."""

    def start(self, step: StepKind, total: int | None = None) -> None:
        """``step`` begins; ``total`` in bytes (download, pack, unpack) or packages (others), if it is known."""

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        """``done`` of ``total`` so far (absolute, not an increment)."""

    def finish(self, step: StepKind) -> None:
        """``step`` ended."""

    def log(self, line: str) -> None:
        """A line for the build's log, without credentials; a text of several lines is a line each."""

    def note(self, line: str) -> None:
        """A line that somebody has written for the user, who sees it at once; it is in the build's log too."""


class Silent:
    """A ``Progress`` that discards all reports."""

    def start(self, step: StepKind, total: int | None = None) -> None: ...

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None: ...

    def finish(self, step: StepKind) -> None: ...

    def log(self, line: str) -> None: ...

    def note(self, line: str) -> None: ...


class LockCheckProgress:
    """A ``Progress`` for the check of a lock: what engines report as choosing packages is a part of that check."""

    _PARTS = ("solve", "lock-pip")

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, step: StepKind, total: int | None = None) -> None:
        if step not in self._PARTS:
            self._progress.start(step, total)

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        if step not in self._PARTS:
            self._progress.advance(step, done, total)

    def finish(self, step: StepKind) -> None:
        if step not in self._PARTS:
            self._progress.finish(step)

    def log(self, line: str) -> None:
        self._progress.log(line)

    def note(self, line: str) -> None:
        self._progress.note(line)
