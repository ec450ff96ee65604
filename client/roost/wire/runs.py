"""What goes over the socket: HTTP/1.1 with JSON, described once, for the daemon and for the client's slow paths.

The hot path (``roost exec`` of a known environment) does not import this module. Streams are NDJSON, one ``Message``
a line. Times are RFC 3339 UTC, sizes bytes, digests ``sha256:`` and 64 hex digits.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import msgspec

from roost.wire.environments import ChangeView
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import ErrorBody, WarningView


class ExecRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: EnvironmentSelector
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
    what: EnvironmentSelector
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
