"""Runs: starting a command in a prefix or a container, its state, and the frames of an attached container."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from roost.wire.environments import ChangeView
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import ErrorBody, WarningView


class ExecRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Request the launch of an environment, without recording a run."""

    what: EnvironmentSelector
    target: str = "local"
    command: list[str] = []
    """What a container runs; by default the words of ``what``. A prefix is only prepared for what the client starts."""
    terminal: Terminal | None = None
    """The client's terminal, for a container."""


class Terminal(msgspec.Struct, kw_only=True):
    """The client's terminal: ``TERM``, and its size in characters."""

    kind: str
    rows: Annotated[int, Meta(ge=0, lt=2**16)]
    columns: Annotated[int, Meta(ge=0, lt=2**16)]


class Frame(IntEnum):
    """Kinds of the frames of ``POST /v1/runs/{id}/attach``.

    A frame is one byte with its kind, three zero bytes, four bytes with the length, and the data.
    """

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STDIN_END = 16
    RESIZE = 17
    """``ROWS COLUMNS``."""
    SIGNAL = 18
    """Name of a signal, such as ``SIGTERM``."""
    EXIT = 19
    """The command's exit status; the last frame."""
    ERROR = 20
    """An ``ErrorBody``; the last frame."""
    STDIN_TAKEN = 21
    """The engine took one frame of STDIN."""


class ContainerOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Options of the container of one run. Each overrides that of the environment; a missing one leaves it."""

    shm_size: str | None = None
    """Size of ``/dev/shm``, such as ``2g``."""
    arguments: tuple[str, ...] = ()


class RunRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Record a run and start it, or let the client start it."""

    what: EnvironmentSelector
    command: list[str]
    target: str = "auto"
    variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    """Name to value. A value is passed to the process of a detached run or to the container, and not stored."""
    word_values: dict[str, str] = {}
    """Variables of the client whose values are in words of the command. They are recorded as ``${NAME}``."""
    experiment: str | None = None
    tags: list[str] = []
    detach: bool = False
    keep_output: bool = False
    """The client stores the output in the run's folder, as ``wire.run_output`` says."""
    environ_of_client: dict[str, str] = {}
    """The client's own variables, for a detached run only; never stored."""
    python_path: str | None = None
    """The client's ``PYTHONPATH``, which a command in a prefix gets; stored with the run."""
    terminal: Terminal | None = None
    """The client's terminal, for a container; ``None``: standard output and standard error stay separate."""
    container: ContainerOptions = ContainerOptions()


class RunsQuery(msgspec.Struct, kw_only=True):
    """The latest ``limit`` runs to which all that is given applies, or the latest of them before the run ``before``."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: str | None = None
    """Id of a run, its beginning, or ``latest``."""
    env: str | None = None
    """``NAME`` or ``NAME:VERSION``."""
    experiment: str | None = None
    state: str | None = None
    """One of these states, with commas between them."""
    since: str | None = None
    """An age such as ``3d`` or ``2h``, a date, or a time (RFC 3339)."""
    command: str | None = None
    """A part of the command."""
    target: str | None = None
    cwd: str | None = None
    """Started in this folder or below it: an absolute path."""
    tag: str | None = None
    """All of these tags, with commas between them."""


class RunAnnotation(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Change the note and the tags of a run."""

    note: str | None = None
    """Empty: without a note from now on. ``None``: as it is."""
    add_tags: list[str] = []
    remove_tags: list[str] = []


class CodeView(msgspec.Struct, kw_only=True):
    """The git repository that a run was started in, as far as it could be found out."""

    root: str
    """Folder of the working tree."""
    commit: str | None
    branch: str | None
    dirty: bool | None
    """Whether the tree differed from the commit, or had files that git neither tracks nor ignores; ``null``:
    unknown."""
    changed: int | None
    untracked: int | None
    delay: float | None
    """Seconds from the record of the run, before its command began, until the state of the tree was known."""
    reason: str | None
    """Why something of this is unknown."""


class RunUpdate(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Report of a run's supervisor: the command has started, or how it ended."""

    state: Literal["running", "succeeded", "failed", "cancelled"]
    pid: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    """The process that supervises the command: the client itself, or one that it has started."""
    exit_status: Annotated[int, Meta(ge=0, le=255)] | None = None
    started: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.0-9]*Z$")] | None = (
        None
    )
    """When the command was started, by the supervisor's clock: the end is by that too."""


class Launch(msgspec.Struct, kw_only=True):
    """Everything that is needed to start a command in a prefix."""

    prefix: str
    lease: str | None
    """File to hold open, with a shared ``flock`` on it. If it no longer exists once the lock is held, request the
    launch again."""
    changes: list[ChangeView]
    hook_variables: list[str] = []
    """Variables to clear before ``changes`` if their value names a path in the caller's ``CONDA_PREFIX``."""
    variables: dict[str, str]
    """The settings' variables; applied after ``changes``, before ``--var``."""
    definition_digest: str
    lock_digest: str | None
    generation: int | None
    artifact: str | None
    python: str | None = None
    """Absolute path of the interpreter that ``python`` in a command stands for."""


class ExecResponse(msgspec.Struct, kw_only=True):
    """If both ``launch`` and ``attach`` are ``None`` (status 202), a build must come first: ``POST /v1/builds``, then
    request it again."""

    launch: Launch | None
    source: SourceView
    attach: str | None = None
    """For a container: the id with which ``POST /v1/runs/{id}/attach`` starts the command. It is no run."""
    warnings: list[WarningView] = []


class RunView(msgspec.Struct, kw_only=True):
    """A recorded run."""

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
    word_variables: list[str] = []
    """Variables that stand in ``command`` as ``${NAME}``, in place of their values; a rerun needs them."""
    python_path: str | None = None
    """The caller's ``PYTHONPATH``, which the command got; ``null`` in a container."""
    experiment: str | None = None
    rerun_of: str | None = None
    """Id of the run that this run repeats."""
    options: dict[str, object] = {}
    """What the request chose of the definition and added to it: ``python``, ``extras``, ``groups``, ``with``; and
    ``no_project`` if it wanted its project left out."""
    project: dict[str, object] | None = None
    """The project that was installed on top of its dependencies: its ``name``, ``version`` (empty if only its backend
    knows it), ``folder``, and ``digest`` of its build files."""
    detached: bool = False
    created: str = ""
    interpreter: dict[str, object] | None = None
    error: ErrorBody | None = None
    host: str = ""
    """Name of the machine."""
    git: CodeView | None = None
    """``null``: it was started outside of a git repository, or that is not known."""
    note: str | None = None
    tags: list[str] = []
    output_kept: bool = False
    """Whether the output is stored, as that of every detached run is."""


class RunResponse(msgspec.Struct, kw_only=True):
    """``launch`` is ``None`` for detached runs, which the daemon starts, and if a build must come first."""

    run: RunView | None
    launch: Launch | None
    folder: str | None
    """Folder in which the supervisor locks ``lock`` and writes ``exit``."""
    source: SourceView
    warnings: list[WarningView] = []
    command: list[str] | None = None
    """The words of a rerun, if the record has ``${NAME}`` in place of values."""
    attach: bool = False
    """Whether the run is in a container, which ``POST /v1/runs/{id}/attach`` starts."""
    output_bytes: int = 0
    """The bound of the output that the client stores, if it does so (``keep_output``)."""
    watched: bool = False
    """Whether the daemon watches the client's process: it learns from the folder that the command has started, and from
    the end of the process that it has ended. Otherwise the client reports both."""
