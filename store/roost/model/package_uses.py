"""What holds a package, as values. Times are RFC 3339 UTC strings, digests ``sha256:…``."""

from __future__ import annotations

from typing import Literal

import msgspec

PackageKind = Literal["conda", "pip"]
UseKind = Literal["environments", "generations", "images", "prefixes", "runs"]


class Package(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a package that some lock holds."""

    kind: PackageKind
    name: str
    """Of conda as its channel has it, of pip by PEP 503."""
    version: str
    build: str = ""
    """Of conda."""


class UseCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each hold the package; environments are versions of them, each counted once."""

    locks: int = 0
    environments: int = 0
    generations: int = 0
    current_generations: int = 0
    """Of ``generations``."""
    images: int = 0
    prefixes: int = 0
    runs: int = 0


class EnvironmentUse(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an environment, one of whose generations holds the package."""

    name: str
    version: int
    archived: bool
    current: bool
    """Whether a current generation does; else only older ones do, which runs may still refer to."""
    packages: tuple[Package, ...]
    """In that current generation, else in the newest one."""


class GenerationUse(msgspec.Struct, frozen=True, kw_only=True):
    """A generation, current or not, whose lock holds it."""

    definition_digest: str
    platform: str
    host: bool
    """Whether it stays on this machine: it is on a Python, or has an editable folder, of its own."""
    number: int
    current: bool
    lock_digest: str
    created: str
    packages: tuple[Package, ...]


class ImageUse(msgspec.Struct, frozen=True, kw_only=True):
    """An image that was made or pulled here; whether an engine or registry still has it is for them to say."""

    key: str
    name: str
    config_digest: str
    lock_digest: str
    registry_references: tuple[str, ...] = msgspec.field(name="places")
    """References in registries."""
    packages: tuple[Package, ...]


class PrefixUse(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix that is ready."""

    id: str
    path: str
    lock_digest: str
    last_used: str
    packages: tuple[Package, ...]


class RunUse(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was in a lock that holds it; ``environment`` is ``NAME:VERSION``."""

    id: str
    state: str
    environment: str | None
    """``NAME:VERSION``"""
    command: tuple[str, ...]
    created: str
    lock_digest: str
    packages: tuple[Package, ...]


class UsePage(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one kind that come after a page of them: ``before`` is the ``Uses.next`` of that page."""

    kind: UseKind
    before: str


class Uses(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each, and the first of them, those of the newest locks first; or one more ``UsePage`` of a kind."""

    counts: UseCounts | None = UseCounts()
    """``None`` where a part was asked for: all were counted for the first page."""
    environments: tuple[EnvironmentUse, ...] = ()
    generations: tuple[GenerationUse, ...] = ()
    images: tuple[ImageUse, ...] = ()
    prefixes: tuple[PrefixUse, ...] = ()
    runs: tuple[RunUse, ...] = ()
    next: dict[UseKind, str] = {}
    """By kind, where there are more of it: what a ``UsePage`` of them begins with."""
