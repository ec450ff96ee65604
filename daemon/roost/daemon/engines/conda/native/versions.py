"""Compare and match versions as conda does; its order is not that of PEP 440 (``1.0a`` is later than ``1.0_``).

Separate because it needs rattler and nothing of the engine.
"""

from __future__ import annotations

from rattler import BuildString, MatchSpec, PackageRecord, Version
from rattler.exceptions import InvalidMatchSpecError, InvalidVersionError, InvalidVersionSpecError

from roost.daemon.engines.conda.jobs import VersionPairs, VersionRequest
from roost.daemon.workers.context import JobContext
from roost.model.locks.differences import compare_versions_naturally
from roost.model.syntax.match_specs import MatchSpecError, to_rattler

_INVALID = (InvalidMatchSpecError, InvalidVersionError, InvalidVersionSpecError)


def compare_pairs(request: VersionPairs, context: JobContext) -> list[int]:
    """Return the result of :func:`compare_versions` for each pair."""
    return [compare_versions(first, second) for first, second in request.pairs]


def compare_versions(first: str, second: str) -> int:
    """Return a negative number if ``first`` is the earlier version, a positive one if the later, 0 if they are equal.

    If either is not a conda version, conda's rules do not apply and both are compared as plain texts with numbers.
    """
    try:
        left, right = Version(first), Version(second)
    except Exception:  # rattler has no public class for the error; a channel may list invalid versions
        return compare_versions_naturally(first, second)
    return (left > right) - (left < right)


def match_versions(request: VersionRequest, context: JobContext) -> list[bool] | None:
    """Return for each version and build whether ``name constraint`` matches it.

    An invalid version matches no constraint. ``None`` if ``name constraint`` is not a match spec.
    """
    name = request.name
    try:
        spec = MatchSpec(to_rattler(f"{name} {request.constraint}"))
    except (*_INVALID, MatchSpecError):
        return None
    return [_matches(spec, name, version, build) for version, build in request.versions]


def _matches(spec: MatchSpec, name: str, version: str, build: str) -> bool:
    try:
        try:
            build_string = BuildString(build)
        except ValueError:  # a wheel has no build string, and rattler does not accept every text
            build_string = BuildString("0")
        return spec.matches(PackageRecord(name, version, build_string, 0, "noarch"))
    except _INVALID:
        return False
