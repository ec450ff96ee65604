"""NDJSON responses: one JSON value a line, to one reader, which can never slow down the source of the values.

``send_messages`` pulls from an iterator whose source does not wait for its readers (a ``Listener`` coalesces messages).
``NdjsonWriter`` is pushed to, and drops a reader that is too slow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

import msgspec
from aiohttp import web

from roost.wire.builds import Message

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/x-ndjson"
_HEARTBEAT_SECONDS = 15.0
T = TypeVar("T")


async def send_messages(
    request: web.Request, messages: AsyncIterator[T], heartbeat: object = Message(event="heartbeat")
) -> web.StreamResponse:
    """Answer ``request`` with ``messages``, and with a ``heartbeat`` whenever the next one is long in coming.

    The iterator is closed at its end and when the reader leaves, which cancels the handler.
    """
    async with aclosing(messages):  # type: ignore[type-var]
        first = await anext(messages, None)  # before the status is sent, so that an error still has its own
        response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
        await response.prepare(request)
        if first is not None:
            await response.write(_encode_line(first))
            await _send_with_heartbeat(response, messages, heartbeat)
    return response


async def _send_with_heartbeat(
    response: web.StreamResponse, messages: AsyncIterator[object], heartbeat: object
) -> None:
    upcoming = asyncio.ensure_future(anext(messages, None))
    try:
        while True:
            done, _ = await asyncio.wait([upcoming], timeout=_HEARTBEAT_SECONDS)
            if not done:
                await response.write(_encode_line(heartbeat))
                continue
            message = upcoming.result()
            if message is None:
                return
            upcoming = asyncio.ensure_future(anext(messages, None))
            await response.write(_encode_line(message))
    finally:
        upcoming.cancel()
        await asyncio.wait([upcoming])  # the iterator can be closed only once nobody waits for it


class NdjsonWriter:
    """A bounded queue of lines, and the task that writes them to a response.

    ``offer`` never waits: a reader that lets ``limit`` lines pile up is dropped. Its connection is reset, so that it
    can distinguish the loss from an end. After ``interval`` seconds without a line, the value of ``heartbeat`` is sent.
    """

    def __init__(self, *, limit: int, interval: float, heartbeat: Callable[[], object]) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(limit + 1)  # one more for the end
        self._limit = limit
        self._interval = interval
        self._heartbeat = heartbeat
        self._transport: asyncio.Transport | None = None
        self._is_ended = False
        self.is_dropped = False

    def offer(self, item: object) -> bool:
        """Queue one line; return ``False`` if there is no reader any more."""
        return self.offer_encoded(_encode_line(item))

    def offer_encoded(self, line: bytes) -> bool:
        """Queue one line that was encoded once for many readers; it ends in a newline."""
        if self.is_dropped or self._is_ended:
            return False
        if self._queue.qsize() >= self._limit:
            self._drop()
            return False
        self._queue.put_nowait(line)
        return True

    def end(self) -> None:
        """Accept no more lines; queued ones are still sent."""
        if not (self.is_dropped or self._is_ended):
            self._is_ended = True
            self._queue.put_nowait(None)

    def _drop(self) -> None:
        self.is_dropped = True
        if self._transport is not None:
            self._transport.abort()

    async def send(
        self, request: web.Request, *, status: int = 200, before: AsyncIterator[object] | None = None
    ) -> web.StreamResponse:
        """Answer ``request`` with the items of ``before``, then with the queued lines until they end or the reader is
        dropped or leaves (aiohttp cancels this when the connection is lost)."""
        response = web.StreamResponse(status=status, headers={"Content-Type": CONTENT_TYPE})
        self._transport = request.transport
        try:
            await response.prepare(request)
            if before is not None:  # at the reader's own pace: nothing is queued for it yet
                async for item in before:
                    await response.write(_encode_line(item))
            while not self.is_dropped and (line := await self._next_line()) is not None:
                await response.write(line)
        except ConnectionError:
            self.is_dropped = True
        except Exception:  # the status is sent already: a reset is the only way left to show that this is not the end
            log.exception("A stream failed")
            self._drop()
        return response

    async def _next_line(self) -> bytes | None:
        try:
            return self._queue.get_nowait()
        except asyncio.QueueEmpty:
            pass
        try:
            return await asyncio.wait_for(self._queue.get(), self._interval)
        except asyncio.TimeoutError:
            return _encode_line(self._heartbeat())


def _encode_line(item: object) -> bytes:
    return msgspec.json.encode(item) + b"\n"
