"""Identity of the peer of a Unix socket: the check that rejects peers with another uid, and whose a process is."""

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

from roost.daemon.server.connections import create_connections
from roost.model.errors import InvalidRequestError
from roost.store.disk.ownership import name_user

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)
UidLookup = Callable[[socket.socket], int]

_LINGER_SECONDS = 1.0
_GENERATIONS = 100
"""Parents of a process that are followed."""
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_HEAD = 0, 1, "II"  # <sys/un.h> and struct xucred of macOS and the BSDs


def peer_uid(connection: socket.socket) -> int:
    """Return the effective uid that the peer had when it connected (``SO_PEERCRED``, unix(7)). Raises OSError."""
    if sys.platform == "linux":
        _, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    _, uid = struct.unpack(_XUCRED_HEAD, connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 8))
    return int(uid)


def peer_pid(connection: socket.socket) -> int | None:
    """Return the process that connected; ``None`` if the system does not report it (macOS, another PID namespace)."""
    if sys.platform != "linux":
        return None
    pid, _, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid) or None


class PeerProcessError(InvalidRequestError):
    """A process that a request names is neither the client's nor one that it has started."""

    code = "process-refused"
    http_status = 403


def require_peer_process(peer: int | None, pid: int) -> int | None:
    """Return the process that the peer of a connection calls ``pid``: ``peer`` itself, or one that it has started.

    ``None`` if the system does not say who the peer is, so that ``pid`` may be any process here. Blocking.
    Raises: PeerProcessError if it is another process.
    """
    if peer is None:
        return None
    if pid in (peer, _pid_within(peer)):
        return peer
    if _has_ancestor(pid, peer):
        return pid
    raise PeerProcessError(
        f"Process {pid} is neither the client, process {peer}, nor one that it has started",
        hint="A supervisor reports its own process.",
        fields={"pid": pid, "peer": peer},
    )


def _pid_within(peer: int) -> int | None:
    """Return the number that ``peer`` has for itself: another one in a PID namespace of its own (``NSpid``,
    proc_pid_status(5))."""
    return next((int(line.split()[-1]) for line in _read_status(peer) if line.startswith("NSpid:")), None)


def _has_ancestor(pid: int, ancestor: int) -> bool:
    for _ in range(_GENERATIONS):
        pid = next((int(line.split()[1]) for line in _read_status(pid) if line.startswith("PPid:")), 0)
        if pid in (0, ancestor):
            return pid == ancestor
    return False


def _read_status(pid: int) -> list[str]:
    """Return the lines of ``/proc/<pid>/status``; none if there is no such process."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return file.read().split("\n")
    except OSError:
        return []


class PeerCheck(asyncio.Protocol):
    """The first protocol of every connection.

    It passes a connection of the owner to the HTTP server, and answers any other with 403 and closes it. Nothing that
    another user sends is read.
    """

    def __init__(self, create_connection: Callable[[], asyncio.Protocol], find_uid: UidLookup, owner: int) -> None:
        self._create_connection = create_connection
        self._find_uid = find_uid
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        uid = self._peer_uid(transport)
        if uid == self._owner:
            handler = self._create_connection()
            transport.set_protocol(handler)
            handler.connection_made(transport)
        else:
            log.warning("Refused a connection of uid %s", uid)
            self._refuse(transport)

    def _refuse(self, transport: asyncio.Transport) -> None:
        """Answer 403, and discard further input until the peer closes, for one second at most.

        A close with unread bytes would reset the connection and lose the answer (unix(7)).
        """
        transport.write(_refusal_response(self._owner))
        transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, transport.abort)

    def _peer_uid(self, transport: asyncio.Transport) -> int | None:
        try:
            return self._find_uid(transport.get_extra_info("socket"))
        except OSError:
            return None


def _refusal_response(owner: int) -> bytes:
    body = msgspec.json.encode(
        {
            "code": "peer-refused",
            "message": f"This daemon and its root belong to {name_user(owner)}, and serve nobody else.",
            "hint": "Run the command as that user, or with a HOME or ROOST_HOME of your own (`sudo -H`).",
            "retryable": False,
            "fields": {},
            "location": None,
            "exit_status": 5,
        }
    )
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def create_peer_check(server: web.Server, find_uid: UidLookup = peer_uid) -> Callable[[], asyncio.Protocol]:
    """Return the protocol factory of every connection."""
    owner, connections = os.geteuid(), create_connections(server)
    return lambda: PeerCheck(connections, find_uid, owner)
