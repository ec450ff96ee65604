"""What goes over the wire to import and export environments."""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.environments import EnvironmentView
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import WarningView

ExportFormat = Literal[
    "azure", "azure-v2", "conda", "conda-builds", "conda-lock", "explicit", "pixi", "requirements", "roost"
]


class ImportRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Register what ``path`` holds, or the conda environment that ``prefix`` names."""

    cwd: str
    """Absolute working folder of the client."""
    path: str | None = None
    """A file, a folder, or a ``.tar`` or ``.zip`` archive of either; absolute, or relative to ``cwd``."""
    prefix: str | None = None
    """A conda environment of this machine, by path (with a ``/``) or by name."""
    exact: bool = False
    """Of ``prefix``: every package by version and build, and not what was asked for."""
    name: str | None = None
    """``None``: as the file says, or as it or its folder is called."""
    labels: list[str] = []
    environ: dict[str, str] = {}
    """The client's variables that say where conda's environments are, and values for ``${VAR}`` in the definition."""


class ImportResponse(msgspec.Struct, kw_only=True):
    """``created`` is false where the same definition and settings are a version of that name already."""

    environment: EnvironmentView
    created: bool
    source: str
    """What was read: a path."""
    format: str
    warnings: list[WarningView] = []


class ExportRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Write ``what`` in another tool's format."""

    what: EnvironmentSelector
    format: ExportFormat
    platform: str | None = None
    """Of formats that are made of a lock; ``None``: this machine's."""


class CopyView(msgspec.Struct, kw_only=True):
    """A file or folder that goes along as it is."""

    path: str
    """Absolute, on this machine."""
    digest: str
    """``sha256:`` of a file's content."""
    folder: bool
    names: list[str] = []
    """Of a folder, what goes along: files, links and folders, relative to it; what counts in no digest stays behind."""


class ExportResponse(msgspec.Struct, kw_only=True):
    """Nothing is written yet: that is for who asked."""

    files: dict[str, str]
    """Relative path to text. The first is the one to name when importing it."""
    copies: dict[str, CopyView]
    folder: bool
    """Whether the format is a folder always."""
    absent: list[str] = []
    """Parts that the format may have and this export has not: left by an older one, they would be read with it."""
    definition_digest: str
    lock_digest: str | None = None
    source: str | None = None
    warnings: list[WarningView] = []
