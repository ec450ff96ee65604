"""One piece of work as a stream of messages, for a request that is not a shared task: its progress, then its end.

The work ends when the client leaves: it is cancelled, and its end is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from roost.wire.builds import Message, WorkMessage

M = TypeVar("M")
W = TypeVar("W", bound=WorkMessage)
_EVENTS = ("step", "progress", "log")
_QUEUED = 1000
"""Messages of progress that wait for a slow reader; further ones are dropped."""


async def stream_work(
    work: Callable[[Callable[[Message], None]], Awaitable[M]],
    convert: Callable[[Message], M],
    describe_error: Callable[[Exception], M],
) -> AsyncGenerator[M, None]:
    """Run ``work``, which gets a function for its messages and returns the last one of the stream, and yield what
    happens. ``convert`` and ``describe_error`` make the messages of progress and that of a failure."""
    queue: asyncio.Queue[M | None] = asyncio.Queue()

    def publish(message: Message) -> None:
        if message.event in _EVENTS and queue.qsize() < _QUEUED:
            queue.put_nowait(convert(message))

    async def run() -> None:
        try:
            last = await work(publish)
            await asyncio.sleep(0)  # what threads have reported comes first
            queue.put_nowait(last)
        except Exception as error:
            queue.put_nowait(describe_error(error))
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (message := await queue.get()) is not None:
            yield message
    finally:
        task.cancel()
        await asyncio.wait([task])


def convert_progress(message: Message, kind: type[W]) -> W:
    """Return what a message of progress says as one of another stream."""
    return kind(
        event=message.event,  # type: ignore[arg-type]  # those of progress
        step=message.step,
        state=message.state,
        done=message.done,
        total=message.total,
        line=message.line,
        note=message.note,
        source=message.source,
    )
