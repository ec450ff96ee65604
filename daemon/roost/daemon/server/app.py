"""The HTTP application: its routes, and the middlewares of every request.

Request ids, errors, protocol, the caller's variables, activity.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar

import msgspec
from aiohttp import web

from roost.daemon.caller.current import LastCaller, use_caller
from roost.daemon.caller.variables import HEADER, parse_variables
from roost.daemon.credentials.values import begin_request
from roost.daemon.jobs.lifecycle import DaemonStoppingError
from roost.daemon.jobs.views import error_body
from roost.daemon.server.accepting import ConnectionUse
from roost.daemon.server.keys import CALLER, CONNECTION_USE, LIFECYCLE
from roost.daemon.server.routing import Route, json_response, register_routes
from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError
from roost.wire.installation import VERSION
from roost.wire.protocol import PROTOCOL, ErrorBody

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROTOCOL_HEADER = "Roost-Protocol"
REQUEST_HEADER = "Roost-Request"
VERSION_HEADER = "Roost-Version"
"""Of an answer that has to be followed by another request: the client may replace an older daemon before."""

_UNCOUNTED_PATHS = frozenset({"/v1/version", "/v1/shutdown"})
"""Requests that do not count as activity."""
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="-")
_STARTED: ContextVar[bool] = ContextVar("started", default=False)
"""Whether the response to this request has begun. Not stored in the request, whose keys aiohttp 3.14 requires to be
typed and 3.11 does not."""
_numbers = itertools.count(1)


class ProtocolError(CodedError):
    """The client uses another protocol than this daemon."""

    code = "protocol"
    exit_status = 5
    http_status = 501


class RequestRefusedError(InvalidRequestError):
    """aiohttp refused the request for a reason of HTTP."""

    code = "request-refused"


class MethodError(CodedError):
    """The path exists, but not with this method."""

    code = "method-not-allowed"
    exit_status = 2
    http_status = 405


def internal_error_body() -> ErrorBody:
    """Return the error body for an untranslated exception, whose text stays in the log, since it may hold secrets."""
    return ErrorBody(
        code="internal",
        message="Internal error in the daemon.",
        hint="`roost daemon logs` shows the traceback.",
    )


def internal_error_response() -> web.Response:
    """Return the response for an untranslated exception."""
    return json_response(internal_error_body(), 500)


def error_response(error: CodedError) -> web.Response:
    """Return the response for ``error``, without credentials in its texts."""
    return json_response(error_body(error), error.http_status)


@web.middleware
async def number_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Number the requests, so that log lines can be matched with responses, and note that their connections are of
    use."""
    REQUEST_ID.set(str(next(_numbers)))
    begin_request()
    with request.app[CONNECTION_USE].use(request.protocol):
        response = await handler(request)
    if not response.prepared:
        response.headers[REQUEST_HEADER] = REQUEST_ID.get()
        if response.status == 202:
            response.headers[VERSION_HEADER] = VERSION
    return response


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with an error body and the status of its kind. In the middle of a response, reset the
    connection, which no reader mistakes for the end of the response."""
    _STARTED.set(False)
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        response = _translate_exception(request, error)
        if _STARTED.get() and request.transport is not None:
            request.transport.abort()
        return response


def _translate_exception(request: web.Request, error: Exception) -> web.Response:
    if isinstance(error, CodedError):
        return error_response(error)
    if isinstance(error, web.HTTPException):
        return error_response(_translate_http_error(request, error))
    if not isinstance(error, ConnectionError):  # a reader that left a stream is not worth a log line
        log.error("%s %s failed (request %s)", request.method, request.path, REQUEST_ID.get(), exc_info=error)
    return internal_error_response()


async def _mark_started(request: web.Request, response: web.StreamResponse) -> None:
    _STARTED.set(True)


def _translate_http_error(request: web.Request, error: web.HTTPException) -> CodedError:
    if error.status == 404:
        return LookupFailedError(f"There is no {request.path}.", hint="GET /v1/openapi.json lists all routes.")
    if error.status == 405:
        return MethodError(f"{request.path} does not support {request.method}.", hint="See GET /v1/openapi.json.")
    return RequestRefusedError(f"The request was refused: {error.reason}", hint="See GET /v1/openapi.json.")


@web.middleware
async def check_protocol(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse another protocol before anything is read of the request. Without the header, this daemon's is assumed.

    A request to stop is accepted in any protocol, so that a newer client can replace an older daemon.
    """
    requested = request.headers.get(PROTOCOL_HEADER, str(PROTOCOL))
    if requested != str(PROTOCOL) and request.path != "/v1/shutdown":
        raise _protocol_error(requested, idle=request.app[LIFECYCLE].is_idle)
    return await handler(request)


def _protocol_error(requested: str, *, idle: bool) -> ProtocolError:
    return ProtocolError(
        f"This daemon speaks protocol {PROTOCOL}, the client {requested[:20]}.",
        hint="`roost daemon stop`, then try again: the client starts a daemon of its own version.",
        fields={"protocol": PROTOCOL, "version": VERSION, "pid": os.getpid(), "idle": idle},
    )


@web.middleware
async def receive_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Work for the caller whose variables the request has; without any, for the last one as far as it is known."""
    last, header = request.app[CALLER], request.headers.get(HEADER)
    if header is None:
        with use_caller(last.variables):
            return await handler(request)
    variables = parse_variables(header)
    last.note(variables)
    with use_caller(variables):
        return await handler(request)


@web.middleware
async def count_activity(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep the daemon from its idle exit while a request is open; one for its version only restarts the idle timer."""
    lifecycle = request.app[LIFECYCLE]
    if request.path in _UNCOUNTED_PATHS:
        lifecycle.touch()
        return await handler(request)
    if lifecycle.is_stopping:
        raise DaemonStoppingError("The daemon is stopping.", hint="Try again: the client starts a new one.")
    with lifecycle.hold("request"):
        return await handler(request)


def create_app(routes: Iterable[Route]) -> web.Application:
    """Return the application with ``routes``; the caller stores the services in it by their keys."""
    app = web.Application(
        middlewares=[number_requests, answer_errors, check_protocol, receive_caller, count_activity],
    )
    app[CALLER] = LastCaller()
    app[CONNECTION_USE] = ConnectionUse()
    app.on_response_prepare.append(_mark_started)
    register_routes(app, routes)
    return app


def error_line(error: BaseException) -> str:
    """Return ``error`` as one line of JSON, for the client that started a daemon which could not start."""
    body = error_body(error) if isinstance(error, CodedError) else internal_error_body()
    return msgspec.json.encode(body).decode()
