"""What happened, kept in the index and told to whoever follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timezone
from typing import TypeVar

import msgspec
from aiohttp import web

from roost.daemon.credentials.redaction import redact_value
from roost.daemon.jobs.ndjson import Lines
from roost.model.records import Event
from roost.store.index.index import Index

T = TypeVar("T")
Keep = Callable[[str, Mapping[str, object]], Awaitable[tuple[T, Event | None]]]
"""Records something with its event, of which it is given kind and fields; no event where nothing happened."""
PAGE = 500
PRUNE_EVERY = 1000


class Events:
    """Appends to the index, then tells the followers: an event that was told can be read again."""

    def __init__(self, index: Index, *, keep: int, limit: int, every: float) -> None:
        self._index = index
        self._keep = keep
        self._limit = limit
        self._every = every
        self._order = asyncio.Lock()
        self._followers: set[Lines] = set()
        self._appended = 0
        self.last = 0
        """Sequence number of the latest event, once ``begin`` has asked the index."""

    async def begin(self) -> None:
        """Learn where the index stands, and let go of what is too old."""
        await self._index.events.prune(self._keep)
        self.last = await self._index.events.find_last()

    async def append(self, kind: str, /, **fields: object) -> Event:
        """Record that ``kind`` happened and tell the followers, in the order of the sequence numbers. Credentials in
        ``fields`` are taken out first."""

        async def kept(kind: str, fields: Mapping[str, object]) -> tuple[Event, Event]:
            event = await self._index.events.append(kind, fields)
            return event, event

        return await self.along(kept, kind, **fields)

    async def along(self, keep: Keep[T], kind: str, /, **fields: object) -> T:
        """As ``append``, where ``keep`` records the event in one transaction with what it tells of: its result."""
        async with self._order:
            result, event = await keep(kind, redact_value(fields))
            if event is not None:
                self.last = event.seq
                self._tell(event)
                await self._prune()
            return result

    def _tell(self, event: Event) -> None:
        line = msgspec.json.encode(event) + b"\n"
        for follower in tuple(self._followers):
            if not follower.offer_encoded(line):
                self._followers.discard(follower)

    async def _prune(self) -> None:
        self._appended += 1
        if self._appended % PRUNE_EVERY == 0:
            await self._index.events.prune(self._keep)

    async def stream(self, request: web.Request, since: int | None) -> web.StreamResponse:
        """Answer ``request`` with all events after ``since`` (``None``: from now on), a ``gap`` where some of those
        are gone, and then what happens until the reader goes."""
        lines = Lines(limit=self._limit, every=self._every, heartbeat=self.heartbeat)
        past = None if since is None else self._told(lines, since)
        if past is None:
            self._followers.add(lines)
        try:
            return await lines.send(request, before=past)
        finally:
            self._followers.discard(lines)

    async def _told(self, lines: Lines, since: int) -> AsyncIterator[Event]:
        """The past with a ``gap`` wherever numbers are missing, and where ``since`` is of another history."""
        if since > self.last:
            yield _mark("gap", self.last, missing_from=since + 1)
            since = self.last
        async for event in self._past(lines, since):
            if event.seq > since + 1:
                yield _mark("gap", event.seq - 1, missing_from=since + 1)
            yield event
            since = event.seq

    async def _past(self, lines: Lines, seq: int) -> AsyncIterator[Event]:
        """Page by page, as fast as the reader takes it; the last page while nothing can be appended, so that the past
        joins the present without a hole."""
        while len(page := await self._index.events.list_since(seq, PAGE)) == PAGE:
            for event in page:
                yield event
            seq = page[-1].seq
        async with self._order:
            rest = await self._index.events.list_since(seq, PAGE)
            self._followers.add(lines)
        for event in rest:
            yield event

    def heartbeat(self) -> Event:
        """Says that the stream lives, and up to where it has told."""
        return _mark("heartbeat", self.last)

    def end(self) -> None:
        """The daemon stops: every stream ends in order."""
        for follower in self._followers:
            follower.end()


def _mark(kind: str, seq: int, **fields: object) -> Event:
    """A line that is no event of its own: ``seq`` is what a follower that returns asks from."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Event(seq=seq, time=now, kind=kind, fields=fields)
