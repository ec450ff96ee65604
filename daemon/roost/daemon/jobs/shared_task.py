"""One execution of a task for everybody who asks for it (single flight), cancelled when nobody is interested any more.

A shared task starts with the first subscriber and publishes everything it does to all listeners; late ones get what
they missed. It is cancelled when the last subscriber leaves. A task that is being cancelled accepts no new
subscribers: who comes then waits for its end and starts a new one, so that nobody gets the failure of somebody else's
Ctrl-C.

Background work and what somebody waits for never share a task. A task of background work gives way to whoever asks for
the same: its processes have the lowest priority and would keep it, and it may not run all code. Background work waits
for the end of somebody's task, without interest in it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

from roost.daemon.background.work import current_work
from roost.daemon.caller.current import caller_variables
from roost.daemon.caller.variables import explain_first_caller, find_differences
from roost.model.errors import CodedError
from roost.wire.builds import Message

Outcome = TypeVar("Outcome")
Start = Callable[["SharedTask[Outcome]"], Awaitable[Outcome]]
"""The execution: gets its shared task, to publish messages to."""

_BACKLOG = 10_000
"""Messages that are stored for a listener that does not read: beyond this the oldest are dropped."""


class Listener:
    """One reader's view of a shared task. Unread progress is replaced by newer progress of the same step."""

    def __init__(self, backlog: list[Message]) -> None:
        self._unread: list[Message] = list(backlog)
        self._changed = asyncio.Event()
        self._closed = False
        if self._unread:
            self._changed.set()

    def put(self, message: Message) -> None:
        append_coalesced(self._unread, message)
        self._changed.set()

    def close(self) -> None:
        """Accept no more messages; unread ones can still be read."""
        self._closed = True
        self._changed.set()

    async def batches(self) -> AsyncIterator[list[Message]]:
        """Yield the messages since the last batch until the task ends."""
        while not (self._closed and not self._unread):
            await self._changed.wait()
            self._changed.clear()
            batch, self._unread = self._unread, []
            yield batch

    async def messages(self) -> AsyncIterator[Message]:
        """Yield every message until the task ends."""
        async for batch in self.batches():
            for message in batch:
                yield message


async def relay(listener: Listener, notify: Callable[[Message], None]) -> None:
    """Pass every message of ``listener`` on to ``notify`` until the task ends."""
    async for message in listener.messages():
        notify(message)


def append_coalesced(backlog: list[Message], message: Message) -> None:
    """Append ``message``; it replaces older progress of the same step at the end, and the oldest messages are dropped
    if there are too many."""
    if message.event == "progress" and backlog:
        last = backlog[-1]
        if last.event == "progress" and last.step == message.step:
            backlog[-1] = message
            return
    backlog.append(message)
    if len(backlog) > _BACKLOG:
        del backlog[: _BACKLOG // 10]


class SharedTask(Generic[Outcome]):
    """One execution, its messages so far, its listeners, and the subscribers among them."""

    def __init__(self, start: Start[Outcome]) -> None:
        self.caller = caller_variables()
        """The variables of the caller whose request began it."""
        self._work = current_work()
        self._history: list[Message] = []
        self._listeners: set[Listener] = set()
        self._subscribers: set[Listener] = set()
        """Listeners that want the outcome: the task is cancelled when the last of them leaves."""
        self.is_cancelling = False
        self.is_closed = False
        """Everything was published: new requests need another task, and unsubscribing cancels nothing any more."""
        self._task = asyncio.create_task(self._execute(start))

    async def _execute(self, start: Start[Outcome]) -> Outcome:
        try:
            return await start(self)
        finally:
            self.close()

    def close(self) -> None:
        """Publish nothing more."""
        self.is_closed = True
        for listener in self._listeners:
            listener.close()

    @property
    def is_done(self) -> bool:
        return self._task.done()

    def publish(self, message: Message) -> None:
        """Send ``message`` to all listeners. Call it in the event loop's thread."""
        append_coalesced(self._history, message)
        for listener in self._listeners:
            listener.put(message)

    def listen(self) -> Listener:
        """Return a listener that gets everything, without interest in the outcome."""
        listener = Listener(self._history)
        if self._task.done():
            listener.close()
        self._listeners.add(listener)
        return listener

    def subscribe(self) -> Listener:
        """Return a listener that gets everything, with interest in the outcome."""
        listener = self.listen()
        self._subscribers.add(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        """Withdraw the interest of ``listener``; without any left, the task is cancelled."""
        self._listeners.discard(listener)
        self._subscribers.discard(listener)
        if not self._subscribers and not self.is_closed:
            self.cancel()

    def cancel(self) -> None:
        """Cancel the task for everybody."""
        self.is_cancelling = True
        self._task.cancel()

    @property
    def is_background(self) -> bool:
        """Whether it is part of background work."""
        return self._work is not None

    def give_way(self) -> None:
        """Cancel a task of background work, and the rest of that work, for somebody who waits."""
        assert self._work is not None
        self.cancel()
        self._work.give_way()

    async def outcome(self) -> Outcome:
        """Return or raise what the execution returned or raised. Cancelling the waiter does not cancel the task."""
        return await asyncio.shield(self._task)

    async def joined_outcome(self) -> Outcome:
        """Return or raise the same for who joined the task: an error says if another caller's variables were used."""
        try:
            return await self.outcome()
        except CodedError as error:
            raise self._with_explanation(error) from error

    def differing_variables(self) -> list[str]:
        """Return the variables of which the caller that joins now has other values than the one that began."""
        return find_differences(self.caller, caller_variables())

    def _with_explanation(self, error: CodedError) -> CodedError:
        names = self.differing_variables()
        if not names or error.code == "build-cancelled":
            return error
        explained = copy.copy(error)  # others who wait get the same error
        explained.hint = explain_first_caller(error.hint, names)
        return explained

    async def wait_end(self) -> None:
        """Wait until the task ends, however it ends."""
        await asyncio.wait([self._task])

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the task ends."""

        def retrieve(task: asyncio.Task[Outcome]) -> None:
            # A failure was published as a message, so that nobody need have awaited the outcome: asyncio would log an
            # exception that was never retrieved.
            if not task.cancelled():
                task.exception()
            callback()

        self._task.add_done_callback(retrieve)


class SharedTasks(Generic[Outcome]):
    """The shared tasks that are running, by key."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, SharedTask[Outcome]] = {}

    def __len__(self) -> int:
        return sum(not task.is_done for task in self._tasks.values())

    @asynccontextmanager
    async def join(
        self, key: Hashable, start: Start[Outcome]
    ) -> AsyncIterator[tuple[SharedTask[Outcome], Listener, bool]]:
        """Yield the task of ``key``, a subscribed listener, and whether the task was running already."""
        running = await self._find_open(key)
        task = running if running is not None else self._create(key, start)
        listener = task.subscribe()
        try:
            yield task, listener, running is not None
        finally:
            task.unsubscribe(listener)
            if task.is_cancelling:
                await asyncio.shield(task.wait_end())

    def _create(self, key: Hashable, start: Start[Outcome]) -> SharedTask[Outcome]:
        task = self._tasks[key] = SharedTask(start)
        task.on_end(lambda: self._discard(key, task))
        return task

    async def _find_open(self, key: Hashable) -> SharedTask[Outcome] | None:
        """Return the task of ``key`` that accepts this caller, after waiting for the end of one that does not."""
        asks_in_background = current_work() is not None
        while (task := self._tasks.get(key)) is not None:
            if not (task.is_cancelling or task.is_closed):
                if task.is_background == asks_in_background:
                    return task
                if task.is_background:
                    task.give_way()
            await task.wait_end()
            self._discard(key, task)
        return None

    async def wait_for_others(self, key: Hashable) -> None:
        """In background work, wait for the end of a task of ``key`` that somebody waits for."""
        while current_work() is not None and (task := self._tasks.get(key)) is not None and not task.is_background:
            await task.wait_end()
            self._discard(key, task)

    def _discard(self, key: Hashable, task: SharedTask[Outcome]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def cancel_all(self) -> None:
        """Cancel every task and wait for their ends, for a graceful stop."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task.wait_end()
