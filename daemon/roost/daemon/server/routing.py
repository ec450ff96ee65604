"""How a route is written: one ``Route`` value registers it with aiohttp, and describes it in the OpenAPI document.

A handler takes a ``Call`` and returns a value of the route's response type, a ``Reply`` for another status, or an
aiohttp response that it sent itself (streams). Errors are raised as ``CodedError``; one middleware answers with them.

    ROUTES = [Route("POST", "/v1/plans", plans, request=PlanRequest, response=PlanResponse, summary="Decide")]

    async def plans(call: Call[PlanRequest]) -> PlanResponse:
        return await call.app[PLANNER].plan(call.body)
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec
import msgspec.inspect
from aiohttp import web

from roost.daemon.credentials.values import find_values, note_values
from roost.daemon.server.bodies import read_bounded
from roost.model.errors import MALFORMED_JSON, InvalidRequestError

if TYPE_CHECKING:
    from multidict import MultiMapping

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Body = TypeVar("Body")
T = TypeVar("T")


class RequestError(InvalidRequestError):
    """The request's JSON does not have the route's type; ``fields["field"]`` names the place, as in ``what.cwd``."""

    code = "request-invalid"


class ExpectationError(InvalidRequestError):
    """The request has an Expect header that asks for something unknown."""

    code = "request-expectation"
    http_status = 417


_INTEGER = re.compile(r"-?[0-9]{1,1000}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Reply:
    """A response value with a status of its own, which the route lists under ``others``."""

    value: object
    status: int = 200


class Call(Generic[Body]):
    """One request: its decoded body, and typed access to its query and path."""

    def __init__(self, request: web.Request, body: Body, query: object) -> None:
        self.request = request
        self.body = body
        self._query = query

    @property
    def app(self) -> web.Application:
        """The application, which holds the services by their ``AppKey``."""
        return self.request.app

    def path(self, name: str) -> str:
        """Return the value of ``{name}`` in the route's path."""
        return self.request.match_info[name]

    def query(self, kind: type[T]) -> T:
        """Return the query, which the route declares as ``kind``."""
        assert isinstance(self._query, kind), f"{self.request.path} declares another query"
        return self._query


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
        app.router.add_route(route.method, route.path, _create_handler(route), expect_handler=_meet_expectation)


def _create_handler(route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Return aiohttp's handler of ``route``. Query and body are read first: a stream that has begun has no other
    status."""

    async def handle(request: web.Request) -> web.StreamResponse:
        query = convert_query(request.query, route.query) if route.query is not None else None
        body = await read_body(request, route.request) if route.request is not None else None
        note_values(find_values(body))
        return _create_response(route, await _call_handler(route, Call(request, body, query)))

    return handle


async def _meet_expectation(request: web.Request) -> None:
    """Let the client send its body if it waits for that (RFC 9110, 10.1.1). Raises ExpectationError."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise ExpectationError("The request expects what roost does not know", hint="Remove its header Expect.")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # as aiohttp's own handler: the answer has not begun


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
    data = await read_bounded(request) or b"{}"  # a body may be left out if all its fields may be
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise _mismatch_error(error) from error
    except RecursionError as error:
        raise RequestError("The request's JSON is nested too deeply", hint="Reduce the nesting.") from error
    except MALFORMED_JSON as error:
        raise RequestError(f"The request's body is not JSON: {error}", hint="Send application/json.") from error


def convert_query(query: MultiMapping[str], kind: type[T]) -> T:
    """Return the query as ``kind``, its texts converted to the types of the fields. Names of no field are ignored.

    Raises: RequestError if a text does not fit, or if a parameter is repeated.
    """
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    found: dict[str, object] = {}
    for each in info.fields:
        texts = query.getall(each.encode_name, [])
        if len(texts) > 1:
            raise RequestError(
                f"The parameter `{each.encode_name}` is given {len(texts)} times",
                hint="Give it once.",
                fields={"field": each.encode_name},
            )
        if texts:
            found[each.encode_name] = _convert_text(texts[0], each.type)
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise _mismatch_error(error) from error


def _convert_text(text: str, kind: msgspec.inspect.Type) -> object:
    """Return what ``text`` stands for as ``kind``, or ``text`` itself if it is none. A parameter is never null: it is
    left out instead."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    if any(isinstance(each, msgspec.inspect.IntType) for each in kinds) and _INTEGER.fullmatch(text):
        return int(text)
    if any(isinstance(each, msgspec.inspect.BoolType) for each in kinds):
        return _BOOLEANS.get(text.lower(), text)
    return text


def _mismatch_error(error: msgspec.ValidationError) -> RequestError:
    fault, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    at = f" at `{field}`" if field else ""
    return RequestError(
        f"The request is not valid{at}: {fault}",
        hint="GET /v1/openapi.json describes every request; a client of another version may send something else.",
        fields={"field": field},
    )
