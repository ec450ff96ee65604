"""Routes that compare environments, ask what a fresh solve would change, and go back to an older generation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from aiohttp import web

from roost.daemon.compare.diff import lock_diff
from roost.daemon.compare.operands import find_sides
from roost.daemon.compare.outdated import find_outdated
from roost.daemon.compare.rollback import roll_back
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.jobs.views import error_body
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES, Services
from roost.model.canonical.differences import find_differences
from roost.model.canonical.form import canonicalise_settings
from roost.model.errors import CodedError
from roost.wire.builds import Message
from roost.wire.compare import (
    DiffRequest,
    DiffResponse,
    OutdatedMessage,
    OutdatedRequest,
    RollbackRequest,
    RollbackResponse,
)
from roost.wire.plans import Difference


async def diffs(call: Call[DiffRequest]) -> DiffResponse:
    body = call.body
    if body.platform is not None:
        baseline_packages(body.platform, {})  # refuses what is no platform
    before, after = await find_sides(call.app[SERVICES], body.cwd, body.before, body.after, body.platform)
    definition = await asyncio.to_thread(_differences, before.resolved.canonical, after.resolved.canonical)
    settings = await asyncio.to_thread(
        _differences, canonicalise_settings(before.resolved.settings), canonicalise_settings(after.resolved.settings)
    )
    lock = await lock_diff(before.lock, after.lock) if before.lock and after.lock else None
    return DiffResponse(
        before=before.view,
        after=after.view,
        differ=bool(definition or settings or (lock and (lock.packages or lock.provider))),
        definition=definition,
        settings=settings,
        lock=lock,
        warnings=[*before.resolved.warnings, *after.resolved.warnings],
    )


def _differences(before: bytes, after: bytes) -> list[Difference]:
    return [Difference(**each) for each in find_differences(before, after)] if before != after else []


async def outdated(call: Call[OutdatedRequest]) -> web.StreamResponse:
    work, body = call.app[SERVICES], call.body
    return await send_messages(call.request, _outdated(work, body))


async def _outdated(work: Services, body: OutdatedRequest) -> AsyncGenerator[Message, None]:
    """What the solve tells while it runs, and then its result. Closing it cancels the solve."""
    told: asyncio.Queue[Message | None] = asyncio.Queue()
    solving = asyncio.create_task(find_outdated(work, body, told.put_nowait))
    solving.add_done_callback(lambda _: told.put_nowait(None))
    begun = False
    try:
        while (message := await told.get()) is not None:
            begun = True
            yield message
        yield OutdatedMessage(event="result", outdated=await solving)
    except CodedError as error:
        if not begun:  # the answer has no status yet, so that it gets the error's own
            raise
        yield OutdatedMessage(event="error", error=error_body(error))
    finally:
        solving.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await solving


async def rollbacks(call: Call[RollbackRequest]) -> RollbackResponse:
    return await roll_back(call.app[SERVICES], call.body)


ROUTES_COMPARE = [
    Route("POST", "/v1/diffs", diffs, request=DiffRequest, response=DiffResponse, summary="What differs between two"),
    Route(
        "POST",
        "/v1/outdated",
        outdated,
        request=OutdatedRequest,
        response=OutdatedMessage,
        stream=True,
        summary="What a fresh solve would change; nothing is built or kept",
    ),
    Route(
        "POST",
        "/v1/rollbacks",
        rollbacks,
        request=RollbackRequest,
        response=RollbackResponse,
        summary="Make an older generation the current one",
    ),
]
