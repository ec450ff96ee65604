"""Events of the daemon: stored in the index and sent to everybody who follows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Protocol, TypeVar

import msgspec

from roost.daemon.credentials.redaction import redact_value
from roost.model.records import Event
from roost.store.index.index import Index

T = TypeVar("T")
RecordWithEvent = Callable[[str, Mapping[str, object]], Awaitable[tuple[T, Event | None]]]
"""Records a change together with the event of the given kind and fields; returns its result, and no event if nothing
happened."""
PAGE = 500
PRUNE_EVERY = 1000


class Follower(Protocol):
    """Receives events. Neither method waits."""

    def offer_encoded(self, line: bytes) -> bool:
        """Take one event as a line of JSON; return ``False`` if the reader has left."""

    def end(self) -> None:
        """No more events come."""


class Events:
    """Appends to the index, then notifies the followers: an event that was sent can be read again."""

    def __init__(self, index: Index, *, keep: int) -> None:
        """``keep``: number of events that the index stores, about."""
        self._index = index
        self._keep = keep
        self._order = asyncio.Lock()
        """Events reach the followers in the order of their sequence numbers."""
        self._followers: set[Follower] = set()
        self._appended = 0
        self.last = 0
        """Sequence number of the latest event, once ``begin`` has asked the index."""

    async def begin(self) -> None:
        """Delete events that are too old, and find the latest sequence number."""
        await self._index.events.prune(self._keep)
        self.last = await self._index.events.find_last()

    async def append(self, kind: str, /, **fields: object) -> Event:
        """Record that ``kind`` happened and notify the followers. Credentials in ``fields`` are removed first."""

        async def record(kind: str, fields: Mapping[str, object]) -> tuple[Event, Event]:
            event = await self._index.events.append(kind, fields)
            return event, event

        return await self.record_with(record, kind, **fields)

    async def record_with(self, record: RecordWithEvent[T], kind: str, /, **fields: object) -> T:
        """As ``append``, but ``record`` stores the event in one transaction with the change that it reports; return
        the result of ``record``."""
        async with self._order:
            result, event = await record(kind, redact_value(fields))
            if event is not None:
                self.last = event.seq
                self._notify(event)
                await self._prune()
            return result

    def _notify(self, event: Event) -> None:
        line = msgspec.json.encode(event) + b"\n"
        for follower in tuple(self._followers):
            if not follower.offer_encoded(line):
                self._followers.discard(follower)

    async def _prune(self) -> None:
        self._appended += 1
        if self._appended % PRUNE_EVERY == 0:
            await self._index.events.prune(self._keep)

    @contextmanager
    def follow(self, follower: Follower, since: int | None) -> Iterator[AsyncIterator[Event] | None]:
        """Send events to ``follower`` while the block runs, and yield those that it has to be sent before.

        These are the events after ``since``, with a ``gap`` in place of each range that is no longer stored; ``None``
        if ``since`` is ``None``: only new events. ``follower`` joins once the iterator is exhausted, without a hole.
        """
        past = None if since is None else self._history(follower, since)
        if past is None:
            self._followers.add(follower)
        try:
            yield past
        finally:
            self._followers.discard(follower)

    async def _history(self, follower: Follower, since: int) -> AsyncIterator[Event]:
        """Yield stored events, and a ``gap`` if numbers are missing or ``since`` is from another history."""
        if since > self.last:
            yield _mark("gap", self.last, missing_from=since + 1)
            since = self.last
        async for event in self._stored(follower, since):
            if event.seq > since + 1:
                yield _mark("gap", event.seq - 1, missing_from=since + 1)
            yield event
            since = event.seq

    async def _stored(self, follower: Follower, seq: int) -> AsyncIterator[Event]:
        """Yield page by page, as fast as the reader takes them. The last page is read while nothing can be appended,
        so that the past joins the present without a hole."""
        while len(page := await self._index.events.list_since(seq, PAGE)) == PAGE:
            for event in page:
                yield event
            seq = page[-1].seq
        async with self._order:
            rest = await self._index.events.list_since(seq, PAGE)
            self._followers.add(follower)
        for event in rest:
            yield event

    def heartbeat(self) -> Event:
        """Return a line that shows that the stream lives, and up to which event it has come."""
        return _mark("heartbeat", self.last)

    def end(self) -> None:
        """End every stream in order, when the daemon stops."""
        for follower in self._followers:
            follower.end()


def _mark(kind: str, seq: int, **fields: object) -> Event:
    """Return a line that is no event of its own; a follower that returns asks from ``seq``."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return Event(seq=seq, time=now, kind=kind, fields=fields)
