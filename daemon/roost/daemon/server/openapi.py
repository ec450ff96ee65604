"""The OpenAPI document, made from the same route table that the server is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from roost.daemon.server.ndjson import CONTENT_TYPE
from roost.daemon.server.routing import Route
from roost.wire.protocol import PROTOCOL, ErrorBody

Json = dict[str, Any]
REFERENCE = "#/components/schemas/{name}"


def openapi(routes: Sequence[Route], version: str) -> Json:
    """OpenAPI 3.1 of ``routes``. Streams are NDJSON: the schema is that of one line."""
    kinds = _kinds(routes)
    schemas, components = msgspec.json.schema_components(kinds, schema_hook=_anything, ref_template=REFERENCE)
    by_kind = dict(zip(map(_key, kinds), schemas, strict=True))
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "roost", "version": version, "x-protocol": PROTOCOL},
        "paths": paths,
        "components": {"schemas": components},
    }


def _anything(kind: type) -> Json:
    """``object`` in a type means any JSON value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(f"{kind} has no JSON schema")


def _kinds(routes: Iterable[Route]) -> list[Any]:
    found: dict[str, Any] = {_key(ErrorBody): ErrorBody}
    for route in routes:
        for kind in (route.request, route.response, route.query, *route.others.values()):
            if kind is not None:
                found.setdefault(_key(kind), kind)
    return list(found.values())


def _key(kind: Any) -> str:  # noqa: ANN401 - any type that msgspec knows: structs, lists, unions
    return f"{getattr(kind, '__module__', '')}.{kind!r}"


def _operation(route: Route, schemas: Json) -> Json:
    operation: Json = {"summary": route.summary, "responses": _responses(route, schemas)}
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.request is not None:
        content = {"application/json": {"schema": schemas[_key(route.request)]}}
        operation["requestBody"] = {"required": not _may_be_empty(route.request), "content": content}
    return operation


def _responses(route: Route, schemas: Json) -> Json:
    found = {str(route.status): _response(route.response, schemas, _media(route))}
    for status, kind in route.others.items():
        found[str(status)] = _response(kind, schemas, "application/json")
    found["default"] = _response(ErrorBody, schemas, "application/json")
    return found


def _media(route: Route) -> str:
    if not route.stream:
        return "application/json"
    return CONTENT_TYPE if route.response is not None else "application/octet-stream"


def _response(kind: Any, schemas: Json, media: str) -> Json:  # noqa: ANN401 - as above
    schema = schemas[_key(kind)] if kind is not None else {}
    return {"description": (getattr(kind, "__doc__", "") or "").split("\n")[0], "content": {media: {"schema": schema}}}


def _path_parameters(route: Route) -> list[Json]:
    names = re.findall(r"{(\w+)[^}]*}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(route: Route) -> list[Json]:
    if route.query is None:
        return []
    schema = msgspec.json.schema(route.query, schema_hook=_anything, ref_template=REFERENCE)
    definition = schema["$defs"][route.query.__name__]
    required = definition.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": each}
        for name, each in definition["properties"].items()
    ]


def _may_be_empty(kind: Any) -> bool:  # noqa: ANN401 - as above
    return all(not field.required for field in msgspec.structs.fields(kind))
