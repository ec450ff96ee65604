"""Requests and answers of audits, as they go over the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from roost.model.package_uses import PackageVersion, Uses
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import WarningView

Rating = Literal["none", "low", "medium", "high", "critical"]
AdvisoryId = Annotated[str, Meta(min_length=1, max_length=200)]


class AuditRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Look up the packages of ``what`` in a file of advisories; without it those of all current generations."""

    what: EnvironmentSelector | None = None
    platform: str | None = None
    """Of the lock of ``what``; ``None``: this machine's."""
    database: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """Absolute path; ``None``: the setting ``audit.database``."""
    ignore: Annotated[list[AdvisoryId], Meta(max_length=10_000)] = []
    """Ids or aliases of advisories that do not count."""
    only: Annotated[list[AdvisoryId], Meta(max_length=1000)] = []
    """Ids or aliases of the only advisories that are looked for, if there are any."""
    all_generations: bool = False
    """Without ``what``: also the packages of older generations, which runs may refer to."""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Rows of each kind of use of a package."""


class DatabaseView(msgspec.Struct, kw_only=True, frozen=True):
    """The advisories that were looked through."""

    path: str
    advisories: int
    withdrawn: int
    """How many of ``advisories`` were withdrawn, and do not count."""
    modified: str
    """When the latest of them was changed; empty if there are none."""


class FindingView(msgspec.Struct, kw_only=True, frozen=True):
    """An advisory, or several about the same, that concern a package."""

    id: str
    aliases: list[str]
    summary: str
    rating: Rating | None
    """``None`` if the advisories state no severity that is known here."""
    score: float | None
    vectors: list[str]
    """CVSS vectors, as the advisories state them."""
    package: PackageVersion
    affected: bool
    """False if it can't be decided from the advisory whether this version is affected: ``reason`` says why."""
    reason: str
    fixed: list[str]
    """Versions with the fix that are newer, the oldest first."""
    uses: Uses
    """Where this version is used, current or not: counts, and the first rows of each kind."""


class UncheckedView(msgspec.Struct, kw_only=True, frozen=True):
    """A package that no advisory can be found for."""

    package: PackageVersion
    reason: str


class AuditResponse(msgspec.Struct, kw_only=True):
    """Findings, the most severe first."""

    database: DatabaseView
    packages: int
    """Packages in all, checked or not."""
    checked: int
    unchecked: list[UncheckedView]
    findings: list[FindingView]
    ignored: list[FindingView]
    """Findings that the request ignores."""
    unused_ignores: list[str]
    """Ids to ignore that ignore nothing."""
    definition_digest: str | None = None
    lock_digest: str | None = None
    warnings: list[WarningView] = []
