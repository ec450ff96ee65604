"""One audit: the packages of an environment, or of all, looked up in a local file of advisories."""

from __future__ import annotations

import os

from roost.daemon.audit.findings import AuditFinding, group_matches
from roost.daemon.audit.search import SEARCH, SearchRequest
from roost.daemon.audit.subjects import Candidate, find_subjects
from roost.daemon.audit.views import AuditRequest, AuditResponse, FindingView, UncheckedView
from roost.daemon.config.source import ConfigSource
from roost.daemon.engines.engine_set import Engines
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.package_uses import PackageVersion, Uses
from roost.store.index.index import Index
from roost.store.index.packages import packages_of
from roost.wire.protocol import WarningView


class AdvisoriesUnsetError(InvalidRequestError):
    """Neither the request nor the config names a file of advisories."""

    code = "advisories-unset"


class Auditor:
    """Audits of one daemon."""

    def __init__(
        self, index: Index, engines: Engines, resolver: EnvironmentResolver, planner: Planner, config: ConfigSource
    ) -> None:
        self._index = index
        self._engines = engines
        self._resolver = resolver
        self._planner = planner
        self._config = config

    async def audit(self, request: AuditRequest) -> AuditResponse:
        """Return what advisories say of the packages that ``request`` names. Nothing is built or stored.

        Raises: AdvisoriesUnsetError, AdvisoriesMissingError, AdvisoriesInvalidError; what reading the definition and
        solving raise.
        """
        database = self._find_database(request)
        warnings: list[WarningView] = []
        definition_digest = lock_digest = None
        if request.what is not None:
            resolved = await self._resolver.resolve(request.what)
            found = await find_or_solve_lock(
                self._planner, self._index, self._engines, resolved, request.what, request.platform
            )
            definition_digest, lock_digest = resolved.digest, digest_lock(found.lock)
            candidates, warnings = list_candidates(found.lock), list(resolved.warnings)
        else:
            held = await self._index.packages.list_held(not request.all_generations)
            candidates = [Candidate(package=each.package, purls=each.purls) for each in held]
        checked, unchecked = find_subjects(candidates)
        result = await self._engines.workers.run(
            SEARCH,
            SearchRequest(
                path=database, subjects=tuple(each.subject for each in checked), only=tuple(dict.fromkeys(request.only))
            ),
        )
        findings = group_matches(result.matches, [each.package for each in checked])
        ignored = [each for each in findings if each.is_named(request.ignore)]
        ignored_ids = {one for each in ignored for one in each.ids}
        unknown = [each for each in request.only if each not in result.known]
        if unknown:
            text = f"The file has no advisory {', '.join(unknown)} that still holds"
            warnings.append(WarningView(code="advisory-unknown", message=text))
        uses: dict[PackageVersion, Uses] = {}
        return AuditResponse(
            database=result.database,
            packages=len(candidates),
            checked=len(candidates) - len(unchecked),
            unchecked=[UncheckedView(package=package, reason=reason) for package, reason in unchecked],
            findings=[
                await self._view(each, uses, request.limit) for each in findings if not each.is_named(request.ignore)
            ],
            ignored=[await self._view(each, uses, request.limit) for each in ignored],
            unused_ignores=[each for each in dict.fromkeys(request.ignore) if each not in ignored_ids],
            definition_digest=definition_digest,
            lock_digest=lock_digest,
            warnings=warnings,
        )

    def _find_database(self, request: AuditRequest) -> str:
        """Return the path of the advisories. Raises AdvisoriesUnsetError."""
        path = request.database or os.path.expanduser(self._config.config.audit.database or "")
        if not path:
            raise AdvisoriesUnsetError(
                "No advisories are named",
                hint="Give a file of OSV advisories with --db FILE, or set `audit.database` in the config. OSV "
                "publishes an archive for each ecosystem as a data dump: PyPI's all.zip.",
            )
        if not os.path.isabs(path):
            raise AdvisoriesUnsetError(f"{path!r} is not an absolute path", hint="Name it from the root.")
        return path

    async def _view(self, finding: AuditFinding, known: dict[PackageVersion, Uses], limit: int) -> FindingView:
        package = finding.package
        if package not in known:
            versions = await self._index.packages.list_versions(package.name)
            ids = [each.id for each in versions if each.package == package]
            known[package] = await self._index.packages.find_uses(package.name, ids, limit)
        return FindingView(
            id=finding.ids[0],
            aliases=list(finding.ids[1:]),
            summary=finding.summary,
            rating=finding.rating,
            score=finding.score,
            vectors=list(finding.vectors),
            package=package,
            affected=finding.affected,
            reason=finding.reason,
            fixed=list(finding.fixed),
            uses=known[package],
        )


def list_candidates(lock: Lock) -> list[Candidate]:
    """Return the packages of a lock."""
    purls = {(each.name.lower(), each.version, each.build): read_purls(each.record) for each in lock.conda}
    return [
        Candidate(
            package=package,
            purls=purls.get((package.name, package.version, package.build), ()) if package.kind == "conda" else (),
        )
        for package in packages_of(lock)
    ]


def read_purls(record: dict[str, object]) -> tuple[str, ...]:
    """Return the package URLs in a channel's record."""
    stated = record.get("purls")
    return tuple(each for each in stated if isinstance(each, str)) if isinstance(stated, list | tuple) else ()
