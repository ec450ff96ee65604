"""What goes over the socket for comparing and for going back: diffs, what a fresh solve would change, rollbacks.

As ``roost.wire.plans``, whose types it is made of.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.builds import Message
from roost.wire.environments import GenerationView
from roost.wire.plans import Difference, EnvironmentSelector, Reason
from roost.wire.protocol import WarningView

Side = str | EnvironmentSelector
"""A text as people write it (``NAME[:VERSION|@LABEL]``, a path, the id of a run), or a ``EnvironmentSelector``."""
PackageChangeKind = Literal["added", "removed", "up", "down", "rebuilt"]


class DiffRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Two sides. Without ``before``: what ``after`` came from (a version: the one before it; a file: the latest version
    of its environment). A run alone, as ``after``, is compared with its environment as it is now. Without both: the
    nearest environment file, as ``after``."""

    cwd: str
    """Absolute working folder of the client."""
    before: Side | None = None
    after: Side | None = None
    platform: str | None = None
    """Of the locks; ``None``: this machine's, or the one that there is."""


class SideView(msgspec.Struct, kw_only=True):
    """What a side turned out to be."""

    kind: Literal["version", "file", "run", "document"]
    title: str
    """For people: ``train:2``, ``./environment.yml``, ``run r20260102-…``."""
    definition_digest: str
    settings_digest: str
    name: str | None = None
    version: int | None = None
    path: str | None = None
    run: str | None = None
    platform: str | None = None
    """Of its lock."""
    generation: int | None = None
    lock_digest: str | None = None
    lock_missing: str | None = None
    """Why it has no lock to compare."""


class PackageState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A package in one of two locks."""

    version: str
    build: str = ""
    file_name: str = ""
    sha256: str = ""
    size: int | None = None
    """Bytes to fetch, where that is known."""
    place: str | None = None
    """Of an editable install: the folder."""


class PackageChangeView(msgspec.Struct, kw_only=True):
    """A package that differs; ``rebuilt``: the same version, made of something else."""

    kind: Literal["conda", "pip"]
    name: str
    change: PackageChangeKind
    before: PackageState | None
    after: PackageState | None


class LockDiff(msgspec.Struct, kw_only=True):
    """What differs between two locks."""

    platform: str
    packages: list[PackageChangeView]
    unchanged: int
    """How many packages are the same."""
    bytes: int | None
    """To fetch, for one who has the first and wants the second; ``None``: not all sizes are known."""
    provider: Difference | None = None
    """Who provides Python: ``conda``, or version and path of this machine's."""


class DiffResponse(msgspec.Struct, kw_only=True):
    """``lock`` is ``None`` where a side has none (its ``lock_missing`` says why)."""

    before: SideView
    after: SideView
    differ: bool
    definition: list[Difference]
    settings: list[Difference]
    lock: LockDiff | None
    warnings: list[WarningView] = []


class OutdatedRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What would a fresh solve of ``what`` change? Nothing is built and nothing is kept."""

    what: EnvironmentSelector
    target: str = "auto"


class OutdatedView(msgspec.Struct, kw_only=True):
    """The current generation against what a solve of now would choose."""

    definition_digest: str
    platform: str
    generation: int
    lock_digest: str
    """Of the current generation."""
    solved_digest: str
    """Of the lock that was solved for, and is kept nowhere."""
    outdated: bool
    lock: LockDiff
    environments: list[str]
    """``NAME:VERSION`` of each that a rebuild would move."""
    reasons: list[Reason] = []
    """What registries have for it: another machine's lock (``lock-elsewhere``), or ``registry-unknown``."""


class OutdatedMessage(Message, kw_only=True, omit_defaults=True):
    """One line of the stream; the last has ``outdated`` (event ``result``) or ``error``."""

    outdated: OutdatedView | None = None


class RollbackRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Make another generation of ``what`` the current one: number ``to``, or the one before the current one."""

    what: EnvironmentSelector
    to: int | None = None
    platform: str | None = None
    """Which generations, where there are several platforms; ``linux-64+host`` for those of this machine alone."""


class RollbackResponse(msgspec.Struct, kw_only=True):
    """What was current and what is now."""

    definition_digest: str
    platform: str
    before: GenerationView
    after: GenerationView
    environments: list[str]
    """``NAME:VERSION`` of each that moved: all that have this definition."""
    ready: bool | None
    """Whether the prefix of the new one is here; else it is built from its lock when it is used. ``None``: it is one of
    images, which engines have."""
    lock: LockDiff | None
