"""What goes over the socket: HTTP/1.1 with JSON, described once, for the daemon and for the client's slow paths.

The hot path (``roost exec`` of a known environment) does not import this module. Streams are NDJSON, one ``Message``
a line. Times are RFC 3339 UTC, sizes bytes, digests ``sha256:`` and 64 hex digits.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.plans import ArtifactView, EnvironmentSelector, PlanView, Reason, SourceView
from roost.wire.protocol import ErrorBody, WarningView


class BuildRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: EnvironmentSelector
    target: str = "auto"
    rebuild: bool = False
    as_of: str | None = None
    """RFC 3339 date or time; implies a new generation."""
    detach: bool = False
    push: bool = False
    """An image for the workspace's registry, whether or not there is an engine."""


class BuildResult(msgspec.Struct, kw_only=True):
    id: str | None
    state: Literal["succeeded", "failed", "cancelled", "joined", "not-needed"]
    definition_digest: str
    lock_digest: str | None
    generation: int | None
    artifacts: list[ArtifactView]
    seconds: float
    reasons: list[Reason] = []
    moved: list[str] = []
    """Of a build that was asked for anew: ``NAME:VERSION`` of each environment that is on the new generation now."""


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of a build's stream. ``event`` tells which fields are there; the last is ``result`` or ``error``."""

    event: Literal["build", "plan", "step", "progress", "log", "heartbeat", "result", "error"]
    id: str | None = None
    plan: PlanView | None = None
    source: SourceView | None = None
    step: str | None = None
    state: Literal["started", "finished"] | None = None
    done: int | None = None
    total: int | None = None
    line: str | None = None
    result: BuildResult | None = None
    error: ErrorBody | None = None
    warnings: list[WarningView] = []
