"""Which build a hot path requests, and of which daemon."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from roost.client.launch import begun, hot
from roost.wire.installation import VERSION

ANSWER: dict[str, Any] = {"run": None}


@pytest.mark.parametrize("version", ["", "0.0.9"])
def test_a_daemon_that_may_be_replaced_is_asked_for_nothing(version: str) -> None:
    assert begun.begin_build(pytest.fail, version, ANSWER, "{}", "auto") is None


def test_without_a_daemon_nothing_is_begun() -> None:
    assert begun.begin_build(lambda *words, **options: None, VERSION, ANSWER, "{}", "auto") is None


def test_only_the_same_request_takes_over_the_connection() -> None:
    near, far = socket.socketpair()
    with near, far:
        build = begun.BegunBuild(near, '{"what":{"cwd":"/\\u00e4"},"target":"auto"}', ANSWER)
        assert build.is_for({"target": "auto", "what": {"cwd": "/ä"}})
        far.sendall(b"x")
        assert near.recv(1) == b"x"
        assert not build.is_for({"target": "auto", "what": {"cwd": "/ä", "locked": True}})
        assert far.recv(1) == b"", "withdrawn"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 202 Accepted\r\nRoost-Version: 1\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\n{}", False),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", False),
        (b"", False),
    ],
)
def test_what_is_an_answer_for_a_hot_path(answer: bytes, expected: bool) -> None:
    near, far = socket.socketpair()
    far.sendall(answer)
    far.close()
    reply = hot.read_reply(near)
    assert (reply is not None) == expected
    if reply is not None:
        assert (reply.body, reply.header("content-length"), reply.header("absent")) == ({}, "2", "")
        assert reply.header("roost-version") == ("1" if b"202" in answer else "")
