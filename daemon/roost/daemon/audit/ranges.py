"""Whether a version of a PyPI package is affected, by OSV's evaluation algorithm
(https://ossf.github.io/osv-schema/#evaluation). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache, total_ordering
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from roost.daemon.audit.advisories import Affected, RangeEvent, VersionRange

_START = "0"
"""``introduced``: before all versions."""
_NO_LIMIT = "*"
_LONGEST = 200
"""Characters of a version. Comparing longer ones takes time, and no package has one."""
_SEMVER = re.compile(r"v?(\d{1,18})\.(\d{1,18})\.(\d{1,18})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


class Verdict(NamedTuple):
    """Whether a version is affected; ``None`` if that can't be decided, with the reason."""

    affected: bool | None
    reason: str = ""
    fixed: tuple[str, ...] = ()
    """Newer versions with the fix, as written, the oldest first."""


class IncomparableError(Exception):
    """A version is not one of the scheme of its range."""


def judge_version(version: str, affected: Affected) -> Verdict:
    """Return whether ``version`` is among the affected ones. What can be decided of several ranges decides: it is
    affected if one of them holds it, and unaffected only if all of them say so."""
    fixed: dict[str, Any] = {}
    ranges = [each for each in affected.ranges or () if each.type != "GIT"]
    open_reasons = []
    is_affected = _is_listed(version, affected.versions or ())
    for each in ranges:
        try:
            is_affected = _is_in_range(version, each) or is_affected
            fixed.update(_find_fixes(version, each))
        except IncomparableError as error:
            open_reasons.append(str(error))
    is_sortable = len({type(key) for key in fixed.values()}) < 2
    ordered = tuple(sorted(fixed, key=fixed.__getitem__)) if is_sortable else tuple(fixed)
    if is_affected:
        return Verdict(True, fixed=ordered)
    if affected.versions and (fault := _find_fault(version)):
        open_reasons.append(fault)
    elif affected.versions:
        open_reasons = []  # all affected versions are listed, and this one is not
    if open_reasons:
        return Verdict(None, open_reasons[0], ordered)
    if not ranges and not affected.versions:
        only = "only by commits of a repository" if affected.ranges else "not at all"
        return Verdict(None, f"the advisory states the affected versions {only}")
    return Verdict(False)


def _is_listed(version: str, listed: Iterable[str]) -> bool:
    try:
        own = _parse_ecosystem(version)
    except IncomparableError:
        return version in listed
    return any(each == version or _equals(own, each) for each in listed)


def _find_fault(version: str) -> str:
    """Return why ``version`` can't be compared with listed ones; empty if it can."""
    try:
        _parse_ecosystem(version)
    except IncomparableError as error:
        return str(error)
    return ""


def _equals(own: Version, text: str) -> bool:
    try:
        return own == _parse_ecosystem(text)
    except IncomparableError:
        return False


def _is_in_range(version: str, affected: VersionRange) -> bool:
    """Evaluate the events in the order of their versions. Raises: IncomparableError."""
    parse = _find_parser(affected.type)
    own, events = parse(version), affected.events or []
    limits = [each.limit for each in events if each.limit is not None]
    if limits and not any(limit == _NO_LIMIT or own < parse(limit) for limit in limits):
        return False
    is_affected = False
    for event, text in sorted(_list_changes(events), key=lambda change: _sort_key(change, parse)):
        at_start = event.introduced is not None and text == _START
        at = None if at_start else parse(text)
        if event.introduced is not None and (at is None or own >= at):
            is_affected = True
        elif (event.fixed is not None and own >= at) or (event.last_affected is not None and own > at):
            is_affected = False
    return is_affected


def _list_changes(events: Iterable[RangeEvent]) -> list[tuple[RangeEvent, str]]:
    texts = [(event, event.introduced or event.fixed or event.last_affected) for event in events]
    return [(event, text) for event, text in texts if text is not None]


def _sort_key(change: tuple[RangeEvent, str], parse: Callable[[str], Any]) -> tuple[int, Any, int]:
    """Order by version. At the same version an introduction comes last: what is fixed there and introduced again is
    affected."""
    event, text = change
    if event.introduced is not None and text == _START:
        return 0, 0, 0
    return 1, parse(text), 1 if event.introduced is not None else 0


def _find_fixes(version: str, affected: VersionRange) -> dict[str, Any]:
    parse = _find_parser(affected.type)
    own = parse(version)
    fixes = {event.fixed: parse(event.fixed) for event in affected.events or () if event.fixed is not None}
    return {text: at for text, at in fixes.items() if at > own}


def _find_parser(kind: str) -> Callable[[str], Any]:
    if kind == "ECOSYSTEM":
        return _parse_ecosystem
    if kind == "SEMVER":
        return _parse_semantic
    raise IncomparableError(f"the advisory has a range of the type {kind!r}, which is unknown")


@lru_cache(maxsize=10_000)
def _parse_ecosystem(text: str) -> Version:
    """Return a version of PyPI (PEP 440). Raises: IncomparableError."""
    try:
        return Version(text if len(text) <= _LONGEST else "")
    except (InvalidVersion, ValueError):
        raise IncomparableError(f"{text[:_LONGEST]!r} is not a version of PyPI (PEP 440)") from None


@total_ordering
class SemanticVersion:
    """A version of Semantic Versioning 2.0.0, ordered by its section 11."""

    def __init__(self, release: tuple[int, int, int], before: tuple[str, ...]) -> None:
        self._key = (release, not before, tuple(_order_identifier(each) for each in before))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SemanticVersion) and self._key == other._key

    def __lt__(self, other: SemanticVersion) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _order_identifier(text: str) -> tuple[int, int, str]:
    """Return a key: numbers come before words."""
    return (0, int(text), "") if text.isascii() and text.isdecimal() and len(text) <= 18 else (1, 0, text)


def _parse_semantic(text: str) -> SemanticVersion:
    """Return a semantic version; a final version of PyPI with fewer than three numbers is one. Raises:
    IncomparableError."""
    if text == _START:
        return SemanticVersion((0, 0, 0), ())
    if len(text) <= _LONGEST and (match := _SEMVER.fullmatch(text)):
        major, minor, patch, before = match.groups()
        return SemanticVersion((int(major), int(minor), int(patch)), tuple(before.split(".")) if before else ())
    version = _parse_ecosystem(text)
    if str(version) != version.base_version or version.epoch or len(version.release) > 3:
        raise IncomparableError(f"{text!r} is not a semantic version")
    major_number, minor_number, patch_number = (*version.release, 0, 0)[:3]
    return SemanticVersion((major_number, minor_number, patch_number), ())
