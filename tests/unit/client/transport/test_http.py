"""The client's HTTP: every way to cut an answer into pieces gives the same, and a part is never taken for the whole."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client.transport import http

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: %d\r\n\r\n%s"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\nTrailer: x\r\n\r\n"
bodies = st.binary(max_size=300)


@contextmanager
def answering(*pieces: bytes) -> Iterator[http.Response]:
    """A response whose bytes come in these pieces, and then the end."""
    near, far = socket.socketpair()

    def write() -> None:
        with far:
            for piece in pieces:
                far.sendall(piece)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with closing(http.Response(open(near.detach(), "rb"))) as response:
            yield response
    finally:
        thread.join()


def chunks(pieces: list[bytes]) -> bytes:
    return b"".join(b"%x; name=value\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(cuts)]


@given(st.lists(bodies, max_size=4), st.lists(st.integers(0, 2000), max_size=5), st.booleans())
def test_however_it_is_cut_the_body_is_the_same(parts: list[bytes], places: list[int], chunked: bool) -> None:
    body = b"".join(parts)
    data = CHUNKED % chunks(parts) if chunked else LENGTH % (len(body), body)
    with answering(*split(data, places)) as response:
        assert response.status == 200
        assert response.read() == body
        assert response.read() == b""
    with answering(*split(data, places)) as response:
        lines = list(iter(response.readline, b""))
        assert lines == body.splitlines(keepends=True) if b"\r" not in body else b"".join(lines) == body


@given(bodies, st.booleans(), st.data())
def test_a_part_is_never_taken_for_the_whole(body: bytes, chunked: bool, data: st.DataObject) -> None:
    whole = CHUNKED % chunks([body]) if chunked else LENGTH % (len(body), body)
    short = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(http.ResponseTruncatedError), answering(short) as response:
        response.read()


def test_a_body_without_a_length_goes_to_the_end() -> None:
    with answering(b"HTTP/1.1 404 Not Found\r\n\r\nab\nc") as response:
        assert (response.status, response.readline(), response.read()) == (404, b"ab\n", b"c")


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nTransfer"])
def test_what_is_no_answer_is_said(data: bytes) -> None:
    with pytest.raises(http.ResponseTruncatedError, match="its answer"), answering(data):
        pass


@pytest.mark.parametrize("chunk", [b"zz\r\nab\r\n", b"\r\n", b"2\r\nabc\r\n"])
def test_chunks_that_are_none_are_said(chunk: bytes) -> None:
    with pytest.raises(http.ResponseTruncatedError, match="chunk"), answering(CHUNKED % chunk) as response:
        response.read()


def test_what_is_asked_is_one_request_whatever_the_target_holds(short_folder: Path) -> None:
    path = str(short_folder / uuid4().hex[:8])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        connection = http.connect(path)
        other, _ = server.accept()
        with other:
            other.sendall(LENGTH % (2, b"{}"))
            with closing(http.send(connection, "POST", "/v1/x y\r\nEvil: é", {"A": "b"}, b"{}")) as response:
                assert response.read() == b"{}"
            sent = other.recv(10_000).split(b"\r\n")
    assert sent[0] == b"POST /v1/x%20y%0D%0AEvil:%20%C3%A9 HTTP/1.1"
    assert sent[1:] == [b"Host: roost", b"Connection: close", b"A: b", b"Content-Length: 2", b"", b"{}"]


def test_nobody_serves(short_folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        http.connect(str(short_folder / "nothing"))
    path = str(short_folder / "left")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
    with pytest.raises(ConnectionRefusedError):
        http.connect(path)
