"""How a route is written: one ``Route`` value registers it with aiohttp, and describes it in the OpenAPI document.

A handler takes a ``Call`` and returns a value of the route's response type, a ``Reply`` for another status, or an
aiohttp response that it sent itself (streams). Errors are raised as ``CodedError``; one middleware answers with them.

    ROUTES = [Route("POST", "/v1/plans", plans, request=PlanRequest, response=PlanResponse, summary="Decide")]

    async def plans(call: Call[PlanRequest]) -> PlanResponse:
        return await call.app[PLANNER].plan(call.body)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import msgspec
from aiohttp import web

from roost.daemon.credentials.values import find_values, note_values
from roost.model.errors import InvalidRequestError

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Body = TypeVar("Body")
T = TypeVar("T")


class RequestError(InvalidRequestError):
    """The request's JSON does not have the route's type; ``fields["field"]`` names the place, as in ``what.cwd``."""

    code = "request-invalid"


@dataclass(frozen=True)
class Reply:
    """A response value with a status of its own, which the route lists under ``others``."""

    value: object
    status: int = 200


class Call(Generic[Body]):
    """One request: its decoded body, and typed access to its query and path."""

    def __init__(self, request: web.Request, body: Body, route: Route) -> None:
        self.request = request
        self.body = body
        self.route = route

    @property
    def app(self) -> web.Application:
        """The application, which holds the services by their ``AppKey``."""
        return self.request.app

    def path(self, name: str) -> str:
        """Return the value of ``{name}`` in the route's path."""
        return self.request.match_info[name]

    def query(self, kind: type[T]) -> T:
        """Return the query as ``kind``, which must be the route's ``query``. Raises RequestError if it does not fit."""
        assert kind is self.route.query, f"{self.route.path} declares another query"
        return convert_query(self.request, kind)


Handler = Callable[[Call[Any]], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Route:
    """One method on one path.

    ``request`` and ``response`` are msgspec types. With ``stream`` the response is NDJSON, one ``response`` a line,
    or raw bytes if ``response`` is ``None``. ``others``: further statuses of replies, and their types.
    """

    method: Method
    path: str
    handler: Handler
    request: Any = None
    response: Any = None
    summary: str = ""
    query: Any = None
    stream: bool = False
    status: int = 200
    withdrawable: bool = False
    """Cancel the handler if the client leaves, as always for a stream. Other handlers run to their end."""
    others: Mapping[int, Any] = field(default_factory=dict)


def register_routes(app: web.Application, routes: Iterable[Route]) -> None:
    """Add ``routes`` to the application's router."""
    for route in routes:
        app.router.add_route(route.method, route.path, _create_handler(route))


def _create_handler(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await read_body(request, route.request) if route.request is not None else None
        note_values(find_values(body))
        return _create_response(route, await _call_handler(route, Call(request, body, route)))

    return handle


async def _call_handler(route: Route, call: Call[Any]) -> object:
    if route.stream or route.withdrawable:
        return await route.handler(call)
    return await asyncio.shield(asyncio.ensure_future(route.handler(call)))


def _create_response(route: Route, result: object) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    if isinstance(result, Reply):
        return json_response(result.value, result.status)
    return json_response(result, route.status)


def json_response(value: object, status: int = 200) -> web.Response:
    """Return a response with ``value`` as JSON."""
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


async def read_body(request: web.Request, kind: type[T]) -> T:
    """Return the request's JSON as ``kind``. Raises RequestError, which names the field that does not fit."""
    data = await request.read() or b"{}"  # a body may be left out if all its fields may be
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _mismatch_error(error) from error
    except RecursionError as error:
        raise RequestError("The request's JSON is nested too deeply", hint="Reduce the nesting.") from error
    except msgspec.DecodeError as error:
        raise RequestError(f"The request's body is not JSON: {error}", hint="Send application/json.") from error


def convert_query(request: web.Request, kind: type[T]) -> T:
    """Return the query string as ``kind``, its texts converted to the types of the fields. Raises RequestError."""
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise _mismatch_error(error) from error


def _mismatch_error(error: msgspec.ValidationError) -> RequestError:
    fault, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    at = f" at `{field}`" if field else ""
    return RequestError(
        f"The request is not valid{at}: {fault}",
        hint="GET /v1/openapi.json describes every request; a client of another version may send something else.",
        fields={"field": field},
    )
