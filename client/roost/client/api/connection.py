"""Requests to the daemon on behalf of a workspace: the part of ``Workspace`` that knows no other object of the API."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlencode

from roost.client.api.errors import translate_errors
from roost.client.transport.session import Session

Json = dict[str, Any]
PAGE_ROWS = 1000
logger = logging.getLogger("roost")


class WorkspaceConnection:
    """The daemon of this machine and user. It is started at the first request if it does not run.

    ``Workspace`` is a subclass, and users of ``Workspace`` shall not see requests: so the methods are private to the
    package ``roost.client.api``. All raise ``RoostError``; ``DaemonUnreachableError`` if the daemon can't be reached
    or started.
    """

    def __init__(self) -> None:
        self._session = Session(lambda line: logger.warning("%s", line))

    def _request(self, method: str, target: str, body: Json | None = None) -> Json:
        """Send one request and return the JSON answer."""
        with translate_errors():
            return self._session.request(method, target, body)

    def _stream_messages(self, method: str, target: str, body: Json | None = None) -> Generator[Json, None, None]:
        """Yield the messages of an NDJSON answer. Closing the generator closes the stream."""
        with translate_errors(), closing(self._session.lines(method, target, body)) as messages:
            yield from messages

    def _stream_bytes(self, target: str) -> Generator[bytes, None, None]:
        """Yield the bytes that answer a GET, in chunks as they arrive. Closing the generator closes the stream."""
        with translate_errors(), closing(self._session.chunks(target)) as chunks:
            yield from chunks

    def _list_rows(self, target: str, key: str, cursor: str, **filters: object) -> Iterator[Json]:
        """Yield the rows of a paged list: those under ``key`` of each answer. ``cursor``: the query parameter that
        takes the position of the next page."""
        position: object = None
        while True:
            query = {"limit": PAGE_ROWS, **filters, **({cursor: position} if position is not None else {})}
            answer = self._request("GET", f"{target}?{urlencode(query)}")
            rows = answer[key]
            yield from rows
            position = answer.get("next") if "next" in answer else (rows[-1]["id"] if len(rows) == PAGE_ROWS else None)
            if position is None:
                return


def path_to(*parts: str, **query: object) -> str:
    """Return ``/v1/…`` of the quoted ``parts``, with those values of ``query`` that are not ``None``."""
    values = {key: value for key, value in query.items() if value is not None}
    return "/v1/" + "/".join(quote(part, safe="") for part in parts) + (f"?{urlencode(values)}" if values else "")


def process_variables() -> dict[str, str]:
    """Return this process's variables, for a detached run. Variables that are not valid UTF-8 are left out."""
    return {name: value for name, value in os.environ.items() if _is_utf8(name + value)}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
