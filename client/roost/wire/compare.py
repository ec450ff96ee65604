"""Comparison and rollback: diffs, changes that a fresh solve would make, return to an earlier generation."""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.builds import Message
from roost.wire.environments import GenerationView
from roost.wire.plans import Difference, EnvironmentSelector, GenerationNumber, Reason
from roost.wire.protocol import WarningView

Side = str | EnvironmentSelector
"""A text as users write it (``NAME[:VERSION|@LABEL]``, a path, the id of a run), or an ``EnvironmentSelector``."""
PackageChangeKind = Literal["added", "removed", "up", "down", "rebuilt"]


class DiffRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Compare two sides.

    Without ``before``, ``after`` is compared with its origin: a version with the previous one, a file with the latest
    version of its environment. A run alone, as ``after``, is compared with its environment as it is now. Without both
    sides, ``after`` is the nearest environment file.
    """

    cwd: str
    """Absolute working folder of the client."""
    before: Side | None = None
    after: Side | None = None
    platform: str | None = None
    """Platform of the locks; ``None``: this machine's, or the only one with a lock."""


class SideView(msgspec.Struct, kw_only=True):
    """A side of a comparison, resolved."""

    kind: Literal["version", "file", "run", "document"]
    title: str
    """Text for users: ``train:2``, ``./environment.yml``, ``run r20260102-…``."""
    definition_digest: str
    settings_digest: str
    name: str | None = None
    version: int | None = None
    path: str | None = None
    run: str | None = None
    platform: str | None = None
    """Platform of the lock."""
    generation: int | None = None
    lock_digest: str | None = None
    lock_missing: str | None = None
    """Why there is no lock to compare."""


class PackageState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A package in one of two locks."""

    version: str
    build: str = ""
    file_name: str = ""
    sha256: str = ""
    size: int | None = None
    """Bytes to download, if known."""
    place: str | None = None
    """Folder of an editable install."""


class PackageChangeView(msgspec.Struct, kw_only=True):
    """A package that differs; ``rebuilt``: the same version from another file."""

    kind: Literal["conda", "pip", "jar", "r"]
    name: str
    change: PackageChangeKind
    before: PackageState | None
    after: PackageState | None


class LockDiff(msgspec.Struct, kw_only=True):
    """Differences between two locks."""

    platform: str
    packages: list[PackageChangeView]
    unchanged: int
    """Number of packages that are the same."""
    bytes: int | None
    """Bytes to download for a machine that has the first lock's packages; ``None``: not all sizes are known."""
    provider: Difference | None = None
    """Change of the provider of Python: ``conda``, or a Python of the machine: implementation, X.Y and threading (of
    locks of format 1: version and path)."""


class DiffResponse(msgspec.Struct, kw_only=True):
    """``lock`` is ``None`` if a side has no lock; its ``lock_missing`` has the reason."""

    before: SideView
    after: SideView
    differ: bool
    definition: list[Difference]
    settings: list[Difference]
    lock: LockDiff | None
    runs: list[Difference] = []
    """If both sides are runs: in what these differ apart from their environments. ``differ`` is without these."""
    warnings: list[WarningView] = []


class OutdatedRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Find out what a fresh solve would change. Nothing is built and nothing is stored."""

    what: EnvironmentSelector
    target: str = "auto"


class OutdatedView(msgspec.Struct, kw_only=True):
    """The current generation, compared with a solve of now."""

    definition_digest: str
    platform: str
    generation: int
    lock_digest: str
    """Digest of the current generation's lock."""
    solved_digest: str
    """Digest of the lock of the fresh solve, which is not stored."""
    outdated: bool
    lock: LockDiff
    environments: list[str]
    """``NAME:VERSION`` of each environment that a rebuild would move."""
    reasons: list[Reason] = []
    """Locks in registries: another machine's lock (``lock-elsewhere``), or ``registry-unknown``."""


class OutdatedMessage(Message, kw_only=True, omit_defaults=True):
    """One line of the stream; the last line has ``outdated`` (event ``result``) or ``error``."""

    outdated: OutdatedView | None = None


class RollbackRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Make another generation the current one: number ``to``, or the one before the current one."""

    what: EnvironmentSelector
    to: GenerationNumber | None = None
    platform: str | None = None
    """Platform of the generations, if there are several; ``linux-64+host`` for those that are for this machine only."""


class RollbackResponse(msgspec.Struct, kw_only=True):
    """The generation that was current, and the one that is now."""

    definition_digest: str
    platform: str
    before: GenerationView
    after: GenerationView
    environments: list[str]
    """``NAME:VERSION`` of each environment that moved: all versions with this definition."""
    ready: bool | None
    """Whether the prefix of the new generation exists; otherwise it is built from its lock when it is used. ``None``:
    the generation is of images, which engines hold."""
    lock: LockDiff | None
