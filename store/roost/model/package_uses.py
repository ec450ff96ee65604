"""Where a package is used, as values. Times are RFC 3339 UTC strings, digests are ``sha256:…``.

The same structs are the wire format of ``roost who``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.model.locks.lock import PackageKind

UseKind = Literal["environments", "generations", "images", "prefixes", "runs"]


class PackageVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a package that is in some lock."""

    kind: PackageKind
    name: str
    """A conda package's name as in its channel; a pip package's name normalised by PEP 503."""
    version: str
    build: str = ""
    """Build string of a conda package."""


class UseCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each kind hold the package. ``environments`` counts versions of environments, each once."""

    locks: int = 0
    environments: int = 0
    generations: int = 0
    current_generations: int = 0
    """How many of ``generations`` are current."""
    images: int = 0
    prefixes: int = 0
    runs: int = 0


class EnvironmentUse(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an environment with a generation that holds the package."""

    name: str
    version: int
    archived: bool
    current: bool
    """Whether a current generation holds it; else only older ones do, which runs may still refer to."""
    packages: tuple[PackageVersion, ...]
    """The packages in that current generation, else in the newest one."""


class GenerationUse(msgspec.Struct, frozen=True, kw_only=True):
    """A generation, current or not, whose lock holds the package."""

    definition_digest: str
    platform: str
    host: bool
    """Whether it is bound to this machine, by a host Python or an editable folder."""
    number: int
    current: bool
    lock_digest: str
    created: str
    packages: tuple[PackageVersion, ...]


class ImageUse(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was built or pulled here; the engine or registry may have deleted it since."""

    key: str
    name: str
    config_digest: str
    lock_digest: str
    registry_references: tuple[str, ...] = msgspec.field(name="places")
    """References in registries."""
    packages: tuple[PackageVersion, ...]


class PrefixUse(msgspec.Struct, frozen=True, kw_only=True):
    """A ready prefix that holds the package."""

    id: str
    path: str
    lock_digest: str
    last_used: str
    packages: tuple[PackageVersion, ...]


class RunUse(msgspec.Struct, frozen=True, kw_only=True):
    """A run whose lock holds the package."""

    id: str
    state: str
    environment: str | None
    """``NAME:VERSION``"""
    command: tuple[str, ...]
    created: str
    lock_digest: str
    packages: tuple[PackageVersion, ...]


class UsePage(msgspec.Struct, frozen=True, kw_only=True):
    """A request for the rows of one kind after a page of them: ``before`` is the ``Uses.next`` of that page."""

    kind: UseKind
    before: str


class Uses(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of each kind and the first rows, those of the newest locks first; or a further page of one kind."""

    counts: UseCounts | None = UseCounts()
    """``None`` on a further page: the counts came with the first page."""
    environments: tuple[EnvironmentUse, ...] = ()
    generations: tuple[GenerationUse, ...] = ()
    images: tuple[ImageUse, ...] = ()
    prefixes: tuple[PrefixUse, ...] = ()
    runs: tuple[RunUse, ...] = ()
    next: dict[UseKind, str] = {}
    """By kind, if there are more rows: the ``before`` of the next ``UsePage``."""
