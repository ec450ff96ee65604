"""Who is at the other end of a Unix socket, and the door that only the owner passes."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)
UidOf = Callable[[socket.socket], int]

STRANGER_SECONDS = 1.0
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_HEAD = 0, 1, "II"  # <sys/un.h> and struct xucred of macOS and the BSDs


def peer_uid(connection: socket.socket) -> int:
    """The effective uid that the peer had when it connected (``SO_PEERCRED``, unix(7)). Raises ``OSError``."""
    if sys.platform == "linux":
        _, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    _, uid = struct.unpack(_XUCRED_HEAD, connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 8))
    return int(uid)


def peer_pid(connection: socket.socket) -> int | None:
    """The process that connected; ``None`` where the system does not tell (macOS, another PID namespace)."""
    if sys.platform != "linux":
        return None
    pid, _, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid) or None


class Door(asyncio.Protocol):
    """First on every connection: hands the owner's to the HTTP server, answers anybody else 403 and hangs up; nothing
    of what a stranger sends is looked at."""

    def __init__(self, server: web.Server, uid_of: UidOf, owner: int) -> None:
        self._server = server
        self._uid_of = uid_of
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        uid = self._uid(transport)
        if uid == self._owner:
            handler = self._server()
            transport.set_protocol(handler)
            handler.connection_made(transport)
        else:
            log.warning("Refused a connection of uid %s", uid)
            self._turn_away(transport)

    def _turn_away(self, transport: asyncio.Transport) -> None:
        """A close with bytes unread would reset the connection and lose the answer (unix(7)), so what still comes is
        let fall until the stranger goes, for a second at most."""
        transport.write(_refusal(self._owner))
        transport.write_eof()
        asyncio.get_running_loop().call_later(STRANGER_SECONDS, transport.abort)

    def _uid(self, transport: asyncio.Transport) -> int | None:
        try:
            return self._uid_of(transport.get_extra_info("socket"))
        except OSError:
            return None


def _refusal(owner: int) -> bytes:
    body = msgspec.json.encode(
        {
            "code": "peer-refused",
            "message": f"This daemon serves only uid {owner}.",
            "hint": "Start your own: every user has one.",
            "retryable": False,
            "fields": {},
            "location": None,
            "exit_status": 5,
        }
    )
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def door_factory(server: web.Server, uid_of: UidOf = peer_uid) -> Callable[[], asyncio.Protocol]:
    """What ``loop.create_unix_server`` calls for each connection."""
    owner = os.geteuid()
    return lambda: Door(server, uid_of, owner)
