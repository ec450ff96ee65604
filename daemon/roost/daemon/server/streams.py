"""NDJSON from an iterator whose producer never waits for the reader (a ``Listener`` coalesces by itself)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
from aiohttp import web

from roost.daemon.server.ndjson import CONTENT_TYPE
from roost.wire.builds import Message

HEARTBEAT_SECONDS = 15.0


async def send_messages(request: web.Request, messages: AsyncIterator[Message]) -> web.StreamResponse:
    """Answer ``request`` with ``messages`` and a heartbeat where they are long in coming.

    The iterator is closed when it ends and when the reader goes (aiohttp cancels the handler then).
    """
    async with aclosing(messages):  # type: ignore[type-var]
        first = await anext(messages, None)  # before the status is sent, so that a refusal still has its own
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
        if first is not None:
            await _write(response, first)
            await _write_rest(response, messages)
    return response


async def _write_rest(response: web.StreamResponse, messages: AsyncIterator[Message]) -> None:
    upcoming = asyncio.ensure_future(anext(messages, None))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=HEARTBEAT_SECONDS)
            if not done:
                await _write(response, Message(event="heartbeat"))
                continue
            message = upcoming.result()
            if message is None:
                return
            upcoming = asyncio.ensure_future(anext(messages, None))
            await _write(response, message)
    finally:
        await _abandon(upcoming)


async def _abandon(upcoming: asyncio.Future[Message | None]) -> None:
    """The iterator can only be closed once nobody waits on it."""
    upcoming.cancel()
    await asyncio.wait([upcoming])


async def _write(response: web.StreamResponse, message: Message) -> None:
    await response.write(msgspec.json.encode(message) + b"\n")
