"""Streams to a Docker engine in the event loop: what stays open for as long as a container runs.

The SDK is synchronous: attaching to a container and waiting for it would take two threads for each that runs. These
two need no more than a connection and a request line (Docker Engine API, "Attach to a container" and "Wait for a
container"), so they are spoken here; everything else goes through the SDK.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from roost.daemon.engines.docker.address import Address
from roost.daemon.engines.docker.errors import engine_failed, unreachable

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]
NO_KEYS = ",".join(["%FF"] * 8)
"""What would leave a terminal: no text in UTF-8 has that byte. (Else Ctrl-P is held back, and Ctrl-P Ctrl-Q leaves.)"""
HEAD_LIMIT = 65536
CONNECT_SECONDS = 20.0


@dataclass(frozen=True)
class ContainerStreams:
    """A container's raw streams. ``connections``: all that they take."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    connections: tuple[asyncio.StreamWriter, ...]

    def end_input(self) -> None:
        """The command has got all of its input."""
        if self.writer.can_write_eof():
            self.writer.write_eof()
        else:  # a connection for nothing else
            self.writer.close()

    def close(self) -> None:
        for connection in self.connections:
            connection.close()


async def attach(address: Address, container: str, *, stdin: bool) -> ContainerStreams:
    """The streams of ``container``. Over TLS, of which asyncio can't end one direction alone, input has a connection of
    its own."""
    target = f"/containers/{container}/attach?stream=1&detachKeys={NO_KEYS}"
    output, apart = "&stdout=1&stderr=1", stdin and bool(address.tls)
    reader, writer = await _hijack(address, f"{target}{output}&stdin={int(stdin and not apart)}")
    if not apart:
        return ContainerStreams(reader, writer, (writer,))
    try:
        _, typed = await _hijack(address, f"{target}&stdin=1")
    except BaseException:
        writer.close()
        raise
    return ContainerStreams(reader, typed, (typed, writer))


async def connect(address: Address) -> Pair:
    """A connection to the engine. Raises EngineUnreachableError."""
    try:
        return await asyncio.wait_for(_connect(address), CONNECT_SECONDS)
    except (OSError, asyncio.TimeoutError) as error:
        raise unreachable(address.url, str(error) or "it takes too long") from error


async def _connect(address: Address) -> Pair:
    if address.local:
        return await asyncio.open_unix_connection(address.url.removeprefix("unix://"))
    parts = urlsplit(address.url)
    if parts.scheme == "ssh":
        return await _over_ssh(parts.hostname or "", parts.username, parts.port)
    secure = await asyncio.to_thread(address.ssl_context)
    return await asyncio.open_connection(parts.hostname, parts.port or (2376 if secure else 2375), ssl=secure)


async def _over_ssh(host: str, user: str | None, port: int | None) -> Pair:
    """As the docker command does: ssh runs ``docker system dial-stdio`` on the other side."""
    options = [*(("-l", user) if user else ()), *(("-p", str(port)) if port else ())]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "ssh", *options, "--", host, "docker", "system", "dial-stdio", stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    assert process.stdin is not None
    return process.stdout, process.stdin


async def _hijack(address: Address, target: str) -> Pair:
    """POST ``target`` and take the connection over: what follows are the raw streams of a container."""
    reader, writer = await connect(address)
    try:
        head = f"POST {target} HTTP/1.1\r\nHost: docker\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: 0\r\n"
        writer.write(f"{head}\r\n".encode())
        await writer.drain()
        await _check(reader, "attaching to a container")
    except (OSError, asyncio.IncompleteReadError) as error:
        writer.close()
        raise unreachable(address.url, "it broke off") from error
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def send_request(address: Address, method: str, target: str, doing: str) -> bytes:
    """One request whose answer may take as long as it likes. HTTP/1.0: the end of the answer is that of the stream."""
    chunks = [chunk async for chunk in stream_response(address, method, target, doing)]
    return b"".join(chunks)


async def stream_response(address: Address, method: str, target: str, doing: str) -> AsyncIterator[bytes]:
    """The body that answers, as it comes."""
    reader, writer = await connect(address)
    try:
        writer.write(f"{method} {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        await writer.drain()
        await _check(reader, doing)
        while chunk := await reader.read(HEAD_LIMIT):
            yield chunk
    except (OSError, asyncio.IncompleteReadError) as error:
        raise unreachable(address.url, "it broke off") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _check(reader: asyncio.StreamReader, doing: str) -> None:
    """Read the head of an answer. Raises EngineError with what the engine says."""
    head = await reader.readuntil(b"\r\n\r\n")
    if int(head.split(b" ", 2)[1]) >= 300:
        raise engine_failed(await _message(reader), doing)


async def _message(reader: asyncio.StreamReader) -> str:
    data = await reader.read(HEAD_LIMIT)
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")
