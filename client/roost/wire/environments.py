"""What goes over the socket: HTTP/1.1 with JSON, described once, for the daemon and for the client's slow paths.

The hot path (``roost exec`` of a known environment) does not import this module. Streams are NDJSON, one ``Message``
a line. Times are RFC 3339 UTC, sizes bytes, digests ``sha256:`` and 64 hex digits.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from roost.wire.plans import Difference, EnvironmentSelector
from roost.wire.protocol import WarningView


class ChangeView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One change to an environment variable."""

    name: str
    action: Literal["set", "unset", "prepend", "append"]
    value: str = ""
    separator: str = ":"


class RegisterRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Make ``what`` the next version of an environment."""

    what: EnvironmentSelector
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
    """The sections of ``roost.toml`` that affect a build; with ``settings`` a document for ``EnvironmentSelector``."""
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
