"""NDJSON to one reader, which can never slow down whoever writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import msgspec
from aiohttp import web

log = logging.getLogger(__name__)
CONTENT_TYPE = "application/x-ndjson"


class NdjsonWriter:
    """A bounded queue of lines and the task that writes them to a response.

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
        return self.offer_encoded(msgspec.json.encode(item) + b"\n")

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
            await self._write_before(response, before)
            await self._write_all(response)
        except ConnectionError:
            self.is_dropped = True
        except Exception:  # the status is long sent: a reset is the one way left to show that this is no end
            log.exception("A stream failed")
            self._drop()
        return response

    async def _write_before(self, response: web.StreamResponse, before: AsyncIterator[object] | None) -> None:
        """Write at the reader's own pace: nothing is queued for it here."""
        if before is not None:
            async for item in before:
                await response.write(msgspec.json.encode(item) + b"\n")

    async def _write_all(self, response: web.StreamResponse) -> None:
        while not self.is_dropped and (line := await self._next()) is not None:
            await response.write(line)

    async def _next(self) -> bytes | None:
        try:
            return self._queue.get_nowait()
        except asyncio.QueueEmpty:
            pass
        try:
            return await asyncio.wait_for(self._queue.get(), self._interval)
        except asyncio.TimeoutError:
            return msgspec.json.encode(self._heartbeat()) + b"\n"
