"""One finding from advisories that are about the same: databases give one vulnerability several ids. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from roost.daemon.audit.search import Match
from roost.daemon.audit.severity import RATINGS
from roost.daemon.audit.views import Rating
from roost.model.package_uses import PackageVersion

_PREFERRED = ("PYSEC-", "GHSA-", "CVE-")
"""Whose id a finding has, if several are known: the one that people find most with in PyPI's tools."""


class AuditFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Advisories about the same that concern a package."""

    package: PackageVersion
    ids: tuple[str, ...]
    """The preferred one first."""
    summary: str
    rating: Rating | None
    score: float | None
    vectors: tuple[str, ...]
    affected: bool
    reason: str
    fixed: tuple[str, ...]

    def is_named(self, ids: Iterable[str]) -> bool:
        return not set(self.ids).isdisjoint(ids)


def group_matches(matches: Sequence[Match], packages: Sequence[PackageVersion]) -> list[AuditFinding]:
    """Return a finding for each package and vulnerability, the most severe first. ``packages``: by ``Match.subject``.

    Advisories are the same if one is an alias of the other, or both have an alias in common.
    """
    by_package: dict[PackageVersion, list[Match]] = {}
    for match in matches:
        by_package.setdefault(packages[match.subject], []).append(match)
    findings = [_merge(package, group) for package, found in by_package.items() for group in _group_by_aliases(found)]
    return sorted(findings, key=_order)


def _group_by_aliases(matches: Iterable[Match]) -> list[list[Match]]:
    groups: list[tuple[set[str], list[Match]]] = []
    for match in matches:
        ids, members = {match.id, *match.aliases}, [match]
        apart = []
        for group in groups:
            if ids.isdisjoint(group[0]):
                apart.append(group)
            else:
                ids |= group[0]
                members = group[1] + members
        groups = [*apart, (ids, members)]
    return [members for _, members in groups]


def _merge(package: PackageVersion, matches: list[Match]) -> AuditFinding:
    ids = dict.fromkeys(each for match in matches for each in (match.id, *match.aliases))
    ordered = sorted(matches, key=lambda match: (not match.affected, _preference(match.id)))
    ratings = [match.rating for match in ordered if match.rating is not None]
    scores = [match.score for match in ordered if match.score is not None]
    is_affected = any(match.affected for match in matches)
    return AuditFinding(
        package=package,
        ids=tuple(sorted(ids, key=_preference)),
        summary=next((match.summary for match in ordered if match.summary), ""),
        rating=max(ratings, key=RATINGS.index) if ratings else None,
        score=max(scores, default=None),
        vectors=tuple(dict.fromkeys(vector for match in ordered for vector in match.vectors)),
        affected=is_affected,
        reason="" if is_affected else next((match.reason for match in ordered if match.reason), ""),
        fixed=next((match.fixed for match in ordered if match.fixed), ()),
    )


def _preference(advisory: str) -> tuple[int, str]:
    ranks = (rank for rank, start in enumerate(_PREFERRED) if advisory.startswith(start))
    return next(ranks, len(_PREFERRED)), advisory


def _order(finding: AuditFinding) -> tuple[int, float, str, str, str]:
    severity = RATINGS.index(finding.rating) if finding.rating is not None else 2  # as if it were medium
    return -severity, -(finding.score or 0.0), finding.package.name, finding.package.version, finding.ids[0]
