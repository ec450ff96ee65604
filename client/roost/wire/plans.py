"""What goes over the socket: HTTP/1.1 with JSON, described once, for the daemon and for the client's slow paths.

The hot path (``roost exec`` of a known environment) does not import this module. Streams are NDJSON, one ``Message``
a line. Times are RFC 3339 UTC, sizes bytes, digests ``sha256:`` and 64 hex digits.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.protocol import WarningView


class EnvironmentSelector(msgspec.Struct, kw_only=True, omit_defaults=True):
    """WHAT to run in. At most one of ``file``, ``environment``, ``image`` and ``document``; none: search upwards from
    ``cwd``."""

    cwd: str
    """Absolute working folder of the client."""
    file: str | None = None
    """``-f``: absolute, or relative to ``cwd``."""
    text: str | None = None
    """The definition's text, where it is not what ``file`` holds on disk (an editor's buffer, standard input)."""
    environment: str | None = None
    """``-e``: ``NAME``, ``NAME:VERSION`` or ``NAME@LABEL``."""
    image: str | None = None
    run: str | None = None
    """A run's id: what it used. To build just that, ``lock`` and ``generation`` are the run's own."""
    document: dict[str, object] | None = None
    """A definition in the shape of ``roost.toml``, in the place of a file; local things lie relative to ``cwd``."""
    command: list[str] = []
    """The command that will run, for a script that carries PEP 723 metadata."""
    generation: int | None = None
    lock: str | None = None
    generation_of: str | None = None
    """A run's id: in the very generation that it recorded, where plans, builds and runs of ``environment`` are for the
    same platform; on another, which counts its own generations, in the current one."""
    ignore_image: bool = False
    environ: dict[str, str] = {}
    """Values for ``${VAR}`` in the definition; never kept. Asked for by an error of code ``variable-missing`` whose
    ``fields["variables"]`` lists the names."""


class PlanRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: EnvironmentSelector
    targets: list[str] = msgspec.field(default_factory=lambda: ["auto"])
    solve: bool = False


class DigestRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: EnvironmentSelector


class LockRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: EnvironmentSelector
    platform: str | None = None
    format: Literal["conda-lock", "pixi", "explicit"] = "conda-lock"


class Reason(msgspec.Struct, kw_only=True):
    code: str
    message: str


class Step(msgspec.Struct, kw_only=True):
    kind: str
    seconds: float | None = None
    bytes: int | None = None


class Difference(msgspec.Struct, kw_only=True):
    field: str
    before: object = None
    after: object = None


class Nearest(msgspec.Struct, kw_only=True):
    definition_digest: str
    differences: list[Difference]
    name: str | None = None
    source: str | None = None


Action = Literal["use-interpreter", "reuse-prefix", "reuse-image", "pull-image", "build-prefix", "build-image"]


class ArtifactView(msgspec.Struct, kw_only=True):
    kind: Literal["prefix", "image"]
    id: str
    path: str | None = None
    reference: str | None = None
    digest: str | None = None
    manifest_digest: str | None = None
    bytes: int | None = None


class PlanView(msgspec.Struct, kw_only=True):
    target: str
    platform: str
    action: Action
    artifact: ArtifactView | None
    reasons: list[Reason]
    steps: list[Step]
    nearest: Nearest | None = None


class SourceView(msgspec.Struct, kw_only=True):
    """Which definition was chosen."""

    path: str | None
    format: str
    name: str | None = None


class PlanResponse(msgspec.Struct, kw_only=True):
    definition_digest: str
    lock_digest: str | None
    plans: list[PlanView]
    source: SourceView
    warnings: list[WarningView] = []
