"""HTTP over the daemon's Unix socket, for everything but the hot path."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from roost.client.errors import ClientError, unreachable
from roost.client.transport import http

PROTOCOL = 1
T = TypeVar("T")
GONE = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)
"""What connecting to a socket that nobody serves raises."""


class BrokenOffAnswerError(ClientError):
    """The daemon went away while it was asked, or while it answered: what it did of it is not known."""


class Daemon:
    """Requests to the daemon at one socket. Errors are ``ClientError`` with the daemon's own body."""

    def __init__(self, path: str) -> None:
        self.path = path

    def request(self, method: str, target: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that answers."""
        with self.response(method, target, body) as response:
            return _decoded(self._read(response))

    def lines(
        self, method: str, target: str, body: dict[str, Any] | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """The NDJSON that answers, line by line. Closing the iterator closes the stream."""
        with self.response(method, target, body) as response:
            while line := self._guarded(response.readline):
                if line.strip():
                    yield _decoded(line)

    def chunks(self, target: str) -> Generator[bytes, None, None]:
        """The bytes that answer a GET, as they come."""
        with self.response("GET", target, None) as response:
            while chunk := self._guarded(response.read1):
                yield chunk

    @contextmanager
    def response(self, method: str, target: str, body: dict[str, Any] | None) -> Iterator[http.Response]:
        """An open response of status 2xx; anything else is raised."""
        response = self._guarded(lambda: _sent(self.path, method, target, body))
        try:
            if response.status >= 300:
                raise ClientError(_error_body(response.status, self._read(response)))
            yield response
        finally:
            response.close()

    def _read(self, response: http.Response) -> bytes:
        return self._guarded(response.read)

    def _guarded(self, action: Callable[[], T]) -> T:
        """Foreign errors become ours; that nobody serves passes, for whoever would start the daemon."""
        try:
            return action()
        except GONE:
            raise
        except (OSError, http.BrokenOffError) as error:
            said = unreachable(
                f"The daemon at {self.path} broke off: {str(error) or type(error).__name__}",
                "`roost daemon logs` may say why; try again, and the client starts it anew.",
            )
            raise BrokenOffAnswerError(said.body) from error


def _sent(path: str, method: str, target: str, body: dict[str, Any] | None) -> http.Response:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Roost-Protocol": str(PROTOCOL), "Content-Type": "application/json"}
    connection = http.connect(path)
    try:
        return http.send(connection, method, target, headers, data)
    finally:
        connection.close()  # what is left of it belongs to the response


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise unreachable("The daemon's answer is no JSON.", "`roost daemon stop`, then try again.") from error
    return value if isinstance(value, dict) else {"value": value}


def _error_body(status: int, data: bytes) -> dict[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        body = None
    if isinstance(body, dict) and "code" in body:
        return body
    return {"code": "http", "message": f"The daemon answered with status {status}.", "fields": {"status": status}}


def with_variables(body: dict[str, Any], error: ClientError) -> dict[str, Any] | None:
    """``body`` with the variables that the definition turned out to use, from this process's own; ``None`` where the
    error is another, or there is nothing to add. What names no definition (a rerun) takes them itself."""
    asking = body.get("what", body)
    if error.code != "variable-missing" or not isinstance(asking, dict):
        return None
    sent = asking.get("environ", {})
    names = error.body["fields"].get("variables", [])
    found = {name: os.environ[name] for name in names if name in os.environ and name not in sent}
    asking = {**asking, "environ": {**sent, **found}}
    return ({**body, "what": asking} if "what" in body else asking) if found else None
