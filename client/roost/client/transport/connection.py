"""Requests to the daemon at one socket, JSON in and out, for everything but the hot path."""

from __future__ import annotations

import json
from _socket import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from roost.client.caller import HEADER, caller_header
from roost.client.errors import ClientError, unreachable_error
from roost.client.transport import http

PROTOCOL = 1
Json = dict[str, Any]
T = TypeVar("T")
NOT_SERVING = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
"""Errors of a connection to a socket that no daemon serves."""


class AnswerInterruptedError(ClientError):
    """The daemon went away during a request or its answer. Whether the request took effect is unknown."""


class Daemon:
    """The daemon at the socket ``path``.

    Every request raises ClientError with the daemon's own error body, AnswerInterruptedError if the daemon goes away,
    and one of NOT_SERVING if no daemon serves the socket. ``on_silence``: see ``http.send``; without it a request to a
    daemon that does not answer waits without a word.
    """

    def __init__(
        self,
        path: str,
        on_silence: http.OnSilence | None = None,
        silence_seconds: float = http.SILENCE_SECONDS,
    ) -> None:
        self.path = path
        self._on_silence = on_silence
        self._silence_seconds = silence_seconds

    def request(self, method: str, target: str, body: Json | None = None) -> Json:
        """Return the JSON object of the answer."""
        with self.response(method, target, body) as response:
            return _decode_object(self._translate_errors(response.read))

    def lines(self, method: str, target: str, body: Json | None = None) -> Generator[Json, None, None]:
        """Yield the objects of an NDJSON answer. Closing the iterator closes the stream."""
        yield from self._read_lines(lambda: self._send_request(method, target, body))

    def lines_over(self, connection: socket) -> Generator[Json, None, None]:
        """Yield the same for a request that was sent over ``connection`` already."""
        yield from self._read_lines(lambda: http.receive(connection, self._on_silence, self._silence_seconds))

    def _read_lines(self, begin: Callable[[], http.Response]) -> Generator[Json, None, None]:
        with self._open(begin) as response:
            while line := self._translate_errors(response.readline):
                if line.strip():
                    yield _decode_object(line)

    def chunks(self, target: str) -> Generator[bytes, None, None]:
        """Yield the bytes of the answer to a GET as they arrive."""
        with self.response("GET", target, None) as response:
            while chunk := self._translate_errors(response.read1):
                yield chunk

    @contextmanager
    def response(self, method: str, target: str, body: Json | None) -> Iterator[http.Response]:
        """Open a response of status 2xx. Raises: ClientError for any other status."""
        with self._open(lambda: self._send_request(method, target, body)) as response:
            yield response

    @contextmanager
    def _open(self, begin: Callable[[], http.Response]) -> Iterator[http.Response]:
        response = self._translate_errors(begin)
        try:
            if response.status >= 300:
                raise ClientError(_response_error(response.status, self._translate_errors(response.read)))
            yield response
        finally:
            response.close()

    def _send_request(self, method: str, target: str, body: Json | None) -> http.Response:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Roost-Protocol": str(PROTOCOL), HEADER: caller_header(), "Content-Type": "application/json"}
        connection = http.connect(self.path)
        try:
            return http.send(connection, method, target, headers, data, self._on_silence, self._silence_seconds)
        finally:
            connection.close()  # closes nothing if the response took over the descriptor

    def _translate_errors(self, action: Callable[[], T]) -> T:
        """Run ``action``; raise its I/O errors as AnswerInterruptedError, except those of NOT_SERVING."""
        try:
            return action()
        except NOT_SERVING:
            raise
        except (OSError, http.ResponseTruncatedError) as error:
            unreachable = unreachable_error(
                f"The connection to the daemon at {self.path} was lost: {str(error) or type(error).__name__}",
                "`roost daemon logs` may show why; try again, and the client starts it again.",
            )
            raise AnswerInterruptedError(unreachable.body) from error


def _decode_object(data: bytes) -> Json:
    """Decode JSON; any value but an object becomes ``{"value": …}``."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise unreachable_error(
            "The daemon's answer is not valid JSON.", "`roost daemon stop`, then try again."
        ) from error
    return value if isinstance(value, dict) else {"value": value}


def _response_error(status: int, data: bytes) -> Json:
    """Return the error body of an answer, or one of code ``http`` if it has none."""
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if isinstance(body, dict) and "code" in body:
        return body
    return {"code": "http", "message": f"The daemon answered with status {status}.", "fields": {"status": status}}
