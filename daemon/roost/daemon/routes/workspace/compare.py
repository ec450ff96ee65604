"""Routes that compare environments, check what a fresh solve would change, roll back to an older generation, find where
a package is used, and look packages up in advisories."""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from roost.daemon.audit.views import AuditRequest, AuditResponse
from roost.daemon.compare.diff import diff_operands
from roost.daemon.compare.operands import OperandFinder
from roost.daemon.compare.outdated import OutdatedCheck
from roost.daemon.compare.rollback import roll_back
from roost.daemon.compare.where_used import WhoResponse, find_where_used
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import PackageKind
from roost.model.package_uses import UseKind, UsePage
from roost.wire.compare import (
    DiffRequest,
    DiffResponse,
    OutdatedMessage,
    OutdatedRequest,
    RollbackRequest,
    RollbackResponse,
)


class WhereUsedQuery(msgspec.Struct, kw_only=True):
    """``package``: a name, and which versions in conda's or pip's syntax; ``kind``: packages of that kind only.
    ``listed`` and ``before``: of one list, the rows after a page, which has that position under ``next``."""

    package: Annotated[str, Meta(min_length=1, max_length=1000)]
    kind: PackageKind | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    listed: UseKind | None = None
    before: Annotated[str, Meta(max_length=1000)] | None = None


async def diff_environments(call: Call[DiffRequest]) -> DiffResponse:
    services, body = call.app[SERVICES], call.body
    if body.platform is not None:
        baseline_packages(body.platform, {})  # raises if it is not a platform
    operands = OperandFinder(services.resolver, services.runs, services.store.index)
    found = await operands.find_both(body.cwd, body.before, body.after, body.platform)
    return await diff_operands(services.engines.conda_rules(), *found)


async def stream_outdated(call: Call[OutdatedRequest]) -> web.StreamResponse:
    services = call.app[SERVICES]
    check = OutdatedCheck(services.resolver, services.store.index, services.engines, services.planner.shared_locks)
    return await send_messages(call.request, check.stream(call.body))


async def roll_back_generation(call: Call[RollbackRequest]) -> RollbackResponse:
    services = call.app[SERVICES]
    rules = services.engines.conda_rules()
    return await roll_back(
        services.resolver, services.store.index, services.events, services.launches, rules, call.body
    )


async def show_where_used(call: Call[None]) -> WhoResponse:
    query = call.query(WhereUsedQuery)
    if (query.listed is None) != (query.before is None):
        raise InvalidRequestError(
            "One of 'listed' and 'before' is missing", hint="Send both, or neither for the first page."
        )
    page = UsePage(kind=query.listed, before=query.before) if query.listed and query.before is not None else None
    services = call.app[SERVICES]
    rules = services.engines.conda_rules()
    return await find_where_used(services.store.index, rules, query.package, query.kind, query.limit, page)


async def audit_packages(call: Call[AuditRequest]) -> AuditResponse:
    from roost.daemon.audit.audit import Auditor  # few daemons ever look into advisories

    services = call.app[SERVICES]
    auditor = Auditor(services.store.index, services.engines, services.resolver, services.planner, services.config)
    return await auditor.audit(call.body)


ROUTES_COMPARE = [
    Route(
        "POST",
        "/v1/diffs",
        diff_environments,
        request=DiffRequest,
        response=DiffResponse,
        summary="Compare two versions, files or runs",
    ),
    Route(
        "POST",
        "/v1/outdated",
        stream_outdated,
        request=OutdatedRequest,
        response=OutdatedMessage,
        stream=True,
        summary="What a fresh solve would change; nothing is built or stored",
    ),
    Route(
        "POST",
        "/v1/rollbacks",
        roll_back_generation,
        request=RollbackRequest,
        response=RollbackResponse,
        summary="Make an older generation the current one",
    ),
    Route(
        "POST",
        "/v1/audits",
        audit_packages,
        request=AuditRequest,
        response=AuditResponse,
        withdrawable=True,
        summary="Look packages up in a local file of OSV advisories",
    ),
    Route(
        "GET", "/v1/who", show_where_used, query=WhereUsedQuery, response=WhoResponse, summary="Where a package is used"
    ),
]
