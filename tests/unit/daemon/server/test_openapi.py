"""The OpenAPI document of routes that are made for the test: how types, queries and streams are described."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect

from roost.daemon.routes.table import ALL_ROUTES
from roost.daemon.server.openapi import describe_routes
from roost.daemon.server.routing import Call, Route


class LongResponse(msgspec.Struct):
    """A description that does not fit into one line, because the sentence goes on and on until
    it ends here.

    Of no interest to a reader of the summary.
    """

    value: int


class BareResponse(msgspec.Struct):
    value: int


class NeededRequest(msgspec.Struct):
    name: str
    size: int = 0


class OptionalRequest(msgspec.Struct):
    size: int = 0


class PageQuery(msgspec.Struct):
    after: str
    limit: int = 10


async def handler(call: Call[Any]) -> None:
    raise NotImplementedError


def describe(**fields: Any) -> dict[str, Any]:
    route = Route("GET", "/v1/things/{id}", handler, summary="The summary", **fields)
    operation: dict[str, Any] = describe_routes([route], "1")["paths"]["/v1/things/{id}"]["get"]
    return operation


def description(**fields: Any) -> str:
    text: str = describe(**fields)["responses"]["200"]["description"]
    return text


def test_the_first_paragraph_of_a_type_describes_the_response():
    expected = "A description that does not fit into one line, because the sentence goes on and on until it ends here."
    assert description(response=LongResponse) == expected


def test_the_summary_describes_a_response_whose_type_has_no_docstring():
    assert description(response=BareResponse) == "The summary"
    assert description(response=dict[str, str]) == "The summary"
    assert description(stream=True) == "The summary"


def test_further_statuses_have_their_types():
    responses = describe(response=BareResponse, others={202: LongResponse})["responses"]
    assert set(responses) == {"200", "202", "default"}
    assert responses["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/LongResponse")


def test_a_stream_has_the_schema_of_one_line():
    content = describe(response=LongResponse, stream=True)["responses"]["200"]["content"]
    assert content["application/x-ndjson"]["schema"]["$ref"].endswith("/LongResponse")
    assert list(describe(stream=True)["responses"]["200"]["content"]) == ["application/octet-stream"]


def test_a_body_may_be_left_out_if_all_its_fields_may_be():
    assert describe(request=NeededRequest)["requestBody"]["required"] is True
    assert describe(request=OptionalRequest)["requestBody"]["required"] is False


def test_parameters_are_those_of_path_and_query():
    parameters = describe(query=PageQuery)["parameters"]
    found = [(each["name"], each["in"], each["required"]) for each in parameters]
    assert found == [("id", "path", True), ("after", "query", True), ("limit", "query", False)]


def _numbers(kind: msgspec.inspect.Type, path: str, seen: set[object]) -> Iterator[tuple[str, msgspec.inspect.IntType]]:
    """Every integer within ``kind``, with where it is."""
    if isinstance(kind, msgspec.inspect.IntType):
        yield path, kind
    elif isinstance(kind, msgspec.inspect.Metadata):
        yield from _numbers(kind.type, path, seen)
    elif isinstance(kind, msgspec.inspect.UnionType):
        for each in kind.types:
            yield from _numbers(each, path, seen)
    elif isinstance(kind, msgspec.inspect.StructType) and kind.cls not in seen:
        seen.add(kind.cls)
        for field in kind.fields:
            yield from _numbers(field.type, f"{path}.{field.name}", seen)
    elif isinstance(kind, msgspec.inspect.DictType):
        yield from _numbers(kind.value_type, f"{path}{{}}", seen)
    elif isinstance(kind, (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)):
        yield from _numbers(kind.item_type, f"{path}[]", seen)


def test_every_integer_of_a_request_is_bounded() -> None:
    """SQLite has 64 bits, a process id 31: an integer beyond them would be an internal error."""
    kinds = [kind for route in ALL_ROUTES for kind in (route.request, route.query) if kind is not None]
    found = [each for kind in kinds for each in _numbers(msgspec.inspect.type_info(kind), kind.__name__, set())]
    assert len(found) > 10
    unbounded = {
        path
        for path, number in found
        if (number.ge is None and number.gt is None) or (number.le is None and number.lt is None)
    }
    assert unbounded == set()
