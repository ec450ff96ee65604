"""Import of environments from files and conda environments, export to other tools' formats, and bills of materials."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from roost.wire.environments import EnvironmentView
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import WarningView

ExportFormat = Literal[
    "azure", "azure-v2", "conda", "conda-builds", "conda-lock", "explicit", "pixi", "requirements", "roost"
]

SbomFormat = Literal["cyclonedx", "spdx"]
SbomEncoding = Literal["json", "xml", "tag-value"]
SBOM_ENCODINGS: dict[str, tuple[SbomEncoding, ...]] = {"cyclonedx": ("json", "xml"), "spdx": ("json", "tag-value")}
"""How each format can be written."""


class ImportRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Register the definition in ``path``, or the conda environment that ``prefix`` names."""

    cwd: str
    """Absolute working folder of the client."""
    path: str | None = None
    """A file, a folder, or a ``.tar`` or ``.zip`` archive of either; absolute, or relative to ``cwd``."""
    prefix: str | None = None
    """A conda environment of this machine, by path (with a ``/``) or by name."""
    exact: bool = False
    """For ``prefix``: every package by version and build, instead of the requested specs."""
    name: str | None = None
    """``None``: the name in the file, or the name of the file or its folder."""
    labels: list[str] = []
    environ: dict[str, str] = {}
    """The client's variables from which conda environments are located, and values for ``${VAR}`` in the definition."""


class ImportResponse(msgspec.Struct, kw_only=True):
    """``created`` is false if a version of that name already has the same definition and settings."""

    environment: EnvironmentView
    created: bool
    source: str
    """Path of the file or environment that was read."""
    format: str
    warnings: list[WarningView] = []


class ExportRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Return ``what`` in another tool's format."""

    what: EnvironmentSelector
    format: ExportFormat
    platform: str | None = None
    """Platform, for formats made from a lock; ``None``: this machine's."""


class CopyView(msgspec.Struct, kw_only=True):
    """A file or folder that the export contains unchanged."""

    path: str
    """Absolute, on this machine."""
    digest: str
    """``sha256:`` of a file's content."""
    folder: bool
    names: list[str] = []
    """Files, links and folders of a folder to copy, relative to it: those that its digest covers."""


class ExportResponse(msgspec.Struct, kw_only=True):
    """Content of the export. The daemon writes no file: the client does."""

    files: dict[str, str]
    """Relative path to text. The first path is the one to import."""
    copies: dict[str, CopyView]
    folder: bool
    """Whether the format always is a folder."""
    absent: list[str] = []
    """Parts that the format may have and this export lacks. Left by an older export, they would be read with it."""
    definition_digest: str
    lock_digest: str | None = None
    source: str | None = None
    warnings: list[WarningView] = []


class SbomRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Return what is in ``what`` as a bill of materials: CycloneDX 1.6 or SPDX 2.3."""

    what: EnvironmentSelector
    format: SbomFormat
    encoding: SbomEncoding = "json"
    platforms: Annotated[list[str], Meta(max_length=64)] = []
    """Platforms, all in one document; empty: this machine's."""


class SbomResponse(msgspec.Struct, kw_only=True):
    """The document. The same locks of the same environment give the same text."""

    text: str
    packages: int
    definition_digest: str
    lock_digests: list[str]
    warnings: list[WarningView] = []
    """``sbom-incomplete``: what the document does not list; ``sbom-licences``: licences that are not known here."""
