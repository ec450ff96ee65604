"""Advisories in the schema of OSV (https://ossf.github.io/osv-schema/, 1.x). Pure.

An advisory is decoded twice: all of them as an ``AdvisoryHead``, which has what tells whether it can concern a package,
and only the few that do as an ``Advisory``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from roost.model.errors import MALFORMED_JSON, InvalidDefinitionError, LookupFailedError

SCHEMA_MAJOR = "1"
ECOSYSTEM = "PyPI"


class AdvisoriesInvalidError(InvalidDefinitionError):
    """A file is not one of advisories, or it was cut or altered. Nothing of it was used."""

    code = "advisories-invalid"


class AdvisoriesNewerError(AdvisoriesInvalidError):
    """An advisory has another version of OSV's schema than roost reads."""

    code = "advisories-format"


class AdvisoriesMissingError(LookupFailedError):
    """There is no file of advisories of that name."""

    code = "advisories-missing"


class PackageName(msgspec.Struct, frozen=True):
    name: str = ""
    ecosystem: str = ""


class _HeadAffected(msgspec.Struct, frozen=True):
    package: PackageName | None = None


class AdvisoryHead(msgspec.Struct, frozen=True):
    """What decides whether the rest is looked at."""

    id: str
    modified: str
    schema_version: str = "1.0.0"
    withdrawn: str | None = None
    aliases: list[str] | None = None
    affected: list[_HeadAffected] | None = None


class RangeEvent(msgspec.Struct, frozen=True):
    """One change of a range; exactly one field is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class VersionRange(msgspec.Struct, frozen=True):
    type: str = ""
    events: list[RangeEvent] | None = None


class Severity(msgspec.Struct, frozen=True):
    type: str = ""
    score: str = ""


class Affected(msgspec.Struct, frozen=True):
    """Versions of one package."""

    package: PackageName | None = None
    ranges: list[VersionRange] | None = None
    versions: list[str] | None = None
    severity: list[Severity] | None = None


class Advisory(msgspec.Struct, frozen=True):
    """An advisory that names a package in question."""

    id: str
    aliases: list[str] | None = None
    summary: str | None = None
    details: str | None = None
    severity: list[Severity] | None = None
    affected: list[Affected] | None = None
    database_specific: Any = None


_HEADS = msgspec.json.Decoder(AdvisoryHead)
_ADVISORIES = msgspec.json.Decoder(Advisory)


def decode_head(data: bytes, place: str) -> AdvisoryHead:
    """Return the head of an advisory. ``place`` names it in messages.

    Raises: AdvisoriesInvalidError if ``data`` is not an advisory; AdvisoriesNewerError.
    """
    try:
        head = _HEADS.decode(data)
    except MALFORMED_JSON as error:
        raise invalid_error(place, _describe(error)) from None
    if head.schema_version.partition(".")[0] != SCHEMA_MAJOR:
        raise AdvisoriesNewerError(
            f"{place}: the advisory {head.id} has version {head.schema_version} of OSV's schema; roost reads "
            f"{SCHEMA_MAJOR}.x",
            hint="Export the advisories in that version, or use a newer roost.",
            fields={"schema_version": head.schema_version},
        )
    return head


def decode_advisory(data: bytes, place: str) -> Advisory:
    """Return the advisory. Raises: AdvisoriesInvalidError."""
    try:
        return _ADVISORIES.decode(data)
    except MALFORMED_JSON as error:
        raise invalid_error(place, _describe(error)) from None


def invalid_error(place: str, reason: str) -> AdvisoriesInvalidError:
    return AdvisoriesInvalidError(
        f"{place}: {reason}",
        hint="Expected OSV advisories: a .json, a list of them, one a line, a .zip or a folder. Get the file again.",
    )


def _describe(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return f"not an OSV advisory: {error}"
    return "not JSON, or cut" if not isinstance(error, RecursionError) else "nested too deeply"
