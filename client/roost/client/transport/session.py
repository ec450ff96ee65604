"""Requests to the daemon that outlive it: it is started when it is needed, and again if it stopped in between.

What only reads is asked once more of the next daemon where this one went away while it was asked; what changes
something is not, for it may have been done.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from roost.client.errors import ClientError
from roost.client.transport import autostart
from roost.client.transport.connection import GONE, BrokenOffAnswerError, Daemon, with_variables

Json = dict[str, Any]
T = TypeVar("T")


class Session:
    """One client's conversation. ``notify`` is told what the reader should know while waiting."""

    def __init__(self, notify: autostart.Notify = lambda line: None) -> None:
        self._notify = notify
        self._daemon: Daemon | None = None

    @property
    def daemon(self) -> Daemon:
        """The daemon, started if it was not there. Raises ``ClientError`` with exit status 5."""
        if self._daemon is None:
            self._daemon = autostart.connect(self._notify)
        return self._daemon

    def request(self, method: str, target: str, body: Json | None = None) -> Json:
        """One request; a definition's ``${VAR}`` gets its value from this process's variables when asked for."""
        while True:
            try:
                return self._again(method, partial(self._request, method, target, body))
            except ClientError as error:
                again = with_variables(body, error) if body is not None else None
                if again is None:
                    raise
                body = again

    def _request(self, method: str, target: str, body: Json | None) -> Json:
        return self.daemon.request(method, target, body)

    def lines(self, method: str, target: str, body: Json | None = None) -> Generator[Json, None, None]:
        """The NDJSON that answers. Closing the iterator closes the stream."""
        yield from self._stream(method, lambda: self.daemon.lines(method, target, body))

    def chunks(self, target: str) -> Generator[bytes, None, None]:
        """The bytes that answer a GET, as they come."""
        yield from self._stream("GET", lambda: self.daemon.chunks(target))

    def _stream(self, method: str, begin: Callable[[], Generator[T, None, None]]) -> Iterator[T]:
        """Asked again only as long as nothing of it has come."""
        stream, first = self._again(method, lambda: _begun(begin()))
        with closing(stream):
            yield from first
            yield from stream

    def _again(self, method: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except GONE:
            pass
        except BrokenOffAnswerError:
            if method != "GET":
                raise
        self._daemon = None
        return action()


def _begun(stream: Generator[T, None, None]) -> tuple[Generator[T, None, None], list[T]]:
    try:
        return stream, [next(stream)]
    except StopIteration:
        return stream, []
