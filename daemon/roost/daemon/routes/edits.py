"""Routes that edit environment files, and begin them."""

from __future__ import annotations

from aiohttp import web

from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES
from roost.wire.edits import BeginRequest, BeginResponse, EditMessage, EditRequest


async def edit_file(call: Call[EditRequest]) -> web.StreamResponse:
    return await send_messages(call.request, call.app[SERVICES].editor.stream(call.body))


async def begin_file(call: Call[BeginRequest]) -> BeginResponse:
    from roost.daemon.edits.beginnings import begin_environment

    return await begin_environment(call.body)


ROUTES_EDITS = [
    Route(
        "POST",
        "/v1/edits",
        edit_file,
        request=EditRequest,
        response=EditMessage,
        stream=True,
        summary="Add packages to an environment file and remove others; closing the stream withdraws the request",
    ),
    Route(
        "POST",
        "/v1/edits/begin",
        begin_file,
        request=BeginRequest,
        response=BeginResponse,
        summary="Begin an environment file",
    ),
]
