"""One execution for many who want it: single flight with interest.

A flight starts with the first who joins, tells everything it does to all who listen (late ones get what they missed),
and is cancelled when the last one leaves. A flight that is being cancelled takes nobody on board: who comes then waits
for its end and starts a new one, so no one is handed the failure of somebody else's Ctrl-C.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

from roost.wire.builds import Message

Outcome = TypeVar("Outcome")

# A listener that does not read must cost the flight nothing: beyond this many lines the oldest go.
_BACKLOG = 10_000


class Listener:
    """One reader's view of a flight. Progress that was not read yet is replaced by newer progress of the same step."""

    def __init__(self, backlog: list[Message]) -> None:
        self._waiting: list[Message] = list(backlog)
        self._changed = asyncio.Event()
        self._closed = False
        if self._waiting:
            self._changed.set()

    def put(self, message: Message) -> None:
        append_coalesced(self._waiting, message)
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def batches(self) -> AsyncIterator[list[Message]]:
        """What came since the last batch, till the flight ends."""
        while not (self._closed and not self._waiting):
            await self._changed.wait()
            self._changed.clear()
            taken, self._waiting = self._waiting, []
            yield taken

    async def messages(self) -> AsyncIterator[Message]:
        """Every message till the flight ends."""
        async for batch in self.batches():
            for message in batch:
                yield message


async def relay(listener: Listener, notify: Callable[[Message], None]) -> None:
    """Pass every message of ``listener`` to ``notify``, until the listener is closed."""
    async for message in listener.messages():
        notify(message)


def append_coalesced(backlog: list[Message], message: Message) -> None:
    """Append, dropping older progress of the same step, and the oldest lines where there are too many."""
    if message.event == "progress" and backlog:
        last = backlog[-1]
        if last.event == "progress" and last.step == message.step:
            backlog[-1] = message
            return
    backlog.append(message)
    if len(backlog) > _BACKLOG:
        del backlog[: _BACKLOG // 10]


class SharedTask(Generic[Outcome]):
    """One execution, its history and its listeners."""

    def __init__(self, start: Callable[[SharedTask[Outcome]], Awaitable[Outcome]]) -> None:
        self._history: list[Message] = []
        self._listeners: set[Listener] = set()
        self._passengers: set[Listener] = set()
        self.cancelling = False
        self.closed = False
        """All was told: who comes now wants another flight, and nobody's leaving cancels what is left to do."""
        self._task = asyncio.create_task(self._fly(start))

    async def _fly(self, start: Callable[[SharedTask[Outcome]], Awaitable[Outcome]]) -> Outcome:
        try:
            return await start(self)
        finally:
            self.close()

    def close(self) -> None:
        """Nothing more will be told."""
        self.closed = True
        for listener in self._listeners:
            listener.close()

    @property
    def done(self) -> bool:
        return self._task.done()

    def publish(self, message: Message) -> None:
        """Tell all listeners; call in the event loop's thread."""
        append_coalesced(self._history, message)
        for listener in self._listeners:
            listener.put(message)

    def listen(self) -> Listener:
        """Hear everything without keeping the flight in the air."""
        listener = Listener(self._history)
        if self._task.done():
            listener.close()
        self._listeners.add(listener)
        return listener

    def board(self) -> Listener:
        """Hear everything and want the outcome."""
        listener = self.listen()
        self._passengers.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Want it no more; the last who leaves cancels the flight."""
        self._listeners.discard(listener)
        self._passengers.discard(listener)
        if not self._passengers and not self.closed:
            self.cancel()

    def cancel(self) -> None:
        self.cancelling = True
        self._task.cancel()

    async def outcome(self) -> Outcome:
        """What the execution returned or raised. Cancelling the waiter does not cancel the flight."""
        return await asyncio.shield(self._task)

    async def over(self) -> None:
        """Wait for the end, whatever it is."""
        await asyncio.wait([self._task])

    def when_over(self, then: Callable[[], None]) -> None:
        """Call ``then`` at the end. The failure was told as a message, so nobody need have awaited the outcome."""

        def landed(task: asyncio.Task[Outcome]) -> None:
            if not task.cancelled():
                task.exception()
            then()

        self._task.add_done_callback(landed)


class SharedTasks(Generic[Outcome]):
    """The flights under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, SharedTask[Outcome]] = {}

    def __len__(self) -> int:
        return sum(not flight.done for flight in self._flights.values())

    @asynccontextmanager
    async def join(
        self, key: Hashable, start: Callable[[SharedTask[Outcome]], Awaitable[Outcome]]
    ) -> AsyncIterator[tuple[SharedTask[Outcome], Listener, bool]]:
        """The flight of ``key``, a listener on it, and whether it was under way already."""
        current = await self._current(key)
        joined = current is not None
        flight = current if current is not None else self._take_off(key, start)
        listener = flight.board()
        try:
            yield flight, listener, joined
        finally:
            flight.leave(listener)
            if flight.cancelling:
                await asyncio.shield(flight.over())

    def _take_off(
        self, key: Hashable, start: Callable[[SharedTask[Outcome]], Awaitable[Outcome]]
    ) -> SharedTask[Outcome]:
        flight = self._flights[key] = SharedTask(start)
        flight.when_over(lambda: self._land(key, flight))
        return flight

    async def _current(self, key: Hashable) -> SharedTask[Outcome] | None:
        while (flight := self._flights.get(key)) is not None:
            if not (flight.cancelling or flight.closed):
                return flight
            await flight.over()
            if self._flights.get(key) is flight:
                self._land(key, flight)
        return None

    def _land(self, key: Hashable, flight: SharedTask[Outcome]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    async def cancel_all(self) -> None:
        """For a graceful stop."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        for flight in flights:
            with suppress(asyncio.CancelledError):
                await flight.over()
