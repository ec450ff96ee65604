"""Bundles: one file that brings environments to a machine without a network."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from roost.wire.builds import WorkMessage
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import WarningView

BundleDigest = Annotated[str, msgspec.Meta(pattern="^sha256:[0-9a-f]{64}$")]


class BundleExportRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Write ``environments`` to the file ``output``, with all that they need."""

    environments: Annotated[list[EnvironmentSelector], msgspec.Meta(min_length=1, max_length=1000)]
    output: str
    """Absolute path. A file that is there is replaced once the bundle is complete."""
    target: str = "auto"
    platform: str | None = None
    """Platform of the machine that the bundle is for; ``None``: this machine's."""
    python: bool = False
    """Bring a Python as well for environments that rest on one of the machine."""
    environ: dict[str, str] = {}
    """Values for ``${VAR}`` in the definitions, as in ``EnvironmentSelector``."""


class BundleImportRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Use the bundle at ``path`` on this machine."""

    path: str
    """Absolute."""
    expect: BundleDigest | None = None
    """The digest that the bundle must have, or nothing of it is used."""


class BundledView(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One environment of a bundle."""

    name: str
    version: int | None = None
    """The version that is registered here."""
    definition_digest: str
    lock_digest: str
    platform: str
    target: Literal["local", "docker"] = "local"
    packages: int = 0
    origins: list[str] = []
    """Where the lock says that its packages come from: ``scheme://host``."""
    generation: int | None = None
    """After an import: the generation that has the lock here."""
    current: bool | None = None
    """Whether that generation is the one that runs use."""


class BundleResult(msgspec.Struct, kw_only=True):
    """Result of an export or an import."""

    digest: str
    """Of the bundle: ``--expect`` compares it."""
    path: str
    bytes: int
    """Size of the file."""
    files: int
    """Number of packages and layers in it."""
    environments: list[BundledView]
    warnings: list[WarningView] = []


class BundleMessage(WorkMessage, kw_only=True, omit_defaults=True):
    """One line of the stream of an export or an import. The last line is ``result`` or ``error``."""

    result: BundleResult | None = None
