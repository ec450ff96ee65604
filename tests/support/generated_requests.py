"""Requests that schemathesis generates from the OpenAPI document, and what every answer to them has to be."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
import schemathesis
from docker.transport import UnixHTTPAdapter
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.core import NOT_SET

from roost.daemon.routes.table import ALL_ROUTES
from roost.daemon.server.openapi import describe_routes
from roost.daemon.server.routing import Route

DOCUMENT = describe_routes(ALL_ROUTES, "0")
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
ADDRESS = "http://roost"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not answer: a request reaches nothing outside of this machine."""
SECONDS = 60


class Server:
    """A daemon on its socket, and what it knows, for requests that get further than a generated name."""

    def __init__(self, socket: str, folder: Path) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount(ADDRESS, UnixHTTPAdapter(f"http+unix://{socket}", SECONDS))
        self._session.headers["Roost-Caller"] = json.dumps({"http_proxy": NOWHERE, "https_proxy": NOWHERE})
        self.folder = folder
        self.known: dict[str, list[str]] = {}

    def close(self) -> None:
        self._session.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send one request and return its answer, which must be a success."""
        with self._session.request(method, ADDRESS + path, json=body, timeout=SECONDS) as response:
            assert response.status_code < 300, response.text
            return response.json() if "ndjson" not in response.headers["Content-Type"] else response.text

    def prepare(self) -> None:
        """Register an environment, lease it, and record a run and a build, each under a name of ``known``."""
        document = {"name": "own", "python": {"user_managed": True, "interpreter": sys.executable}}
        what = {"cwd": str(self.folder), "document": document}
        self.ask("POST", "/v1/environments", {"what": what, "labels": ["prod"]})
        run = self.ask("POST", "/v1/runs", {"what": what, "command": ["true"]})["run"]["id"]
        self.ask("PUT", "/v1/leases/l1", {"subject": "own:1", "holder": "test", "kind": "environment"})
        self.known = {"id": [run, "l1"], "name": ["own"], "label": ["prod"]}

    def send(self, case: Case) -> None:
        """Send ``case``, and check its answer: its type, and its status and error body if it is a failure."""
        fields = case.as_transport_kwargs(base_url=ADDRESS)
        fields["headers"] = {**(fields.get("headers") or {}), "Connection": "close"}
        method, path = case.method.upper(), case.operation.path
        [route] = [each for each in ALL_ROUTES if (each.method, each.path) == (method, path)]
        with self._session.request(**fields, stream=True, timeout=SECONDS) as response:
            status = response.status_code
            assert status != 404 or "body" not in fields, fields
            if route.stream and status == route.status and (route.response is None or path == "/v1/events"):
                return  # bytes, or without an end
            for value in self._read(response):
                check(route, status, value)

    def _read(self, response: requests.Response) -> Iterator[object]:
        kind = response.headers.get("Content-Type", "")
        if "ndjson" in kind:
            yield from map(json.loads, response.iter_lines())
        else:
            assert kind.startswith("application/json"), (response.status_code, kind, response.text[:200])
            yield response.json()


def check(route: Route, status: int, value: Any) -> None:
    """Check one answer, or one line of a stream: it fits the document, and nobody failed to foresee it."""
    responses = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    [content] = responses.get(str(status), responses["default"])["content"].values()
    Draft202012Validator({**content["schema"], "components": DOCUMENT["components"]}).validate(value)
    failure = value if status >= 400 else value.get("error") if isinstance(value, dict) else None
    if isinstance(failure, dict) and "code" in failure:
        assert failure["code"] != "internal", failure
        assert "stopped on" not in failure["message"], failure  # an exception that became an error with a code
        assert failure["message"], failure


@st.composite
def cases(draw: st.DrawFn, route: Route, server: Server, mode: GenerationMode) -> Case:
    """A request to ``route``: as the document says, or as it does not say; often with names and a folder that exist."""
    case = draw(SCHEMA[route.path][route.method].as_strategy(generation_mode=mode))
    for name in list(case.path_parameters or ()):
        if draw(st.booleans()):
            case.path_parameters[name] = draw(st.sampled_from(server.known.get(name, ["x"])))
    body = case.body
    if isinstance(body, dict) and body is not NOT_SET:
        for place in (body, body.get("what")):
            if isinstance(place, dict) and "cwd" in place and draw(st.integers(0, 3)):
                place["cwd"] = str(server.folder)
        if body.get("detach") and "command" in body:
            body["command"] = ["true"]  # it would be started
        if route.path == "/v1/edits/begin":  # what it creates stays in the folder
            body.update({"cwd": str(server.folder)} if "/" in str(body.get("cwd")) else {})
            body.update({"path": body["path"].replace("/", "_")} if isinstance(body.get("path"), str) else {})
    return case
