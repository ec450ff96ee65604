"""The OpenAPI document, generated from the routes that the server registers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from roost.daemon.server.routing import Route
from roost.daemon.server.streams import CONTENT_TYPE
from roost.wire.protocol import PROTOCOL, ErrorBody

Json = dict[str, Any]
_REFERENCE = "#/components/schemas/{name}"


def describe_routes(routes: Sequence[Route], version: str) -> Json:
    """Return the OpenAPI 3.1 document of ``routes``. The schema of an NDJSON stream is that of one line."""
    types = _list_types(routes)
    schemas, components = msgspec.json.schema_components(types, schema_hook=_any_value_schema, ref_template=_REFERENCE)
    schemas_by_type = dict(zip(map(_type_key, types), schemas, strict=True))
    paths: Json = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _describe_route(route, schemas_by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "roost", "version": version, "x-protocol": PROTOCOL},
        "paths": paths,
        "components": {"schemas": components},
    }


def _any_value_schema(kind: type) -> Json:
    """Return the schema of ``object``, which stands for any JSON value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(f"{kind} has no JSON schema")


def _list_types(routes: Iterable[Route]) -> list[Any]:
    found: dict[str, Any] = {_type_key(ErrorBody): ErrorBody}
    for route in routes:
        for kind in (route.request, route.response, route.query, *route.others.values()):
            if kind is not None:
                found.setdefault(_type_key(kind), kind)
    return list(found.values())


def _type_key(kind: Any) -> str:  # noqa: ANN401 - any type that msgspec knows: structs, lists, unions
    return f"{getattr(kind, '__module__', '')}.{kind!r}"


def _describe_route(route: Route, schemas: Json) -> Json:
    operation: Json = {"summary": route.summary, "responses": _describe_responses(route, schemas)}
    if parameters := [*_list_path_parameters(route), *_list_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.request is not None:
        content = {"application/json": {"schema": schemas[_type_key(route.request)]}}
        operation["requestBody"] = {"required": not _is_all_optional(route.request), "content": content}
    return operation


def _describe_responses(route: Route, schemas: Json) -> Json:
    found = {str(route.status): _describe_response(route, route.response, schemas, _media_type(route))}
    for status, kind in route.others.items():
        found[str(status)] = _describe_response(route, kind, schemas, "application/json")
    found["default"] = _describe_response(route, ErrorBody, schemas, "application/json")
    return found


def _media_type(route: Route) -> str:
    if not route.stream:
        return "application/json"
    return CONTENT_TYPE if route.response is not None else "application/octet-stream"


def _describe_response(route: Route, kind: Any, schemas: Json, media: str) -> Json:  # noqa: ANN401 - as above
    """Describe a response by the first paragraph of its type's docstring, else by the summary of ``route``: a type such
    as ``dict`` has a docstring of Python's own."""
    is_ours = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    paragraph = (kind.__doc__ or "").split("\n\n")[0] if is_ours else ""
    schema = schemas[_type_key(kind)] if kind is not None else {}
    return {"description": " ".join(paragraph.split()) or route.summary, "content": {media: {"schema": schema}}}


def _list_path_parameters(route: Route) -> list[Json]:
    names = re.findall(r"{(\w+)[^}]*}", route.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _list_query_parameters(route: Route) -> list[Json]:
    if route.query is None:
        return []
    schema = msgspec.json.schema(route.query, schema_hook=_any_value_schema, ref_template=_REFERENCE)
    definition = schema["$defs"][route.query.__name__]
    required = definition.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": each}
        for name, each in definition["properties"].items()
    ]


def _is_all_optional(kind: Any) -> bool:  # noqa: ANN401 - as above
    return all(not field.required for field in msgspec.structs.fields(kind))
