"""Routes that compare environments, check what a fresh solve would change, and roll back to an older generation."""

from __future__ import annotations

from aiohttp import web

from roost.daemon.compare.diff import diff_operands
from roost.daemon.compare.operands import OperandFinder
from roost.daemon.compare.outdated import OutdatedCheck
from roost.daemon.compare.rollback import roll_back
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES
from roost.wire.compare import (
    DiffRequest,
    DiffResponse,
    OutdatedMessage,
    OutdatedRequest,
    RollbackRequest,
    RollbackResponse,
)


async def diff_environments(call: Call[DiffRequest]) -> DiffResponse:
    services, body = call.app[SERVICES], call.body
    if body.platform is not None:
        baseline_packages(body.platform, {})  # raises if it is not a platform
    operands = OperandFinder(services.resolver, services.runs, services.store.index)
    return await diff_operands(*await operands.find_both(body.cwd, body.before, body.after, body.platform))


async def stream_outdated(call: Call[OutdatedRequest]) -> web.StreamResponse:
    services = call.app[SERVICES]
    check = OutdatedCheck(services.resolver, services.store.index, services.engines, services.planner.shared_locks)
    return await send_messages(call.request, check.stream(call.body))


async def roll_back_generation(call: Call[RollbackRequest]) -> RollbackResponse:
    services = call.app[SERVICES]
    return await roll_back(services.resolver, services.store.index, services.events, services.launches, call.body)


ROUTES_COMPARE = [
    Route(
        "POST",
        "/v1/diffs",
        diff_environments,
        request=DiffRequest,
        response=DiffResponse,
        summary="What differs between two",
    ),
    Route(
        "POST",
        "/v1/outdated",
        stream_outdated,
        request=OutdatedRequest,
        response=OutdatedMessage,
        stream=True,
        summary="What a fresh solve would change; nothing is built or kept",
    ),
    Route(
        "POST",
        "/v1/rollbacks",
        roll_back_generation,
        request=RollbackRequest,
        response=RollbackResponse,
        summary="Make an older generation the current one",
    ),
]
