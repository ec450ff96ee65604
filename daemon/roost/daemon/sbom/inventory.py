"""An inventory: the packages of an environment as both formats state them, and the job that writes one.

Texts are visible and free of credentials: they come from channels, indexes and files of others.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.model.locks.lock import Lock, PackageKind
from roost.wire.exchange import SbomEncoding, SbomFormat

DEADLINE_SECONDS = 120.0
SBOM_WORKERS = WorkerKind(name="SBOM", processes=2, memory_share=0.25)

EntryKind = Literal["conda", "pip", "jar", "r", "python", "image"]


class Licence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A licence as a package states it; exactly one field is set."""

    expression: str = ""
    """An SPDX expression in canonical spelling."""
    name: str = ""
    """The package's own words, if they are no SPDX expression."""


class InventoryEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One package, Python of a machine, or base image."""

    reference: str
    """Unique in the inventory."""
    kind: EntryKind
    name: str
    version: str = ""
    purl: str = ""
    digests: dict[str, str] = {}
    """Algorithm (``sha256``, ``md5``) to hex digits."""
    licence: Licence | None = None
    url: str = ""
    """Where the package was found, without credentials."""
    source: str = ""
    """``git+URL@COMMIT``, if that is what the package was built from."""
    properties: tuple[tuple[str, str], ...] = ()
    requires: tuple[str, ...] | None = None
    """References; ``None`` if it is not known what the package requires."""


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """The content of an environment, on one or more platforms."""

    name: str
    version: str
    identity: str
    """A UUID, the same for the same locks of the same environment."""
    created: str
    """RFC 3339 UTC: when the first of the locks was made."""
    tool_version: str
    properties: tuple[tuple[str, str], ...]
    requires: tuple[str, ...]
    """References of what the definition asks for."""
    entries: tuple[InventoryEntry, ...]
    gaps: tuple[str, ...]
    """What the environment has beside the entries, as sentences."""


class LockedPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """A lock of the environment, and what is known of it here."""

    lock: Lock
    digest: str
    created: str | None = None
    """``None`` for a lock that is stored nowhere."""
    prefix: str | None = None
    """Path of a prefix with these packages, if one is ready."""
    unpacked: dict[str, str] = {}
    """By name, the folder of a wheel in uv's cache, relative to the root."""


class AskedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package that the definition names."""

    kind: PackageKind
    name: str
    """As in the lock."""
    extras: tuple[str, ...] = ()


class BaseImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image that the environment's image is put on."""

    reference: str
    digest: str | None = None
    """Of the config, if an image was built here."""


class InventoryRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to write, in which format."""

    name: str
    version: str
    definition_digest: str
    locks: tuple[LockedPlatform, ...]
    asked: tuple[AskedPackage, ...]
    base: BaseImage | None
    gaps: tuple[str, ...]
    format: SbomFormat
    encoding: SbomEncoding
    tool_version: str
    root: str
    """Of roost's store, whose caches have metadata of wheels."""


class WrittenInventory(msgspec.Struct, frozen=True, kw_only=True):
    """The text, and what it leaves open."""

    text: str
    packages: int
    gaps: tuple[str, ...]
    unknown_licences: int
    unknown_requirements: int


WRITE = WorkerJob(
    kind=SBOM_WORKERS, target="roost.daemon.sbom.writing:write_inventory", payload=InventoryRequest,
    result=WrittenInventory, doing="writing a bill of materials", timeout=DEADLINE_SECONDS,
)  # fmt: skip
