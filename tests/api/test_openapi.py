"""The server is what its document says: the same routes, and answers that fit their schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from roost.daemon.routes.table import ALL_ROUTES
from roost.daemon.server.openapi import describe_routes
from roost.daemon.server.routing import Route
from roost.wire.protocol import ErrorBody

DOCUMENT = describe_routes(ALL_ROUTES, "0")
QUERIES = {"/v1/who": "?package=numpy"}
"""What a route must be asked."""
PLAIN = [route for route in ALL_ROUTES if route.method == "GET" and not route.stream and "{" not in route.path]
BODIES = [route for route in ALL_ROUTES if route.request is not None]
NAMED = [route for route in ALL_ROUTES if route.method in ("GET", "DELETE") and "{id}" in route.path]


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"


def _schema(route: Route, status: int) -> dict[str, Any]:
    responses = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    response = responses.get(str(status), responses["default"])
    [content] = response["content"].values()
    return {**content["schema"], "components": DOCUMENT["components"]}


def _check(route: Route, status: int, body: Any) -> None:
    Draft202012Validator(_schema(route, status)).validate(body)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


async def test_every_route_is_in_the_document_and_the_other_way_round(served: Any) -> None:
    registered = {
        (route.method, route.resource.canonical)
        for route in served.app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    status, document = await served.get("/v1/openapi.json")
    assert status == 200
    described = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert registered == described
    assert document["openapi"].startswith("3.1")


def test_no_route_is_said_twice_or_without_a_summary() -> None:
    names = [_name(route) for route in ALL_ROUTES]
    assert len(names) == len(set(names))
    assert [name for name, route in zip(names, ALL_ROUTES, strict=True) if not route.summary] == []


def test_all_references_lead_somewhere_and_all_schemas_are_valid() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    references = set(_references(DOCUMENT))
    assert references
    assert {reference.removeprefix("#/components/schemas/") for reference in references} <= set(schemas)
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_the_error_body_has_what_the_contract_names() -> None:
    properties = DOCUMENT["components"]["schemas"][ErrorBody.__name__]["properties"]
    assert {"code", "message", "hint", "retryable", "fields", "location"} <= set(properties)


@pytest.mark.parametrize("route", PLAIN, ids=_name)
async def test_answers_fit_the_schema(served: Any, route: Route) -> None:
    status, body = await served.get(route.path + QUERIES.get(route.path, ""))
    assert status == route.status
    _check(route, status, body)


@pytest.mark.parametrize("route", NAMED, ids=_name)
async def test_what_is_unknown_is_404_and_fits_the_schema(served: Any, route: Route) -> None:
    status, body = await served.request(route.method, re.sub(r"{\w+}", "unknown", route.path))
    assert status == 404
    assert body["code"] == "not-found"
    _check(route, status, body)


@pytest.mark.parametrize("route", BODIES, ids=_name)
async def test_a_wrong_body_is_400_and_fits_the_schema(served: Any, route: Route) -> None:
    path = re.sub(r"{\w+}", "unknown", route.path)
    status, body = await served.request(route.method, path, data=b"[]")
    assert (status, body["code"]) == (400, "request-invalid")
    _check(route, status, body)


def test_a_validator_that_finds_nothing_would_be_no_test() -> None:
    [route] = [route for route in ALL_ROUTES if route.path == "/v1/version"]
    assert list(Draft202012Validator(_schema(route, 200)).iter_errors({"protocol": "one"}))
    assert list(Draft202012Validator(_schema(route, 500)).iter_errors({"code": 3}))


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/digests", {"what": {}}, 200),
        ("POST", "/v1/plans", {"what": {}, "targets": ["auto", "local"]}, 200),
        ("POST", "/v1/exec", {"what": {}}, 202),
        ("POST", "/v1/runs", {"what": {}, "command": ["python"]}, 202),
        ("POST", "/v1/verify", {}, 200),
        ("PUT", "/v1/leases/{id}", {"subject": "p-1", "holder": "test"}, 404),
        ("DELETE", "/v1/leases/{id}", None, 404),
    ],
)
async def test_answers_of_other_methods_fit_the_schema(
    served: Any, short_folder: Path, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    (short_folder / "requirements.txt").write_text("greet\n")
    sent = {**body, "what": {"cwd": str(short_folder)}} if body and "what" in body else body
    got, answer = await served.request(method, path.replace("{id}", "l-1"), json=sent)
    assert got == status, answer
    [route] = [route for route in ALL_ROUTES if (route.method, route.path) == (method, path)]
    _check(route, status, answer)
