"""Streams to a Docker engine in the event loop, for requests that stay open while a container runs.

The SDK is synchronous: attaching to a container and waiting for it would occupy two threads for each running container.
Both need no more than a connection and a request line (Docker Engine API, "Attach to a container" and "Wait for a
container"), so they are implemented here; everything else goes through the SDK.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from roost.daemon.caller.current import process_environment
from roost.daemon.engines.docker.address import Address
from roost.daemon.engines.docker.errors import engine_error, unreachable_error
from roost.daemon.engines.docker.values import ContainerStreams

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
NO_DETACH_KEYS = ",".join(["%FF"] * 8)
"""Keys that detach a terminal: no text in UTF-8 has that byte. (By default Ctrl-P is held back, and Ctrl-P Ctrl-Q
detaches.)"""
HEAD_LIMIT = 65536
CONNECT_SECONDS = 20.0
_FRAME_HEADER = 8


async def attach_streams(address: Address, container: str, *, stdin: bool) -> ContainerStreams:
    """Return the streams of ``container``.

    Over TLS, of which asyncio can't close one direction alone, input has a connection of its own.

    Raises: EngineUnreachableError, EngineError.
    """
    target = f"/containers/{container}/attach?stream=1&detachKeys={NO_DETACH_KEYS}"
    output, apart = "&stdout=1&stderr=1", stdin and bool(address.tls)
    reader, writer = await _hijack_connection(address, f"{target}{output}&stdin={int(stdin and not apart)}")
    if not apart:
        return ContainerStreams(reader, writer, (writer,))
    try:
        _, input_writer = await _hijack_connection(address, f"{target}&stdin=1")
    except BaseException:
        writer.close()
        raise
    return ContainerStreams(reader, input_writer, (input_writer, writer))


async def _open_connection(address: Address) -> Connection:
    """Connect to the engine. Raises: EngineUnreachableError."""
    try:
        return await asyncio.wait_for(_connect_by_scheme(address), CONNECT_SECONDS)
    except (OSError, asyncio.TimeoutError) as error:
        raise unreachable_error(address.url, str(error) or "it takes too long") from error


async def _connect_by_scheme(address: Address) -> Connection:
    if address.local:
        return await asyncio.open_unix_connection(address.url.removeprefix("unix://"))
    parts = urlsplit(address.url)
    if parts.scheme == "ssh":
        return await _connect_over_ssh(parts.hostname or "", parts.username, parts.port)
    context = await asyncio.to_thread(address.ssl_context)
    return await asyncio.open_connection(parts.hostname, parts.port or (2376 if context else 2375), ssl=context)


async def _connect_over_ssh(host: str, user: str | None, port: int | None) -> Connection:
    """Connect like the docker command: ssh runs ``docker system dial-stdio`` on the other machine."""
    options = [*(("-l", user) if user else ()), *(("-p", str(port)) if port else ())]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *("ssh", *options, "--", host, "docker", "system", "dial-stdio"),
        stdin=pipe,
        stdout=pipe,
        env=process_environment(),
    )
    assert process.stdout is not None
    assert process.stdin is not None
    return process.stdout, process.stdin


async def _hijack_connection(address: Address, target: str) -> Connection:
    """POST ``target`` and return the connection, on which a container's raw streams follow."""
    reader, writer = await _open_connection(address)
    try:
        head = f"POST {target} HTTP/1.1\r\nHost: docker\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: 0\r\n"
        writer.write(f"{head}\r\n".encode())
        await writer.drain()
        await _read_head(reader, "attaching to a container")
    except (OSError, asyncio.IncompleteReadError) as error:
        writer.close()
        raise unreachable_error(address.url, "the connection was closed") from error
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def send_request(address: Address, method: str, target: str, doing: str) -> bytes:
    """Send a request and return the body of its response, without a time limit. Raises: as ``stream_response``."""
    chunks = [chunk async for chunk in stream_response(address, method, target, doing)]
    return b"".join(chunks)


async def stream_response(address: Address, method: str, target: str, doing: str) -> AsyncIterator[bytes]:
    """Send a request and yield the body of its response as it arrives.

    The request is HTTP/1.0: the end of the connection is the end of the response.

    Raises: EngineUnreachableError if the connection breaks; EngineError if the engine refuses the request.
    """
    reader, writer = await _open_connection(address)
    try:
        writer.write(f"{method} {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        await writer.drain()
        await _read_head(reader, doing)
        while chunk := await reader.read(HEAD_LIMIT):
            yield chunk
    except (OSError, asyncio.IncompleteReadError) as error:
        raise unreachable_error(address.url, "the connection was closed") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read_head(reader: asyncio.StreamReader, doing: str) -> None:
    """Read the head of a response. Raises: EngineError with the engine's message if it is an error."""
    head = await reader.readuntil(b"\r\n\r\n")
    if int(head.split(b" ", 2)[1]) < 300:
        return
    data = await reader.read(HEAD_LIMIT)
    try:
        text = str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        text = data.decode(errors="replace")
    raise engine_error(text, doing)


class FrameDecoder:
    """Removes the frames of a container's stream, in chunks of any size.

    Without a terminal the stream is framed: one byte of 1 (output) or 2 (errors), three zeros, four bytes of length,
    data (Docker Engine API, "Attach to a container"). With a terminal it is raw.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the frames that ``data`` completes."""
        self._rest += data
        found = []
        while len(self._rest) >= _FRAME_HEADER:
            end = _FRAME_HEADER + int.from_bytes(self._rest[4:_FRAME_HEADER], "big")
            if len(self._rest) < end:
                break
            found.append(self._rest[_FRAME_HEADER:end])
            self._rest = self._rest[end:]
        return found
