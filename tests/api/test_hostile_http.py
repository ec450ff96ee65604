"""What is sent over the socket in place of a request: each ends in an error body, and the daemon goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from roost.daemon.server.bodies import BODY_LIMIT

PLANS = "/v1/plans"
BODY = b'{"what": {"cwd": "relative"}}'
UNDERSTOOD = (400, "usage")
"""The answer to ``BODY`` once it is read: the folder is not absolute."""


async def send(path: str, data: bytes) -> tuple[int, dict[str, Any]]:
    """Send ``data`` as it is, and return the status and the error body of the answer."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(data)
        return await asyncio.wait_for(receive(reader), 60)
    finally:
        await end(writer)


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def receive(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """Return the status and the error body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    body = await reader.readexactly(int(fields[b"content-length"]))
    assert fields[b"content-type"].startswith(b"application/json"), body
    return int(head.split()[1]), json.loads(body)


def post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["POST /v1/plans HTTP/1.1", "Host: roost", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def get(target: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: roost", *headers, b"", b""])


ENCODED = [
    (post(gzip.compress(BODY), "Content-Encoding: gzip"), *UNDERSTOOD),
    (post(gzip.compress(BODY), "Content-Encoding: X-GZIP"), *UNDERSTOOD),
    (post(zlib.compress(BODY), "Content-Encoding: deflate"), *UNDERSTOOD),
    (post(BODY, "Content-Encoding: identity"), *UNDERSTOOD),
    (post(BODY, "Content-Encoding: gzip"), 400, "request-invalid"),
    (post(BODY, "Content-Encoding: deflate"), 400, "request-invalid"),
    (post(gzip.compress(BODY)[:-1], "Content-Encoding: gzip"), 400, "request-invalid"),
    (post(gzip.compress(BODY) + b"x", "Content-Encoding: gzip"), 400, "request-invalid"),
    (post(BODY, "Content-Encoding: br"), 415, "request-encoding"),
    (post(BODY, "Content-Encoding: zstd"), 415, "request-encoding"),
    (post(BODY, "Content-Encoding: rot13"), 415, "request-encoding"),
    (post(BODY, "Content-Encoding: gzip, gzip"), 415, "request-encoding"),
    (post(BODY, "Content-Encoding: gzip", "Content-Encoding: deflate"), 415, "request-encoding"),
    (post(b"", "Content-Encoding: gzip"), 400, "request-invalid"),
]
TOO_LARGE = [
    post(b"", length=10**11),
    post(b"", length=BODY_LIMIT + 1),
    post(gzip.compress(b" " * (BODY_LIMIT + 1), 9), "Content-Encoding: gzip"),
    post(zlib.compress(b" " * (BODY_LIMIT + 1), 9), "Content-Encoding: deflate"),
]
MALFORMED = [
    (b"\0\1\2\r\n\r\n", 400, "request-malformed"),
    (b"BREW /v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 400, "request-malformed"),
    (get(b"/v1/runs/\xff\xfe"), 400, "request-malformed"),
    (get(b"http://[::1/"), 400, "request-malformed"),
    (get(b"/v1/version?" + b"a" * 20_000), 400, "request-malformed"),
    (post(b"", length=-5), 400, "request-malformed"),
    (get(b"/v1/version", b"Roost-Protocol: \xff"), 501, "protocol"),
    (get(b"/v1/version", b"Roost-Protocol: " + b"9" * 100_000), 501, "protocol"),
    (get(b"/v1/version", b"Roost-Caller: \xff"), 400, "usage"),
    (get(b"/v1/version", b"Roost-Caller: [" + b"[" * 100_000), 400, "usage"),
    (get(b"/v1/version", b"Roost-Caller: " + b"9" * 100_000), 400, "usage"),
    (get(b"/v1/version", b"Expect: magic"), 417, "request-expectation"),
    (get(b"/v1/runs/%ff"), 404, "not-found"),
    (get(b"/v1/runs/%00"), 404, "not-found"),
    (get(b"/v1/%ff"), 404, "not-found"),
    (b"TRACE /v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method-not-allowed"),
]
BODIES = [
    b'{"what": {"cwd": "/\xed\xa0\x80"}}',
    b'{"what": {"cwd": "/\xff"}}',
    b'{"what": {"cwd": "/\\udcff"}}',
    b'{"what": {"cwd": "/", "generation": ' + b"9" * 100_000 + b"}}",
    b'{"what": {"cwd": "/", "generation": 18446744073709551616}}',
    b'{"what": {"cwd": "/", "generation": -1}}',
    b'{"what": {"cwd": "/", "generation": true}}',
    b'{"what": {"cwd": "/", "generation": 1.5}}',
    b'{"what": {"cwd": "/", "document": {"a": ' + b"9" * 100_000 + b"}}}",
    b'{"what": {"cwd": "/", "document": {"a": 1e999}}}',
]


@pytest.mark.parametrize("kind", ["encoded", "malformed", "bodies"])
async def test_each_ends_in_an_error_body(served: Any, kind: str) -> None:
    cases = {
        "encoded": ENCODED,
        "malformed": MALFORMED,
        "bodies": [(post(each), 400, "request-invalid") for each in BODIES],
    }
    for data, status, code in cases[kind]:
        got, body = await send(served.path, data)
        assert (got, body["code"]) == (status, code), data[:100]
        assert {"message", "hint", "retryable", "fields", "location"} <= set(body)
    assert (await served.get("/v1/version"))[0] == 200


async def test_a_body_over_the_bound_is_413_and_does_not_fill_the_memory(served: Any) -> None:
    for data in TOO_LARGE:
        assert (await send(served.path, data))[1]["code"] == "request-too-large"
    bomb = gzip.compress(b" " * (8 * BODY_LIMIT), 1)
    tracemalloc.start()
    try:
        status, body = await send(served.path, post(bomb, "Content-Encoding: gzip"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (status, body["code"]) == (413, "request-too-large")
    assert peak < 3 * BODY_LIMIT


async def test_a_body_in_chunks_is_bounded_and_may_be_waited_for(served: Any) -> None:
    async def without_end() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 2**20 + 1):
            yield b" " * 2**20

    status, answer = await served.request("POST", PLANS, data=without_end())
    assert (status, answer["code"]) == (413, "request-too-large")
    reader, writer = await asyncio.open_unix_connection(served.path)
    writer.write(b"POST /v1/plans HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    status, answer = await asyncio.wait_for(receive(reader), 60)
    await end(writer)
    assert (status, answer["code"]) == (400, "request-invalid")


WRONG_QUERIES = [
    "/v1/builds/x/logs?follow=null",
    "/v1/runs/x/logs?follow=null",
    "/v1/runs/x/logs?follow=",
    "/v1/runs/x/logs?follow=2",
    "/v1/runs/x/logs?follow=1&follow=1",
    "/v1/runs?limit=null",
    "/v1/runs?limit=true",
    "/v1/runs?limit=0",
    "/v1/runs?limit=-1",
    "/v1/runs?limit=1e1",
    "/v1/runs?limit=1.0",
    "/v1/runs?limit=%D9%A1",
    "/v1/runs?limit=9223372036854775808",
    "/v1/runs?limit=" + "9" * 5_000,
    "/v1/runs?limit=1&limit=2",
    "/v1/builds?limit=x",
    "/v1/environments?limit=1001",
    "/v1/environments?curated=null",
    "/v1/environments?archived=yes",
    "/v1/environments/x?version=0",
    "/v1/environments/x?version=99999999999999999999",
    "/v1/environments/x/versions?before=null",
    "/v1/events?since=null",
    "/v1/events?since=-1",
    "/v1/events?since=9223372036854775808",
    "/v1/who",
    "/v1/who?package=",
    "/v1/who?package=a&package=b",
    "/v1/who?package=a&kind=null",
    "/v1/who?package=a&listed=null",
]


async def test_a_parameter_of_another_type_or_twice_is_refused_before_anything_is_answered(served: Any) -> None:
    for target in WRONG_QUERIES:
        status, body = await served.get(target)
        assert (status, body["code"]) == (400, "request-invalid"), target
        assert body["fields"], target
    for target in ("/v1/runs?limit=3", "/v1/environments?archived=TRUE&limit=1", "/v1/runs?limit=3&unknown=1"):
        assert (await served.get(target))[0] == 200, target


async def _run(served: Any, folder: Path) -> str:
    python = {"user_managed": True, "interpreter": sys.executable}
    what = {"cwd": str(folder), "document": {"name": "own", "python": python}}
    status, answer = await served.request("POST", "/v1/runs", json={"what": what, "command": ["python"]})
    assert status == 200, answer
    return str(answer["run"]["id"])


async def test_a_run_is_reported_only_by_the_process_that_supervises_it(served: Any, short_folder: Path) -> None:
    path = f"/v1/runs/{await _run(served, short_folder)}"
    for number in (2**31, 2**63, 2**64, -1, 0, True, 1.0, "1", int("9" * 4_000)):
        for field in ("pid", "exit_status"):
            if field == "exit_status" and number == 0:
                continue
            status, body = await served.request("PATCH", path, json={"state": "running", field: number})
            assert (status, body["code"]) == (400, "request-invalid"), (field, number)
    for other in (1, os.getppid(), 2**31 - 1):
        status, body = await served.request("PATCH", path, json={"state": "running", "pid": other})
        assert (status, body["code"]) == (403, "process-refused"), other
        assert str(other) in body["message"]
    assert (await served.get(path))[1]["state"] == "preparing"
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            for own in (child.pid, os.getpid()):
                status, body = await served.request("PATCH", path, json={"state": "running", "pid": own})
                assert (status, body["state"]) == (200, "running"), own
        finally:
            child.kill()
    status, body = await served.request("PATCH", path, json={"state": "succeeded", "exit_status": 0})
    assert (status, body["state"]) == (200, "succeeded")
