"""The daemon's own routes, on the real application with a detector of blocking calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from blockbuster import BlockingError

from roost.daemon.config.config import Config, parse_config
from roost.daemon.doctor.examination import CHECKS
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.server.app import create_app
from roost.daemon.server.keys import CONFIG, EVENTS, LIFECYCLE, ROUTES
from roost.daemon.server.peers import create_peer_check
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.sockets import remove_socket
from roost.daemon.services import SERVICES
from roost.model.errors import BuildError, Location
from roost.model.records import FileStamp
from roost.wire.protocol import PROTOCOL


async def test_version_names_protocol_format_and_root(served: Any) -> None:
    status, body = await served.get("/v1/version")
    assert status == 200
    assert body["protocol"] == PROTOCOL
    assert body["store_format"] == 1
    assert body["root"] == served.store.layout.root
    assert body["pid"] == os.getpid()
    assert body["idle"] is True


async def test_another_protocol_gets_501_and_a_clear_word(served: Any) -> None:
    status, body = await served.get("/v1/version", headers={"Roost-Protocol": "99"})
    assert (status, body["code"], body["exit_status"]) == (501, "protocol", 5)
    assert "99" in body["message"]
    assert "stop" in body["hint"]
    assert (body["fields"]["protocol"], body["fields"]["idle"]) == (PROTOCOL, True)


async def test_a_newer_client_can_stop_it(served: Any) -> None:
    headers = {"Roost-Protocol": "99"}
    status, body = await served.request("POST", "/v1/shutdown", json={"if_idle": True}, headers=headers)
    assert (status, body["stopping"]) == (200, True)
    assert served.lifecycle.is_stopping


async def test_this_protocol_and_none_are_served(served: Any) -> None:
    assert (await served.get("/v1/version", headers={"Roost-Protocol": str(PROTOCOL)}))[0] == 200
    assert (await served.get("/v1/version"))[0] == 200


async def test_unknown_path_and_method_are_error_bodies(served: Any) -> None:
    assert (await served.get("/v1/nothing"))[1]["code"] == "not-found"
    status, body = await served.request("DELETE", "/v1/version")
    assert (status, body["code"]) == (405, "method-not-allowed")


@pytest.mark.parametrize(
    ("data", "field"), [(b'{"if_idle": 3}', "if_idle"), (b"[]", ""), (b"{", ""), (b'{"if_idle": "yes"}', "if_idle")]
)
async def test_a_request_that_does_not_fit_names_the_field(served: Any, data: bytes, field: str) -> None:
    status, body = await served.request("POST", "/v1/shutdown", data=data)
    assert (status, body["code"]) == (400, "request-invalid")
    assert body["fields"].get("field", "") == field
    assert not served.lifecycle.is_stopping


async def test_a_query_that_does_not_fit_names_the_field(served: Any) -> None:
    status, body = await served.get("/v1/events?since=soon")
    assert (status, body["fields"]) == (400, {"field": "since"})


async def test_shutdown_of_a_busy_daemon_is_refused_if_asked_so(served: Any) -> None:
    with served.lifecycle.hold("build"):
        status, body = await served.request("POST", "/v1/shutdown", json={"if_idle": True})
        assert (status, body["code"], body["fields"]) == (409, "daemon-busy", {"build": 1})
    assert not served.lifecycle.is_stopping


async def test_nothing_new_is_taken_while_stopping(served: Any) -> None:
    served.lifecycle.stop("test")
    status, body = await served.get("/v1/doctor")
    assert (status, body["code"], body["retryable"]) == (503, "daemon-stopping", True)


async def test_doctor_tells_checks_and_settings_with_origins(served: Any) -> None:
    status, body = await served.get("/v1/doctor")
    assert status == 200
    checks = {check["name"]: check for check in body["checks"]}
    assert set(checks) == {"config", *(check.name for check in CHECKS)}
    assert checks["root-writable"]["state"] == "ok"
    assert checks["socket"]["state"] == "ok"
    assert all(check["hint"] for check in body["checks"] if check["state"] != "ok")
    settings = {setting["name"]: setting for setting in body["settings"]}
    assert settings["conda.channels"] == {"name": "conda.channels", "value": ["conda-forge"], "origin": "default"}
    assert {"root", "socket", "config"} <= set(settings)


async def test_doctor_names_the_variables_that_it_needs_and_never_shows_them(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[pip]\nindex_url = "https://${WHO}:x@127.0.0.1:1/simple"\n[credentials."127.0.0.1:1"]\n'
    text += 'username = "me"\npassword_variable = "WORD"\n'
    path = tmp_path / "config.toml"
    path.write_text(text)
    monkeypatch.setenv("ROOST_CONFIG", str(path))
    served.app[SERVICES].reloader.file = FileStamp(path=str(path), identity="")
    status, body = await served.get("/v1/doctor/needs")
    assert (status, body) == (200, {"variables": ["WHO", "WORD"]})
    for variables, state in (({}, "error"), ({"WORD": "s3cret-s3cret", "WHO": "me"}, "ok")):
        status, body = await served.request("POST", "/v1/doctor", json={"variables": variables})
        checks = {check["name"]: check for check in body["checks"]}
        assert checks["credentials"]["state"] == state
        assert checks["package-index"]["state"] == "error"
        assert "s3cret" not in json.dumps(body)
    assert "Connection refused" in checks["package-index"]["message"]


# -- events ----------------------------------------------------------------------------------------------------------


async def _lines(response: Any, count: int) -> list[dict[str, Any]]:
    return [json.loads(await asyncio.wait_for(response.content.readline(), 10)) for _ in range(count)]


async def test_events_tells_the_past_and_then_the_present_without_a_hole(served: Any) -> None:
    events = served.app[EVENTS]
    for number in range(1200):
        await events.append("test", number=number)
    async with served.session.get("http://roost/v1/events?since=100") as response:
        assert response.content_type == "application/x-ndjson"
        appending = asyncio.create_task(_append(events, 300))
        lines = await _lines(response, 1400)
        await appending
    assert [line["seq"] for line in lines] == list(range(101, 1501))
    assert lines[0]["fields"] == {"number": 100}


async def _append(events: Any, count: int) -> None:
    for _ in range(count):
        await events.append("late")


async def test_events_without_since_begins_now(served: Any) -> None:
    events = served.app[EVENTS]
    await events.append("old")
    async with served.session.get("http://roost/v1/events") as response:
        await events.append("new")
        [line] = await _lines(response, 1)
    assert (line["seq"], line["kind"]) == (2, "new")


async def test_events_marks_a_gap_where_they_are_gone(served: Any) -> None:
    events = served.app[EVENTS]
    for _ in range(10):
        await events.append("test")
    await served.store.index.events.prune(3)
    async with served.session.get("http://roost/v1/events?since=2") as response:
        lines = await _lines(response, 4)
    assert [(line["kind"], line["seq"]) for line in lines] == [("gap", 7), ("test", 8), ("test", 9), ("test", 10)]


async def test_events_marks_a_gap_after_another_history(served: Any) -> None:
    await served.app[EVENTS].append("test")
    async with served.session.get("http://roost/v1/events?since=500") as response:
        [line] = await _lines(response, 1)
    assert (line["kind"], line["seq"]) == ("gap", 1)


class TestHeartbeat:
    @pytest.fixture
    def config(self) -> Config:
        return parse_config(b"[daemon]\nheartbeat_seconds = 0.05\n", "config.toml")

    async def test_a_silent_stream_beats(self, served: Any) -> None:
        async with served.session.get("http://roost/v1/events") as response:
            lines = await _lines(response, 3)
        assert {line["kind"] for line in lines} == {"heartbeat"}


class TestSlowReader:
    @pytest.fixture
    def config(self) -> Config:
        return parse_config(b"[daemon]\nstream_queue = 50\n", "config.toml")

    async def test_it_is_dropped_and_holds_nobody_back(self, served: Any) -> None:
        events = served.app[EVENTS]
        slow = socket.socket(socket.AF_UNIX)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, served.path)
        await loop.sock_sendall(slow, b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        await loop.sock_recv(slow, 16)
        began = time.monotonic()
        async with served.session.get("http://roost/v1/events") as quick:
            for number in range(200):
                await events.append("test", number=number, padding="x" * 20_000)
                [line] = await _lines(quick, 1)
                assert line["fields"]["number"] == number
        assert time.monotonic() - began < 20
        with pytest.raises(ConnectionResetError):
            await _read_to_the_end(slow)
        slow.close()
        await _until_idle(served)


async def _read_to_the_end(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    while True:
        if not await asyncio.wait_for(loop.sock_recv(connection, 2**16), 10):
            raise ConnectionResetError  # the close may be seen before the reset


async def test_a_reader_that_goes_is_forgotten(served: Any) -> None:
    async with served.session.get("http://roost/v1/events"):
        assert not served.lifecycle.is_idle
    await _until_idle(served)


async def _until_idle(served: Any) -> None:
    """The daemon learns of a lost connection a moment after the client let go."""
    for _ in range(200):
        if served.lifecycle.is_idle:
            break
        await asyncio.sleep(0.02)
    assert served.lifecycle.is_idle


# -- errors and cancellation, on routes of the test's own -------------------------------------------------------------


async def _build_fails(call: Call[None]) -> None:
    raise BuildError(
        "https://me:secret@host/ failed", hint="try", location=Location(path="/x", line=3), fields={"step": "solve"}
    )


async def _breaks(call: Call[None]) -> None:
    raise ZeroDivisionError("token=abc")


async def _blocks(call: Call[None]) -> None:
    remove_socket("/nowhere/roost.sock")  # unlink(2) in the event loop: what the detector is there for


async def _breaks_halfway(call: Call[None]) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(call.request)
    await response.write(b"half\n")
    raise ZeroDivisionError("halfway")


ends: list[str] = []
"""What became of requests of ``_slow``: ``begun``, and then ``finished`` or ``cancelled``."""


async def _slow(call: Call[None]) -> str:
    """Go on until the client has gone, and a little longer."""
    ends.append("begun")
    try:
        while (transport := call.request.transport) is not None and not transport.is_closing():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        ends.append("cancelled")
        raise
    ends.append("finished")
    return "done"


async def _wait_for_ends(count: int) -> None:
    async with asyncio.timeout(60):
        while len(ends) < count:
            await asyncio.sleep(0.01)


class TestOwnRoutes:
    """The middleware, over routes made to fail."""

    @pytest.fixture
    def extra(self, served: Any) -> web.Application:
        routes = [
            Route("GET", "/fails", _build_fails),
            Route("GET", "/breaks", _breaks),
            Route("GET", "/blocks", _blocks),
            Route("GET", "/half", _breaks_halfway, stream=True),
            Route("GET", "/slow", _slow, response=str),
            Route("GET", "/withdrawn", _slow, response=str, withdrawable=True),
        ]
        app = create_app(routes)
        app[CONFIG], app[LIFECYCLE], app[ROUTES] = served.app[CONFIG], Lifecycle(0), routes
        return app

    @pytest.fixture
    async def client(self, extra: web.Application, short_root: str) -> Any:
        runner = web.AppRunner(extra, handler_cancellation=True)
        await runner.setup()
        path = f"{short_root}/own.sock"
        loop = asyncio.get_running_loop()
        assert runner.server is not None
        server = await loop.create_unix_server(create_peer_check(runner.server), path)
        yield path
        server.close()
        await runner.cleanup()

    async def _get(self, path: str, route: str) -> tuple[int, Any]:
        from aiohttp import ClientSession, UnixConnector

        async with ClientSession(connector=UnixConnector(path)) as session, session.get(f"http://x{route}") as answer:
            return answer.status, await answer.json()

    async def test_a_refusal_is_told_whole_but_for_credentials(self, client: str) -> None:
        status, body = await self._get(client, "/fails")
        assert status == 500
        assert body == {
            "code": "build-failed",
            "message": "https://***@host/ failed",
            "hint": "try",
            "retryable": False,
            "fields": {"step": "solve"},
            "location": {"path": "/x", "line": 3, "column": None},
            "exit_status": 4,
        }

    async def test_what_nobody_foresaw_is_logged_and_not_told(
        self, client: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        status, body = await self._get(client, "/breaks")
        assert (status, body["code"]) == (500, "internal")
        assert "abc" not in json.dumps(body)
        assert "roost daemon logs" in body["hint"]
        assert "ZeroDivisionError" in caplog.text

    async def test_a_failure_halfway_is_a_reset_and_not_an_end(
        self, client: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        reader, writer = await asyncio.open_unix_connection(client)
        writer.write(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert b"0\r\n\r\n" not in answer
        assert answer.count(b"HTTP/1.1") <= 1
        assert "halfway" in caplog.text

    async def test_a_blocking_call_is_detected(self, client: str, caplog: pytest.LogCaptureFixture) -> None:
        assert (await self._get(client, "/blocks"))[0] == 500
        assert any(record.exc_info and record.exc_info[0] is BlockingError for record in caplog.records)

    @pytest.mark.parametrize(("route", "end"), [("/slow", "finished"), ("/withdrawn", "cancelled")])
    async def test_only_what_may_be_withdrawn_is_cancelled_with_its_client(
        self, client: str, route: str, end: str
    ) -> None:
        ends.clear()
        _, writer = await asyncio.open_unix_connection(client)
        writer.write(f"GET {route} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await _wait_for_ends(1)
        writer.close()
        await _wait_for_ends(2)
        assert ends == ["begun", end]


# -- who may come in --------------------------------------------------------------------------------------------------


async def _answer_to(path: str, uid_of: Any, runner: web.AppRunner) -> bytes:
    loop = asyncio.get_running_loop()
    assert runner.server is not None
    server = await loop.create_unix_server(create_peer_check(runner.server, uid_of), path)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    server.close()
    return answer


def _unknown(connection: socket.socket) -> int:
    raise OSError("no credentials")


@pytest.mark.parametrize(
    ("uid_of", "status"),
    [(lambda connection: os.geteuid(), b"200"), (lambda connection: os.geteuid() + 1, b"403"), (_unknown, b"403")],
)
async def test_only_the_owner_gets_in(served: Any, short_root: str, uid_of: Any, status: bytes) -> None:
    answer = await _answer_to(f"{short_root}/door.sock", uid_of, served.runner)
    assert answer.startswith(b"HTTP/1.1 " + status)
    if status == b"403":
        assert json.loads(answer.split(b"\r\n\r\n")[1])["code"] == "peer-refused"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_real_stranger_is_refused_even_where_the_files_let_him(served: Any, short_root: str) -> None:
    os.chmod(short_root, 0o755)
    os.chmod(served.path, 0o666)
    script = (
        "import os,socket;os.setgroups([]);os.setgid(65534);os.setuid(65534);s=socket.socket(socket.AF_UNIX);"
        f"s.connect({served.path!r});print(s.recv(4096).decode())"
    )
    command = [sys.executable, "-I", "-c", script]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
    assert done.stdout.startswith("HTTP/1.1 403"), done.stderr
    assert "peer-refused" in done.stdout


def test_the_log_has_no_credentials(daemons: Any) -> None:
    daemon = daemons.start("--start")
    daemon.ask("/https://me:secret@host/t/tk-1234/x")
    assert "secret" not in Path(daemon.root, "logs", "daemon.log").read_text()
