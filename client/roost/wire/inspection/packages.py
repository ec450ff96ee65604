"""The packages of an environment's lock, who needs whom, and why one of them is there."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import LocationView, WarningView

LockedKind = Literal["conda", "pip", "jar", "r"]
NeededKind = Literal["conda", "pip", "jar", "r", "virtual", "missing"]
"""``virtual``: a property of the machine, such as ``__glibc``. ``missing``: not in the lock."""


class PackagesRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The packages that are locked for ``what`` on a target. Nothing is locked or built for it."""

    what: EnvironmentSelector
    target: str = "auto"
    needs: bool = False
    """With what each package needs, for which the metadata of wheels is read."""


class NeedView(msgspec.Struct, kw_only=True):
    """What a package needs."""

    kind: NeededKind
    name: str
    text: str
    """As the package says it, without its marker."""


class AskView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of the definition that names a package."""

    text: str
    location: LocationView | None = None
    """``None`` if it stands in no file: of a registered environment, or from ``--with``."""


class LockedPackage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A package of the lock."""

    name: str
    version: str
    kind: LockedKind
    source: str
    """The channel or the index that it comes from; what a wheel was built from; the folder of an editable one."""
    bytes: int | None
    """Of its file; ``None`` if that is not known."""
    asked: bool
    """Whether the definition names it."""
    build: str = ""
    """Build string of a conda package."""
    file: str = ""
    url: str | None = None
    sha256: str = ""
    installed_bytes: int | None = None
    """On the disk, if it was unpacked on this machine."""
    asks: list[AskView] = []
    needs: list[NeedView] | None = None
    """``None`` if it is not known, or was not requested."""


class VirtualPackage(msgspec.Struct, kw_only=True):
    """A property of the machine that the lock counts on."""

    name: str
    version: str


class PackagesView(msgspec.Struct, kw_only=True):
    """What is locked for one target."""

    definition_digest: str
    lock_digest: str
    platform: str
    packages: list[LockedPackage]
    """conda's, then pip's, by name."""
    target: str
    generation: int | None
    """``None``: the lock belongs to no generation of this machine yet."""
    python: str | None
    """The Python of a machine that the packages rest on, such as ``cpython 3.11``; ``None`` if conda's is one of the
    packages."""
    prefix: str | None
    """The ready prefix of the lock, or of an image's lock on this machine."""
    project: str | None
    """The project that is installed on top, which is in no lock."""
    base: str | None
    """The base image, whose own packages are not listed."""
    virtual: list[VirtualPackage]
    unknown: list[str]
    """Wheels of which it is not known what they need; empty unless ``needs`` was requested."""
    source: SourceView
    warnings: list[WarningView] = []


PackageName = Annotated[str, Meta(min_length=1, max_length=1000)]


class WhyRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why ``package`` is in the environment. ``all``: every way to it, and not only the shortest of each line."""

    what: EnvironmentSelector
    package: PackageName
    target: str = "auto"
    all: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class PathStep(msgspec.Struct, kw_only=True):
    """A package on the way from a line of the definition to the package in question."""

    kind: NeededKind
    name: str
    version: str
    text: str
    """How the package before it says so; of the first one empty."""


class WhyPath(msgspec.Struct, kw_only=True):
    """One way. Without ``asks`` nothing asks for the first package: roost added it, or nobody knows who did."""

    asks: list[AskView]
    steps: list[PathStep]


class WhyView(msgspec.Struct, kw_only=True):
    """Why a package is in the environment: one entry for conda's and one for pip's, if both have the name."""

    definition_digest: str
    lock_digest: str
    platform: str
    packages: list[LockedPackage]
    paths: list[WhyPath]
    more: int
    """Further paths that were left out; with ``all`` at least so many."""
    unknown: list[str]
    """Wheels of which it is not known what they need: they may be a reason too."""
    source: SourceView
    warnings: list[WarningView] = []
