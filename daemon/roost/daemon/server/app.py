"""The HTTP application: routes, and what holds for every request (protocol, errors, request ids)."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from importlib.metadata import version as installed_version

import msgspec
from aiohttp import web

from roost.daemon.jobs.lifecycle import DaemonStoppingError
from roost.daemon.jobs.views import error_body
from roost.daemon.server.keys import LIFECYCLE
from roost.daemon.server.routing import Route, json_response, register
from roost.model.errors import CodedError, LookupFailedError
from roost.wire.protocol import PROTOCOL, ErrorBody

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROTOCOL_HEADER = "Roost-Protocol"
REQUEST_HEADER = "Roost-Request"
BODY_LIMIT = 64 * 2**20
"""Bytes of a request: the text of a definition, or a client's variables, never a file."""

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")
_STARTED: ContextVar[bool] = ContextVar("started", default=False)
"""Whether this request's answer is on its way; no key of the request, which aiohttp 3.14 wants typed and 3.11 not."""
VERSION = installed_version("roost")
_numbers = itertools.count(1)


class ProtocolError(CodedError):
    """The client speaks another protocol than this daemon."""

    code = "protocol"
    exit_status = 5
    http_status = 501


class MethodError(CodedError):
    """The path is known, but not with this method."""

    code = "method-not-allowed"
    exit_status = 2
    http_status = 405


def unexpected_body() -> ErrorBody:
    """For an exception that nobody translated: its text stays in the log, since it may hold anything."""
    return ErrorBody(
        code="internal",
        message="The daemon failed in a way that nobody foresaw.",
        hint="`roost daemon logs` has the traceback.",
    )


def error_response(error: CodedError) -> web.Response:
    """The one place that turns errors into responses."""
    return json_response(error_body(error), error.http_status)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Number the requests, so that a log line and a response can be told to belong together."""
    REQUEST_ID.set(str(next(_numbers)))
    response = await handler(request)
    if not response.prepared:
        response.headers[REQUEST_HEADER] = REQUEST_ID.get()
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes an error body with the status of its kind; one in the middle of a response can only reset
    the connection, which no reader takes for an end."""
    _STARTED.set(False)
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        response = _answer(request, error)
        if _STARTED.get() and request.transport is not None:
            request.transport.abort()
        return response


def _answer(request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, CodedError):
        return error_response(error)
    if isinstance(error, web.HTTPException):
        return error_response(_translated(request, error))
    if not isinstance(error, ConnectionError):  # a reader of a stream that has gone is no news
        log.error("%s %s failed (request %s)", request.method, request.path, REQUEST_ID.get(), exc_info=error)
    return json_response(unexpected_body(), 500)


async def _note_start(request: web.Request, response: web.StreamResponse) -> None:
    _STARTED.set(True)


def _translated(request: web.Request, error: web.HTTPException) -> CodedError:
    if error.status == 404:
        return LookupFailedError(f"There is no {request.path}.", hint="GET /v1/openapi.json lists what there is.")
    if error.status == 405:
        return MethodError(f"{request.path} does not take {request.method}.", hint="See GET /v1/openapi.json.")
    return CodedError(f"The request was refused: {error.reason}", fields={"status": error.status})


@web.middleware
async def check_protocol(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Another protocol is refused before anything is read of the request; no header is taken for this one. Only to
    stop may be asked in any, so that a newer client can replace an older daemon."""
    asked = request.headers.get(PROTOCOL_HEADER, str(PROTOCOL))
    if asked != str(PROTOCOL) and request.path != "/v1/shutdown":
        raise _other_protocol(asked, idle=request.app[LIFECYCLE].is_idle)
    return await handler(request)


def _other_protocol(asked: str, *, idle: bool) -> ProtocolError:
    return ProtocolError(
        f"This daemon speaks protocol {PROTOCOL}, the client {asked[:20]}.",
        hint="`roost daemon stop`, then try again: the client starts a daemon of its own version.",
        fields={"protocol": PROTOCOL, "version": VERSION, "pid": os.getpid(), "idle": idle},
    )


@web.middleware
async def count_activity(request: web.Request, handler: Handler) -> web.StreamResponse:
    """An open request keeps the daemon from ending for want of use; asking for its version does not."""
    lifecycle = request.app[LIFECYCLE]
    if request.path in UNCOUNTED:
        lifecycle.touch()
        return await handler(request)
    if lifecycle.is_stopping:
        raise DaemonStoppingError("The daemon is stopping.", hint="Try again: the client starts a new one.")
    with lifecycle.hold("request"):
        return await handler(request)


UNCOUNTED = frozenset({"/v1/version", "/v1/shutdown"})


def create_app(routes: Iterable[Route]) -> web.Application:
    """The application with ``routes``; the caller puts the services in by their keys."""
    app = web.Application(
        middlewares=[identify, answer_errors, check_protocol, count_activity], client_max_size=BODY_LIMIT
    )
    app.on_response_prepare.append(_note_start)
    register(app, routes)
    return app


def error_line(error: BaseException) -> str:
    """One line of JSON for whoever started a daemon that could not start."""
    body = error_body(error) if isinstance(error, CodedError) else unexpected_body()
    return msgspec.json.encode(body).decode()
