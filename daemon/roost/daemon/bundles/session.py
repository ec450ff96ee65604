"""One export or import as a stream of messages: progress as builds report it, then the result or the error.

The task ends when the client leaves: what it has staged goes, and a thread that is at work stops first.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from roost.daemon.jobs.views import as_coded_error, error_body
from roost.model.errors import CodedError
from roost.wire.builds import Message
from roost.wire.bundles import BundleMessage, BundleResult
from roost.wire.protocol import ErrorBody

T = TypeVar("T")
_EVENTS = ("step", "progress", "log")
_QUEUED = 1000
"""Messages of progress that wait for a slow reader; further ones are dropped."""


class EnvironmentUnbuiltError(Exception):
    """The build that an export needs failed; ``body`` is its error."""

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(body.message)
        self.body = body


async def stream_bundle(
    work: Callable[[Callable[[Message], None]], Awaitable[BundleResult]], activity: str
) -> AsyncGenerator[BundleMessage, None]:
    """Run ``work``, which gets a function for its messages, and yield what happens."""
    queue: asyncio.Queue[BundleMessage | None] = asyncio.Queue()

    def publish(message: Message) -> None:
        if message.event in _EVENTS and queue.qsize() < _QUEUED:
            queue.put_nowait(_convert(message))

    async def run() -> None:
        try:
            result = await work(publish)
            await asyncio.sleep(0)  # what threads have reported comes first
            queue.put_nowait(BundleMessage(event="result", result=result))
        except EnvironmentUnbuiltError as error:
            queue.put_nowait(BundleMessage(event="error", error=error.body))
        except Exception as error:
            queue.put_nowait(BundleMessage(event="error", error=_describe(error, activity)))
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (message := await queue.get()) is not None:
            yield message
    finally:
        task.cancel()
        await asyncio.wait([task])


def _convert(message: Message) -> BundleMessage:
    return BundleMessage(
        event=message.event,  # type: ignore[arg-type]  # one of _EVENTS
        step=message.step,
        state=message.state,
        done=message.done,
        total=message.total,
        line=message.line,
        note=message.note,
        source=message.source,
    )


def _describe(error: Exception, activity: str) -> ErrorBody:
    return error_body(error if isinstance(error, CodedError) else as_coded_error(error, activity))


async def run_stoppable(function: Callable[[threading.Event], T]) -> T:
    """Run ``function`` in a thread. If the caller is cancelled, it gets a signal to stop, and its end is awaited: it
    would go on writing into a folder that is being removed."""
    stop = threading.Event()
    task = asyncio.create_task(asyncio.to_thread(function, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        task.exception()  # marks it as retrieved: that the thread has stopped is no news
        raise
