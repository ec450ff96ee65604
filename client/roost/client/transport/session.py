"""Requests that survive the end of a daemon: it is started when needed, and again if it stopped in between.

A request that only reads is repeated once at the next daemon if this one goes away during it. A request that changes
something is not, since it may have taken effect.
"""

from __future__ import annotations

from _socket import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from roost.client import paths
from roost.client.errors import ClientError
from roost.client.transport import autostart
from roost.client.transport.connection import NOT_SERVING, AnswerInterruptedError, Daemon
from roost.client.transport.patience import Patience
from roost.client.transport.variables import add_missing_variables

Json = dict[str, Any]
T = TypeVar("T")


class Session:
    """Requests of one client. ``notify`` receives the lines to show to a person during a wait."""

    def __init__(self, notify: autostart.Notify = lambda line: None) -> None:
        self._notify = notify
        self._daemon: Daemon | None = None

    @property
    def daemon(self) -> Daemon:
        """The daemon, started if necessary. Raises: ClientError with exit status 5 if it can't be."""
        if self._daemon is None:
            self._daemon = autostart.connect(self._notify)
        return self._daemon

    def request(self, method: str, target: str, body: Json | None = None) -> Json:
        """Send a request and return the answer.

        If the daemon reports missing ``${VAR}`` of a definition, the request is repeated with their values from this
        process's variables.
        """
        while True:
            try:
                return self._with_retry(method, partial(self._request_once, method, target, body))
            except ClientError as error:
                completed = add_missing_variables(body, error) if body is not None else None
                if completed is None:
                    raise
                body = completed

    def _request_once(self, method: str, target: str, body: Json | None) -> Json:
        return self.daemon.request(method, target, body)

    def lines(self, method: str, target: str, body: Json | None = None) -> Generator[Json, None, None]:
        """Yield the objects of an NDJSON answer. Closing the iterator closes the stream."""
        yield from self._stream(method, lambda: self.daemon.lines(method, target, body))

    def messages(self, target: str, body: Json, begun: socket | None = None) -> Generator[Json, None, None]:
        """POST a request and yield the messages of its stream (``wire.Message``).

        ``begun``: a connection over which the request was sent already, to a daemon that needs not be replaced.
        Missing variables are added as by ``request``. Closing the iterator closes the stream.
        Raises: ClientError if the daemon refuses, or if a message is an error.
        """
        while True:
            try:
                yield from self._messages_once(target, body, begun)
            except ClientError as error:
                completed = add_missing_variables(body, error)
                if completed is None:
                    raise
                body, begun = completed, None
            else:
                return

    def _messages_once(self, target: str, body: Json, begun: socket | None) -> Generator[Json, None, None]:
        lines = self.lines("POST", target, body) if begun is None else self._begun_lines(begun)
        with closing(lines):
            for message in lines:
                if message.get("event") == "error":
                    raise ClientError(message["error"])
                yield message

    def _begun_lines(self, connection: socket) -> Generator[Json, None, None]:
        """Yield the objects of the answer that comes over ``connection``, and use its daemon from then on."""
        path = paths.socket_path()
        self._daemon = Daemon(path, Patience(path, self._notify))
        return self._daemon.lines_over(connection)

    def chunks(self, target: str) -> Generator[bytes, None, None]:
        """Yield the bytes of the answer to a GET as they arrive."""
        yield from self._stream("GET", lambda: self.daemon.chunks(target))

    def _stream(self, method: str, begin: Callable[[], Generator[T, None, None]]) -> Iterator[T]:
        """Yield from a stream, which is requested again only as long as nothing of it has arrived."""
        stream, first = self._with_retry(method, lambda: _start_stream(begin()))
        with closing(stream):
            yield from first
            yield from stream

    def _with_retry(self, method: str, action: Callable[[], T]) -> T:
        """Run ``action``, and once more at the next daemon if this one is away, or went away during a GET."""
        try:
            return action()
        except NOT_SERVING:
            pass
        except AnswerInterruptedError:
            if method != "GET":
                raise
        self._daemon = None
        return action()


def _start_stream(stream: Generator[T, None, None]) -> tuple[Generator[T, None, None], list[T]]:
    """Return the stream and its first element, if it has one."""
    try:
        return stream, [next(stream)]
    except StopIteration:
        return stream, []
