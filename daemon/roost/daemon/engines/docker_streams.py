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
from urllib.parse import urlsplit

from roost.daemon.engines.docker_address import Address
from roost.daemon.engines.docker_errors import engine_failed, unreachable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD_LIMIT = 65536
CONNECT_SECONDS = 20.0


async def connect(address: Address) -> Streams:
    """A connection to the engine. Raises EngineUnreachableError."""
    try:
        return await asyncio.wait_for(_connect(address), CONNECT_SECONDS)
    except (OSError, asyncio.TimeoutError) as error:
        raise unreachable(address.url, str(error) or "it takes too long") from error


async def _connect(address: Address) -> Streams:
    if address.local:
        return await asyncio.open_unix_connection(address.url.removeprefix("unix://"))
    parts = urlsplit(address.url)
    if parts.scheme == "ssh":
        return await _over_ssh(parts.hostname or "", parts.username, parts.port)
    secure = await asyncio.to_thread(address.ssl_context)
    return await asyncio.open_connection(parts.hostname, parts.port or (2376 if secure else 2375), ssl=secure)


async def _over_ssh(host: str, user: str | None, port: int | None) -> Streams:
    """As the docker command does: ssh runs ``docker system dial-stdio`` on the other side."""
    options = [*(("-l", user) if user else ()), *(("-p", str(port)) if port else ())]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "ssh", *options, "--", host, "docker", "system", "dial-stdio", stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    assert process.stdin is not None
    return process.stdout, process.stdin


async def hijack(address: Address, target: str) -> Streams:
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


async def ask(address: Address, method: str, target: str, doing: str) -> bytes:
    """One request whose answer may take as long as it likes. HTTP/1.0: the end of the answer is that of the stream."""
    chunks = [chunk async for chunk in follow(address, method, target, doing)]
    return b"".join(chunks)


async def follow(address: Address, method: str, target: str, doing: str) -> AsyncIterator[bytes]:
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
