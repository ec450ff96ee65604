"""Routes of lock files: the ``roost.lock`` beside a definition."""

from __future__ import annotations

from aiohttp import web

from roost.daemon.lock_writing.checks import check_lock_file
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES
from roost.wire.edits import LockFileCheck, LockFileCheckRequest, LockFileMessage, LockFileRequest


async def write_file(call: Call[LockFileRequest]) -> web.StreamResponse:
    return await send_messages(call.request, call.app[SERVICES].lock_writer.stream(call.body))


async def check_file(call: Call[LockFileCheckRequest]) -> LockFileCheck:
    services = call.app[SERVICES]
    return await check_lock_file(services.resolver, services.planner, call.body)


ROUTES_LOCK_FILES = [
    Route(
        "POST",
        "/v1/lock-files",
        write_file,
        request=LockFileRequest,
        response=LockFileMessage,
        stream=True,
        summary="Write the lock file beside a definition; closing the stream withdraws the request",
    ),
    Route(
        "POST",
        "/v1/lock-files/check",
        check_file,
        request=LockFileCheckRequest,
        response=LockFileCheck,
        summary="Compare the lock file beside a definition with the definition; change nothing",
    ),
]
