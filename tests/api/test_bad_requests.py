"""What a client may send by mistake or malice: each ends in an error body, and the daemon goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

WHERE = {"cwd": "/tmp"}
PLANS, RUNS = "/v1/plans", "/v1/runs"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PLANS, {"what": {"cwd": "relative"}}),
        (PLANS, {"what": {"cwd": "/tmp\0/x"}}),
        (PLANS, {"what": {**WHERE, "file": "a\0b"}}),
        (PLANS, {"what": {**WHERE, "command": ["python", "x\0.py"]}}),
        (RUNS, {"what": WHERE, "command": ["a\0b"]}),
        (RUNS, {"what": WHERE, "command": ["a"], "variables": {"A=B": "c"}}),
        (RUNS, {"what": WHERE, "command": ["a"], "environ_of_client": {"A": "\0"}}),
    ],
)
async def test_what_no_system_call_would_take_is_refused(served: Any, path: str, body: dict[str, Any]) -> None:
    status, answer = await served.request("POST", path, json=body)
    assert (status, answer["code"]) == (400, "usage")


@pytest.mark.parametrize(
    "data",
    [
        b'{"what": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"x": ' + b'{"x": ' * 50_000 + b"1" + b"}" * 50_001,
        b"\xff\xfe",
        b'{"what": {"cwd": "\\udc80"}}',
        b'{"what": {"cwd": 1e999}}',
        b"[" * 1_000_000,
    ],
)
async def test_malformed_and_deep_json_is_refused(served: Any, data: bytes) -> None:
    status, answer = await served.request("POST", PLANS, data=data)
    assert (status, answer["code"]) == (400, "request-invalid")


@pytest.mark.parametrize("name", ["..%2F..%2Fetc%2Fpasswd", "..", "%2e%2e", "a%00b", "x" * 5000, "%ff", "a%0Ab"])
async def test_ids_lead_nowhere_else(served: Any, name: str) -> None:
    from yarl import URL

    for path in ("builds/{}", "builds/{}/logs", "runs/{}", "runs/{}/logs"):
        url = URL("http://roost/v1/" + path.format(name), encoded=True)
        async with served.session.get(url) as response:
            assert response.status in (400, 404), (path, name)
            assert json.loads(await response.text())["code"] in ("not-found", "usage", "request-invalid")
