"""How engines tell what they are doing.

Engines call these from whatever thread they run in; implementations must be quick and thread-safe.
"""

from __future__ import annotations

from typing import Literal, Protocol

PrefixStep = Literal["solve", "lock-pip", "download", "link", "build-wheels", "pip", "bytecode", "scripts", "publish"]
ImageStep = Literal["base", "docker-steps", "layers", "load", "pull", "push"]
StepKind = PrefixStep | ImageStep


class Progress(Protocol):
    """The steps of a build, as they happen."""

    def start(self, step: StepKind, total: int | None = None) -> None:
        """``step`` begins; ``total`` in bytes (download) or packages (others), where known."""

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        """``done`` of ``total`` so far (absolute, not an increment)."""

    def finish(self, step: StepKind) -> None:
        """``step`` is over."""

    def log(self, line: str) -> None:
        """A line for the build's log; credentials already taken out."""


class Silent:
    """A ``Progress`` that tells nobody."""

    def start(self, step: StepKind, total: int | None = None) -> None: ...

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None: ...

    def finish(self, step: StepKind) -> None: ...

    def log(self, line: str) -> None: ...
