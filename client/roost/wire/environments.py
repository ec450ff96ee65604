"""Registered environments: versions, labels, generations, archiving."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from roost.wire.plans import Difference, EnvironmentSelector
from roost.wire.protocol import WarningView

VersionNumber = Annotated[int, msgspec.Meta(ge=1, lt=10**18)]


class ChangeView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One change to an environment variable."""

    name: str
    action: Literal["set", "unset", "prepend", "append"]
    value: str = ""
    separator: str = ":"


class RegisterRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Register ``what`` as the next version of an environment."""

    what: EnvironmentSelector
    name: str | None = None
    """``None``: the name in the file, or the name of its folder."""
    labels: list[str] = []
    origin: str | None = None
    """``NAME:VERSION`` that it was cloned or edited from."""
    version: VersionNumber | None = None
    """The number that it must get; ``None``: that of a version with the same content, else the next one. An error of
    code ``version-taken`` says that another content has it."""


class GenerationView(msgspec.Struct, kw_only=True):
    """One lock of a definition on one platform; ``as_of`` and ``created`` are times (RFC 3339)."""

    number: int
    lock_digest: str
    platform: str
    created: str
    current: bool
    as_of: str | None = None
    base_digest: str | None = None
    host: bool = False
    """It uses a Python or a folder of this machine, and can't be used on another one."""


class EnvironmentView(msgspec.Struct, kw_only=True):
    """One version of an environment, with its definition and settings."""

    name: str
    version: int
    labels: list[str]
    kind: Literal["system-managed", "user-managed", "curated"]
    definition_digest: str
    definition: dict[str, object]
    """The sections of ``roost.toml`` that affect a build; with ``settings`` a document for ``EnvironmentSelector``."""
    settings: dict[str, object]
    settings_digest: str
    created: str
    archived: bool
    generations: list[GenerationView]
    origin: str | None = None
    """``NAME:VERSION`` that it was cloned or edited from, the path that it was imported from, or for a curated
    environment its registry, or ``roost``."""
    differences: list[Difference] | None = None
    """Differences in definition and settings from the version that ``origin`` names; ``None`` if it names none."""


class RegisterResponse(msgspec.Struct, kw_only=True):
    """``created`` is false if a version of that name already has the same definition and settings."""

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
    """Number of versions of its environment, in a list of environments."""
    origin: str | None = None
    """As in ``EnvironmentView``."""
    changes: list[Difference] | None = None
    """In a list of versions: differences from the previous version; ``None`` for the first."""


class EnvironmentsResponse(msgspec.Struct, kw_only=True):
    """Environments by name, each with its latest version."""

    environments: list[EnvironmentSummary]
    next: str | None = None
    """Request the next page with ``after`` set to this name; ``None``: this is the last page."""


class VersionsResponse(msgspec.Struct, kw_only=True):
    """Versions, the newest first."""

    versions: list[EnvironmentSummary]
    next: int | None = None
    """Request the next page with ``before`` set to this version; ``None``: this is the last page."""


class LabelRequest(msgspec.Struct, kw_only=True):
    """Set a label on a version, or move it there from another version."""

    version: VersionNumber


class LabelsRequest(LabelRequest, kw_only=True):
    """As ``LabelRequest``, for several labels at once."""

    labels: list[str]


class ArchiveRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Archive or restore an environment, or one version."""

    version: VersionNumber | None = None
    """``None``: the whole environment."""


class RemainingArtifact(msgspec.Struct, kw_only=True):
    """A prefix or an image of a removed version: it stays until its space is needed."""

    kind: Literal["prefix", "image"]
    id: str
    path: str
    """Of a prefix; of an image its reference."""
    bytes: int
    """Without what it shares with the caches."""
    protected_by: list[str]
    """``pin`` and ``lease:<id>``: why it is not collected."""


class EnvironmentRemoval(msgspec.Struct, kw_only=True):
    """What was removed of an environment, and what stays."""

    name: str
    versions: list[int]
    """Their numbers are given to no other content."""
    labels: list[str]
    runs: int
    """Number of runs that name one of them; they can be repeated as before."""
    latest: int | None
    """The latest version that is left."""
    artifacts: list[RemainingArtifact]
    same_as: list[str]
    """``NAME:VERSION`` of other versions with the same definitions."""
    watched: list[str] = []
    """Watched files with the same definitions: they stay watched, and a run registers a version in the environment
    of the file, unless that has one."""


class DocumentResponse(msgspec.Struct, kw_only=True):
    """A version as the text of a ``roost.toml``."""

    name: str
    version: int
    text: str
