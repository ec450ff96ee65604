"""The order of conda's versions, which is not that of PEP 440 (``1.0a`` is later than ``1.0_``): rattler knows it."""

from __future__ import annotations

from collections.abc import Sequence

from rattler import BuildString, MatchSpec, PackageRecord, Version
from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError, InvalidVersionSpecError

from roost.model.locks.differences import plain_order
from roost.model.syntax.specs import MatchSpecError, to_rattler

_INVALID = (InvalidMatchSpecError, InvalidVersionError, InvalidVersionSpecError)


def conda_order(first: str, second: str) -> int:
    """Below 0 where ``first`` is the earlier version, above 0 where it is the later, 0 where they are equal."""
    try:
        left, right = Version(first), Version(second)
    except Exception:  # rattler has no public class for it; a channel may hold what is no version
        return plain_order(first, second)
    return (left > right) - (left < right)


def matching(name: str, constraint: str, versions: Sequence[tuple[str, str]]) -> list[bool] | None:
    """For each version and build, whether ``name constraint`` means it; ``None`` where that is no match spec. Blocks.

    A version that conda could not have is meant by no constraint.
    """
    try:
        spec = MatchSpec(to_rattler(f"{name} {constraint}"))
    except (*_INVALID, MatchSpecError):
        return None
    return [_matches(spec, name, version, build) for version, build in versions]


def _matches(spec: MatchSpec, name: str, version: str, build: str) -> bool:
    try:
        return spec.matches(PackageRecord(name, version, _build(build), 0, "noarch"))
    except _INVALID:
        return False


def _build(text: str) -> BuildString:
    """A wheel has none, and rattler takes not every text for one."""
    try:
        return BuildString(text)
    except ValueError:
        return BuildString("0")
