"""Builds: their request, their result, and the lines of their stream."""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.plans import ArtifactView, EnvironmentSelector, PackageMoveView, PlanView, Reason, SourceView
from roost.wire.protocol import ErrorBody, WarningView


class BuildRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Make an environment ready on a target. ``rebuild``: solve again, for a new generation."""

    what: EnvironmentSelector
    target: str = "auto"
    rebuild: bool = False
    as_of: str | None = None
    """RFC 3339 date or time: use only packages published until then; implies a new generation."""
    detach: bool = False
    """Answer as soon as the build has an id; it goes on without the client."""
    push: bool = False
    """Build an image for the workspace's registry, whether or not there is an engine."""


class BuildResult(msgspec.Struct, kw_only=True):
    """Result of a build. ``id`` is null if nothing had to be built."""

    id: str | None
    state: Literal["succeeded", "failed", "cancelled", "joined", "not-needed"]
    definition_digest: str
    lock_digest: str | None
    generation: int | None
    artifacts: list[ArtifactView]
    seconds: float
    reasons: list[Reason] = []
    moved: list[str] = []
    """``NAME:VERSION`` of each environment that a rebuild moved to a new generation."""
    changes: list[PackageMoveView] = []
    """What differs from the lock before the definition was edited, or from the generation before a rebuild."""


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of a build's stream. ``event`` determines the fields; the last line is ``result`` or ``error``."""

    event: Literal["build", "plan", "step", "progress", "log", "heartbeat", "result", "error"]
    id: str | None = None
    plan: PlanView | None = None
    source: SourceView | None = None
    step: str | None = None
    state: Literal["started", "finished"] | None = None
    done: int | None = None
    total: int | None = None
    line: str | None = None
    note: bool = False
    """Whether ``line`` of a ``log`` was written for the user: as by a package's post-link script."""
    result: BuildResult | None = None
    error: ErrorBody | None = None
    warnings: list[WarningView] = []


class WorkMessage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the stream of other work: an edit, a lock file, a bundle. Each kind adds its ``result``; the last
    line is ``result`` or ``error``."""

    event: Literal["step", "progress", "log", "heartbeat", "result", "error"]
    step: str | None = None
    state: Literal["started", "finished"] | None = None
    done: int | None = None
    total: int | None = None
    line: str | None = None
    note: bool = False
    """Whether ``line`` of a ``log`` was written for the user."""
    source: SourceView | None = None
    """With a ``log``: which file the work is for from here on."""
    error: ErrorBody | None = None
