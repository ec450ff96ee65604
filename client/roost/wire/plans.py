"""Selection of an environment, and plans: what a target would do to make it ready."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from roost.wire.protocol import WarningView

GenerationNumber = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of a generation: they are counted from 1, and a number that none has is reported as unknown."""


class EnvironmentSelector(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Selection of the environment to run in.

    At most one of ``file``, ``environment``, ``image`` and ``document``; with none of them, the nearest environment
    file in ``cwd`` or above it is used.
    """

    cwd: str
    """Absolute working folder of the client."""
    file: str | None = None
    """``-f``: absolute, or relative to ``cwd``."""
    text: str | None = None
    """The definition's text, if it is not the content of ``file`` on disk (an editor's buffer, standard input)."""
    environment: str | None = None
    """``-e``: ``NAME``, ``NAME:VERSION`` or ``NAME@LABEL``."""
    image: str | None = None
    """``--image``: the reference of a container image that has its own Python."""
    run: str | None = None
    """A run's id: the environment that it used. To build exactly that, send its ``lock`` and ``generation`` too."""
    document: dict[str, object] | None = None
    """A definition in the shape of ``roost.toml``, in place of a file; local paths are relative to ``cwd``."""
    command: list[str] = []
    """The command that will run, for a script that carries PEP 723 metadata."""
    generation: GenerationNumber | None = None
    """Number of a generation, in place of the current one."""
    lock: str | None = None
    """Digest of a lock."""
    generation_of: str | None = None
    """A run's id: plans, builds and runs of ``environment`` use the generation that the run recorded, if they are for
    the same platform; on another platform, which numbers its own generations, the current one."""
    ignore_image: bool = False
    python: str | None = None
    """``--python``: the version of Python, as X.Y or X.Y.Z, in place of the one that the definition asks for."""
    extras: list[str] = []
    """``--extra``: extras of the project, of a format that has them."""
    groups: list[str] = []
    """``--group``: dependency groups, beyond those that are selected by default."""
    additions: list[str] = []
    """``--with``: packages that are added to the definition, as conda specs if it has conda dependencies, else as pip
    requirements; ``conda:`` and ``pip:`` before one decide."""
    no_project: bool = False
    """``--no-project``: the dependencies without the project itself."""
    locked: bool = False
    """``--locked``: fail if the lock file beside the definition does not fit it."""
    environ: dict[str, str] = {}
    """Values for ``${VAR}`` in the definition; never stored. An error of code ``variable-missing`` requests them: its
    ``fields["variables"]`` lists the names."""


class PlanRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Plan for each target, without building. ``solve``: solve if there is no lock; that lock is not stored."""

    what: EnvironmentSelector
    targets: list[str] = msgspec.field(default_factory=lambda: ["auto"])
    solve: bool = False


class DigestRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Return the definition's digest and its canonical form."""

    what: EnvironmentSelector


class LockRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Return the lock of a definition on a platform, in another tool's format."""

    what: EnvironmentSelector
    platform: str | None = None
    format: Literal["conda-lock", "pixi", "explicit"] = "conda-lock"


class Reason(msgspec.Struct, kw_only=True):
    """Why a plan has its action."""

    code: str
    message: str


class Step(msgspec.Struct, kw_only=True):
    """A step of a plan, with what it has to do and how long that is expected to take; ``None`` if that is not known,
    such as before the packages are chosen."""

    kind: str
    seconds: float | None = None
    bytes: int | None = None
    """What a download transfers: packages that are in no cache of this machine. Of a pull: all of the image."""
    files: int | None = None
    """Files that have to be compiled, about."""
    packages: int | None = None


class Difference(msgspec.Struct, kw_only=True):
    """A field with different values in two definitions or settings."""

    field: str
    before: object = None
    after: object = None


class Nearest(msgspec.Struct, kw_only=True):
    """The most similar definition that is known, with its differences."""

    definition_digest: str
    differences: list[Difference]
    name: str | None = None
    source: str | None = None


Action = Literal["use-interpreter", "reuse-prefix", "reuse-image", "pull-image", "build-prefix", "build-image"]


class ArtifactView(msgspec.Struct, kw_only=True):
    """A prefix or an image."""

    kind: Literal["prefix", "image"]
    id: str
    path: str | None = None
    reference: str | None = None
    digest: str | None = None
    manifest_digest: str | None = None
    bytes: int | None = None


class PackageMoveView(msgspec.Struct, kw_only=True):
    """A package that differs from the lock that the definition had before it was edited."""

    name: str
    kind: Literal["conda", "pip", "jar", "r", "python"]
    """``python``: the Python of a machine."""
    change: Literal["added", "removed", "moved"]
    asked: bool
    """Whether the definition now says something else of this package; otherwise the change came with others."""
    before: str | None = None
    after: str | None = None
    was: Literal["conda", "pip", "jar", "r"] | None = None
    """The former kind, if that is another one."""
    needed_by: str | None = None
    text: str = ""
    """One line for people: ``~ numpy 1.26.4 -> 2.1.0 (torch 2.4 needs >=2)``."""


class PlanView(msgspec.Struct, kw_only=True):
    """What one target would do, and why."""

    target: str
    platform: str
    action: Action
    artifact: ArtifactView | None
    reasons: list[Reason]
    steps: list[Step]
    nearest: Nearest | None = None
    seconds: float | None = None
    """How long all steps together are expected to take, which is not their sum; ``None`` if that is not known."""
    changes: list[PackageMoveView] = []
    """If a lock was solved for: what differs from the lock before the definition was edited."""


class SourceView(msgspec.Struct, kw_only=True):
    """The source of the definition that was chosen."""

    path: str | None
    format: str
    name: str | None = None


class PlanResponse(msgspec.Struct, kw_only=True):
    """Plans, in the order of the requested targets."""

    definition_digest: str
    lock_digest: str | None
    plans: list[PlanView]
    source: SourceView
    warnings: list[WarningView] = []
