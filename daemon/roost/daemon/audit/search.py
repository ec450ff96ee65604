"""The job that looks packages up in advisories. Runs in a worker: an export has 20,000 of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from roost.daemon.audit.advisories import ECOSYSTEM, Advisory, PackageName, decode_advisory, decode_head
from roost.daemon.audit.database import iterate_advisories
from roost.daemon.audit.ranges import Verdict, judge_version
from roost.daemon.audit.severity import rate_advisory
from roost.daemon.audit.views import DatabaseView, Rating
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.model.syntax.pip_lines import normalise_name
from roost.wire.visible import make_visible

DEADLINE_SECONDS = 120.0
AUDIT_WORKERS = WorkerKind(name="audit", modules=("roost.daemon.audit.search",), processes=2, memory_share=0.25)
_SUMMARY = 200
"""Characters."""


class ProjectVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a project of PyPI."""

    name: str
    """Normalised by PEP 503."""
    version: str


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for, and where."""

    path: str
    subjects: tuple[ProjectVersion, ...]
    only: tuple[str, ...] = ()
    """Ids or aliases of the only advisories that count, if any."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """An advisory that names the project of a subject, and does not say that its version is unaffected."""

    subject: int
    """Position in ``SearchRequest.subjects``."""
    id: str
    aliases: tuple[str, ...]
    summary: str
    rating: Rating | None
    score: float | None
    vectors: tuple[str, ...]
    affected: bool
    reason: str
    fixed: tuple[str, ...]


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """All matches, in the order of the advisories."""

    matches: tuple[Match, ...]
    database: DatabaseView
    known: tuple[str, ...]
    """Those of ``SearchRequest.only`` that there are."""


SEARCH = WorkerJob(
    kind=AUDIT_WORKERS, target="roost.daemon.audit.search:search_advisories", payload=SearchRequest,
    result=SearchResult, doing="reading advisories", timeout=DEADLINE_SECONDS,
)  # fmt: skip


def search_advisories(request: SearchRequest, context: JobContext) -> SearchResult:
    """Look all subjects up in one pass. Blocks. Raises: AdvisoriesMissingError, AdvisoriesInvalidError."""
    wanted: dict[str, list[int]] = defaultdict(list)
    for number, subject in enumerate(request.subjects):
        wanted[subject.name].append(number)
    only, known = frozenset(request.only), set[str]()
    matches: list[Match] = []
    total = withdrawn = 0
    modified = ""
    spelled: dict[str, str] = {}
    for place, data in iterate_advisories(request.path):
        head = decode_head(data, place)
        total += 1
        modified = max(modified, head.modified)
        if only and not (named := only.intersection((head.id, *(head.aliases or ())))):
            continue
        if head.withdrawn:
            withdrawn += 1
            continue
        if only:
            known |= named
        if any(_find_name(each.package, spelled) in wanted for each in head.affected or ()):
            matches += _match_advisory(decode_advisory(data, place), wanted, request.subjects, spelled)
    return SearchResult(
        matches=tuple(matches),
        database=DatabaseView(
            path=request.path, advisories=total, withdrawn=withdrawn, modified=make_visible(modified)
        ),
        known=tuple(sorted(known)),
    )


def _find_name(package: PackageName | None, spelled: dict[str, str]) -> str:
    """Return the normalised name of a project of PyPI; empty for another ecosystem. ``spelled`` keeps what was found:
    names come again and again."""
    if package is None or package.ecosystem.partition(":")[0] != ECOSYSTEM:
        return ""
    name = spelled.get(package.name)
    if name is None:
        name = spelled[package.name] = normalise_name(package.name)
    return name


def _match_advisory(
    advisory: Advisory, wanted: Mapping[str, Sequence[int]], subjects: Sequence[ProjectVersion], spelled: dict[str, str]
) -> list[Match]:
    verdicts: dict[int, list[Verdict]] = defaultdict(list)
    severities = list(advisory.severity or ())
    for affected in advisory.affected or ():
        for number in wanted.get(_find_name(affected.package, spelled), ()):
            verdicts[number].append(judge_version(subjects[number].version, affected))
            severities += affected.severity or ()
    rating, score, vectors = rate_advisory(severities, advisory.database_specific)
    matches = []
    for number, found in verdicts.items():
        is_affected = any(each.affected for each in found)
        if not is_affected and all(each.affected is False for each in found):
            continue
        reasons = [] if is_affected else [each.reason for each in found if each.affected is None]
        matches.append(
            Match(
                subject=number,
                id=make_visible(advisory.id),
                aliases=tuple(make_visible(each) for each in advisory.aliases or ()),
                summary=_shorten(advisory.summary or advisory.details or ""),
                rating=rating,
                score=score,
                vectors=tuple(make_visible(each) for each in vectors),
                affected=is_affected,
                reason=make_visible("; ".join(dict.fromkeys(reasons))),
                fixed=tuple(dict.fromkeys(make_visible(version) for each in found for version in each.fixed)),
            )
        )
    return matches


def _shorten(text: str) -> str:
    line = make_visible(text.strip().split("\n", 1)[0])
    return line if len(line) <= _SUMMARY else line[: _SUMMARY - 1] + "…"
