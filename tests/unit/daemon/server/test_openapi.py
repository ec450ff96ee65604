"""The OpenAPI document of routes that are made for the test: how types, queries and streams are described."""

from __future__ import annotations

from typing import Any

import msgspec

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
