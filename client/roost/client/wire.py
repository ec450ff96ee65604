"""What goes over the socket: HTTP/1.1 with JSON, described once, for the daemon and for the client's slow paths.

The hot path (``roost exec`` of a known environment) does not import this module. Streams are NDJSON, one ``Message``
a line. Times are RFC 3339 UTC, sizes bytes, digests ``sha256:`` and 64 hex digits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal

import msgspec

PROTOCOL = 1


class What(msgspec.Struct, kw_only=True, omit_defaults=True):
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
    what: What
    targets: list[str] = msgspec.field(default_factory=lambda: ["auto"])
    solve: bool = False


class DigestRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: What


class LockRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: What
    platform: str | None = None
    format: Literal["conda-lock", "pixi", "explicit"] = "conda-lock"


class BuildRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: What
    target: str = "auto"
    rebuild: bool = False
    as_of: str | None = None
    """RFC 3339 date or time; implies a new generation."""
    detach: bool = False
    push: bool = False
    """An image for the workspace's registry, whether or not there is an engine."""


class ExecRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: What
    target: str = "local"


class Terminal(msgspec.Struct, kw_only=True):
    """The client's terminal: ``TERM``, and its size in characters."""

    kind: str
    rows: int
    columns: int


class Frame(IntEnum):
    """Kinds of the frames of ``POST /v1/runs/{id}/attach``: one byte of kind, three zeros, four of length, data."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STDIN_END = 16
    RESIZE = 17
    """``ROWS COLUMNS``."""
    SIGNAL = 18
    """``SIGTERM`` and the like."""
    EXIT = 19
    """The command's exit status; the last frame."""
    ERROR = 20
    """An ``ErrorBody``; the last frame."""
    STDIN_TAKEN = 21
    """The engine took one frame of STDIN."""


class ContainerOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the container of one run starts, over what its environment says; what is not said is as it says."""

    shm_size: str | None = None
    """Such as ``2g``."""
    arguments: tuple[str, ...] = ()


class RunRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: What
    command: list[str]
    target: str = "auto"
    variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    """Name to value; the value is handed to the process of a detached run or to the container, and kept nowhere."""
    experiment: str | None = None
    detach: bool = False
    environ_of_client: dict[str, str] = {}
    """The client's own variables, for a detached run only; never kept."""
    terminal: Terminal | None = None
    """Of a client that runs at one, for a container; ``None``: output and errors stay apart."""
    container: ContainerOptions = ContainerOptions()


class RunUpdate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the supervisor of a run tells: that it started, or how it ended."""

    state: Literal["running", "succeeded", "failed", "cancelled"]
    pid: int | None = None
    exit_status: int | None = None


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


class WarningView(msgspec.Struct, kw_only=True):
    code: str
    message: str
    location: LocationView | None = None


class LocationView(msgspec.Struct, kw_only=True):
    path: str
    line: int | None = None
    column: int | None = None


class PlanResponse(msgspec.Struct, kw_only=True):
    definition_digest: str
    lock_digest: str | None
    plans: list[PlanView]
    source: SourceView
    warnings: list[WarningView] = []


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


class ErrorBody(msgspec.Struct, kw_only=True):
    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    fields: dict[str, object] = {}
    location: LocationView | None = None
    exit_status: int = 1


class ChangeView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One change to an environment variable."""

    name: str
    action: Literal["set", "unset", "prepend", "append"]
    value: str = ""
    separator: str = ":"


class Launch(msgspec.Struct, kw_only=True):
    """All that is needed to start a command in a prefix."""

    prefix: str
    lease: str | None
    """File to hold a shared ``flock`` on; it must still exist once the lock is held, else ask again."""
    changes: list[ChangeView]
    variables: dict[str, str]
    """The settings' variables; applied after ``changes``, before ``--var``."""
    definition_digest: str
    lock_digest: str | None
    generation: int | None
    artifact: str | None
    python: str | None = None
    """Absolute path of the interpreter: what ``python`` means in a command."""


class ExecResponse(msgspec.Struct, kw_only=True):
    """``launch`` is ``None`` (status 202) where something must be built first: ``POST /v1/builds``, then ask again."""

    launch: Launch | None
    source: SourceView
    warnings: list[WarningView] = []


class RunView(msgspec.Struct, kw_only=True):
    id: str
    state: Literal["queued", "preparing", "running", "succeeded", "failed", "cancelled", "lost"]
    exit_status: int | None
    target: str
    command: list[str]
    environment: dict[str, object]
    definition_digest: str
    lock_digest: str | None
    generation: int | None
    artifact: str | None
    snapshot_digest: str | None
    started: str | None
    ended: str | None
    cwd: str = ""
    variables: dict[str, str] = {}
    secrets: list[str] = []
    experiment: str | None = None
    rerun_of: str | None = None
    """The run that this one repeats."""
    detached: bool = False
    created: str = ""
    interpreter: dict[str, object] | None = None
    error: ErrorBody | None = None


class RunResponse(msgspec.Struct, kw_only=True):
    """``launch`` is ``None`` for detached runs (the daemon starts those) and where something must be built first."""

    run: RunView | None
    launch: Launch | None
    folder: str | None
    """Where the supervisor locks ``lock`` and writes ``exit``."""
    source: SourceView
    warnings: list[WarningView] = []
    attach: bool = False
    """The run is in a container: ``POST /v1/runs/{id}/attach`` starts it."""


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


class RegisterRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Make ``what`` the next version of an environment."""

    what: What
    name: str | None = None
    """``None``: as the file says, or as its folder is called."""
    labels: list[str] = []
    origin: str | None = None
    """``NAME:VERSION`` that it was made from."""


class GenerationView(msgspec.Struct, kw_only=True):
    """One result of a definition on one platform; ``as_of`` and ``created`` are moments (RFC 3339)."""

    number: int
    lock_digest: str
    platform: str
    created: str
    current: bool
    as_of: str | None = None
    base_digest: str | None = None
    host: bool = False
    """It is on a Python of this machine, or has a folder of it, and stays here."""


class EnvironmentView(msgspec.Struct, kw_only=True):
    """One version of an environment, whole."""

    name: str
    version: int
    labels: list[str]
    kind: Literal["system-managed", "user-managed", "curated"]
    definition_digest: str
    definition: dict[str, object]
    """The sections of ``roost.toml`` that affect a build; with ``settings`` a document for ``What``."""
    settings: dict[str, object]
    settings_digest: str
    created: str
    archived: bool
    generations: list[GenerationView]
    origin: str | None = None
    """``NAME:VERSION`` that it was cloned or edited from, where it was imported from, or of a curated one the registry
    that it is from, or ``roost``."""
    differences: list[Difference] | None = None
    """From the version that ``origin`` names, in definition and settings; ``None`` where it names none."""


class RegisterResponse(msgspec.Struct, kw_only=True):
    """``created`` is false where the same definition and settings are a version of that name already."""

    environment: EnvironmentView
    created: bool
    warnings: list[WarningView] = []


class EnvironmentSummary(msgspec.Struct, kw_only=True):
    """One version in a list."""

    name: str
    version: int
    labels: list[str]
    kind: Literal["system-managed", "user-managed", "curated"]
    definition_digest: str
    settings_digest: str
    created: str
    archived: bool
    versions: int | None = None
    """How many versions its environment has, in a list of environments."""
    origin: str | None = None
    """As of ``EnvironmentView``."""
    changes: list[Difference] | None = None
    """In a list of versions: what it changed in the one before it; ``None`` for the first."""


class EnvironmentsResponse(msgspec.Struct, kw_only=True):
    """By name, each with its latest version."""

    environments: list[EnvironmentSummary]
    next: str | None = None
    """Ask for those ``after`` this name; ``None``: there are no more."""


class VersionsResponse(msgspec.Struct, kw_only=True):
    """The newest first."""

    versions: list[EnvironmentSummary]
    next: int | None = None
    """Ask for those ``before`` this version; ``None``: there are no more."""


VersionNumber = Annotated[int, msgspec.Meta(ge=1, lt=10**18)]


class LabelRequest(msgspec.Struct, kw_only=True):
    """The version that the label goes to, wherever it is now."""

    version: VersionNumber


class LabelsRequest(LabelRequest, kw_only=True):
    """As ``LabelRequest``, for several at once."""

    labels: list[str]


class ArchiveRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What to hide, or to bring back."""

    version: VersionNumber | None = None
    """``None``: the whole environment."""


class DocumentResponse(msgspec.Struct, kw_only=True):
    """A version as the text of a ``roost.toml``."""

    name: str
    version: int
    text: str
