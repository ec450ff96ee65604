"""The stream between a client and its container, over the connection of a request that asked for an upgrade.

Frames in both directions: one byte of kind, three zeros, four bytes of length (big-endian), data. Kinds 1 and 2 are
standard output and standard error exactly as Docker frames them, so that those are passed on unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from roost.model.errors import InvalidRequestError
from roost.wire.protocol import ErrorBody
from roost.wire.runs import Frame

FRAME_LIMIT = 2**20
"""Bytes of one frame of a client, at most."""


class UpgradeNeededError(InvalidRequestError):
    """The request did not ask for an upgrade of its connection."""

    code = "upgrade-needed"


class Channel:
    """One attached client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._incomplete = b""
        """Start of a frame whose rest has not come yet."""

    async def receive(self) -> tuple[int, bytes] | None:
        """Return kind and data of the next frame; ``None`` if the client closed the connection or a frame is too
        long."""
        try:
            head = await self._reader.readexactly(8)
            size = int.from_bytes(head[4:], "big")
            return (head[0], await self._reader.readexactly(size)) if size <= FRAME_LIMIT else None
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def send_framed(self, framed: bytes) -> None:
        """Send bytes that are framed already and cut anywhere. Only whole frames are sent, since other frames may be
        sent between them."""
        data = self._incomplete + framed
        end = find_whole_frames(data)
        self._incomplete = data[end:]
        await self._write(data[:end])

    async def send(self, kind: int, data: bytes) -> None:
        """Send one frame."""
        await self._write(bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, "big") + data)

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_exit(self, status: int) -> None:
        await self.send(Frame.EXIT, str(status).encode())

    async def send_error(self, body: ErrorBody) -> None:
        await self.send(Frame.ERROR, msgspec.json.encode(body))


def find_whole_frames(data: bytes) -> int:
    """Return where the last complete frame of ``data`` ends; ``data`` begins with a frame."""
    end = 0
    while len(data) - end >= 8:
        following = end + 8 + int.from_bytes(data[end + 4 : end + 8], "big")
        if following > len(data):
            break
        end = following
    return end


@asynccontextmanager
async def upgrade_connection(request: web.Request) -> AsyncIterator[tuple[web.StreamResponse, Channel]]:
    """Answer 101 and take the connection over from the HTTP server, which gets it back, closed, at the end.

    Raises UpgradeNeededError.
    """
    transport = request.transport
    if request.headers.get("Upgrade") != "tcp" or transport is None:
        raise UpgradeNeededError("This route needs `Upgrade: tcp`", hint="Only `roost run` uses it.")
    response = web.StreamResponse(status=101, headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    await response.prepare(request)
    response.force_close()
    server = transport.get_protocol()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    protocol.connection_made(transport)
    transport.set_protocol(protocol)
    loop = asyncio.get_running_loop()
    try:
        yield response, Channel(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
    finally:
        transport.set_protocol(server)
        transport.close()
