"""Accept connections, no more than the process has descriptors for: the others wait in the socket's backlog."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from aiohttp.web_protocol import RequestHandler

log = logging.getLogger(__name__)
OPEN_FILES = 8192
"""A thousand clients at once need more than the usual 1,024 descriptors."""
_SHARE = 0.6
"""Part of all descriptors that connections may take. The rest is for what is done for them: files, processes, the
index, registries."""
_PAUSE = 0.05
_IDLE_LOOKS = 10
"""Looks, ``_PAUSE`` apart, after which a connection without a request is closed if others wait: its last answer has
left by then. Not a time: after a stall of this process the requests that came meanwhile are not read yet."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ConnectionUse:
    """Which of the open connections are only kept for further requests (HTTP/1.1 keep-alive)."""

    def __init__(self) -> None:
        self._busy: set[RequestHandler] = set()
        self._idle: dict[RequestHandler, int] = {}
        """How often each was seen idle, one time after the other."""

    @contextmanager
    def use(self, connection: RequestHandler) -> Iterator[None]:
        """Note that ``connection`` is of use while the block runs."""
        self._busy.add(connection)
        try:
            yield
        finally:
            self._busy.discard(connection)
            self._idle.pop(connection, None)

    def close_idle(self, connections: Iterable[RequestHandler]) -> None:
        """Close those of ``connections`` that have been idle for a while; clients may not rely on them (RFC 9112, 9.3).
        Called again and again while there are too many."""
        self._idle = {each: self._idle.get(each, 0) + 1 for each in connections if each not in self._busy}
        for connection, looks in self._idle.items():
            if looks > _IDLE_LOOKS and connection.transport is not None:
                connection.transport.close()


def raise_file_limit() -> None:
    """Raise the soft limit of open files to ``OPEN_FILES``, or to the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def connection_limit() -> int:
    """Return how many connections may be open at a time."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return int(_SHARE * (OPEN_FILES if soft == resource.RLIM_INFINITY else soft))


async def accept_connections(
    listener: socket.socket,
    protocol_factory: Callable[[], asyncio.Protocol],
    count_open: Callable[[], int],
    close_idle: Callable[[], None],
    limit: int,
) -> None:
    """Accept connections of ``listener`` until cancelled, while fewer than ``limit`` are open by ``count_open``; those
    that are only kept for further requests are then closed by ``close_idle``."""
    loop = asyncio.get_running_loop()
    warned, failures = False, 0
    while True:
        while count_open() >= limit:
            if not warned:
                log.warning("%d connections are open: others wait until one of them is closed", limit)
                warned = True
            close_idle()
            await asyncio.sleep(_PAUSE)
        warned = warned and count_open() > limit // 2
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError as error:
            if error.errno in _EXHAUSTED:
                if not failures:  # the next attempts fail too, twenty times a second
                    log.warning("No connection can be accepted until something is closed: %s", error)
                failures += 1
                close_idle()
                await asyncio.sleep(_PAUSE)
            elif error.errno != errno.ECONNABORTED:  # the client left before it was accepted (accept(2))
                raise
            continue
        if failures:
            log.warning("Connections are accepted again, after %d attempts", failures)
            failures = 0
        await loop.connect_accepted_socket(protocol_factory, connection)
