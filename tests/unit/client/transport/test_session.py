"""A daemon that goes away while it is asked: what only reads is asked again, what changes something never is."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from roost.client import paths
from roost.client.errors import ClientError
from roost.client.transport import autostart
from roost.client.transport.connection import PROTOCOL, AnswerInterruptedError, Daemon
from roost.client.transport.session import Session
from roost.wire.installation import VERSION as OWN

VERSION = json.dumps({"protocol": PROTOCOL, "version": OWN}).encode()


class Flaky:
    """A server that takes a request and hangs up, for the first ``faults`` requests that are not for its version."""

    def __init__(self, path: str) -> None:
        self.faults = 1
        self.dying = False
        """Whether it hangs up on those that ask for its version, too."""
        self.asked: list[str] = []
        self.body = b'{"n": 1}\n{"n": 2}\n'
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                request = connection.recv(65536).split(b"\r\n")[0].decode()
                if request.startswith("STOP"):
                    return
                if " /v1/version " in request:
                    if self.dying:
                        continue
                    self._answer(connection, VERSION)
                    continue
                self.asked.append(request.rpartition(" ")[0])
                if self.faults:
                    self.faults -= 1
                else:
                    self._answer(connection, self.body)

    @staticmethod
    def _answer(connection: socket.socket, body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self._socket.getsockname())
            last.sendall(b"STOP")
        self._thread.join()
        self._socket.close()


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    with TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        path = str(Path(folder, "s"))
        monkeypatch.setenv("ROOST_SOCKET", path)
        server = Flaky(path)
        yield server
        server.close()


def test_what_only_reads_is_asked_again(flaky: Flaky) -> None:
    flaky.body = b'{"state": "running"}'
    assert Session().request("GET", "/v1/runs/r1") == {"state": "running"}
    assert flaky.asked == ["GET /v1/runs/r1"] * 2


def test_a_stream_is_asked_for_again_as_long_as_nothing_came(flaky: Flaky) -> None:
    assert list(Session().lines("GET", "/v1/builds/b/logs")) == [{"n": 1}, {"n": 2}]
    flaky.faults = 1
    assert b"".join(Session().chunks("/v1/runs/r1/logs")) == flaky.body
    assert len(flaky.asked) == 4


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_what_changes_something_is_asked_once(flaky: Flaky, method: str) -> None:
    with pytest.raises(AnswerInterruptedError, match="was lost") as caught:
        Session().request(method, "/v1/builds", {})
    assert (caught.value.exit_status, caught.value.body["retryable"]) == (5, True)
    assert flaky.asked == [f"{method} /v1/builds"]


def test_one_that_goes_away_every_time_is_not_asked_for_ever(flaky: Flaky) -> None:
    flaky.faults = 9
    with pytest.raises(AnswerInterruptedError):
        Session().request("GET", "/v1/runs/r1")
    assert len(flaky.asked) == 2


def test_a_daemon_that_dies_while_it_is_looked_for_is_none(flaky: Flaky):
    """Its socket takes a connection until the very end; another daemon is started then."""
    assert autostart.find_serving(Daemon(paths.socket_path())) == json.loads(VERSION)
    flaky.dying = True
    assert autostart.find_serving(Daemon(paths.socket_path())) is None


def test_a_stream_of_messages_reaches_the_next_daemon_if_this_one_stopped_before(flaky: Flaky) -> None:
    """A daemon may end between two requests of one command; nothing was asked of it yet."""
    session, flaky.faults = Session(), 0
    session._daemon = Daemon("/nonexistent/roost.sock")
    assert list(session.messages("/v1/builds", {})) == [{"n": 1}, {"n": 2}]
    assert flaky.asked == ["POST /v1/builds"]


def test_an_error_in_a_stream_of_messages_is_raised(flaky: Flaky) -> None:
    flaky.faults, flaky.body = 0, b'{"event": "plan"}\n{"event": "error", "error": {"code": "solve-failed"}}\n'
    messages = Session().messages("/v1/builds", {})
    assert next(messages) == {"event": "plan"}
    with pytest.raises(ClientError) as caught:
        next(messages)
    assert caught.value.code == "solve-failed"


def test_a_stream_of_messages_is_asked_for_again_with_the_variables_it_lacked(
    flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "1")
    flaky.faults = 0
    flaky.body = b'{"event": "error", "error": {"code": "variable-missing", "fields": {"variables": ["TOKEN"]}}}\n'
    with pytest.raises(ClientError):
        list(Session().messages("/v1/builds", {"what": {}}))
    assert len(flaky.asked) == 2
