"""One export or import as a stream of messages: progress as builds report it, then the result or the error.

The task ends when the client leaves: what it has staged goes, and a thread that is at work stops first.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from roost.daemon.jobs.views import as_coded_error, error_body
from roost.daemon.jobs.work_stream import convert_progress, stream_work
from roost.wire.builds import Message
from roost.wire.bundles import BundleMessage, BundleResult
from roost.wire.protocol import ErrorBody

T = TypeVar("T")


class EnvironmentUnbuiltError(Exception):
    """The build that an export needs failed; ``body`` is its error."""

    def __init__(self, body: ErrorBody) -> None:
        super().__init__(body.message)
        self.body = body


def stream_bundle(
    work: Callable[[Callable[[Message], None]], Awaitable[BundleResult]], activity: str
) -> AsyncGenerator[BundleMessage, None]:
    """Run ``work``, which gets a function for its messages, and return what happens."""

    async def run(publish: Callable[[Message], None]) -> BundleMessage:
        return BundleMessage(event="result", result=await work(publish))

    def describe_error(error: Exception) -> BundleMessage:
        body = error.body if isinstance(error, EnvironmentUnbuiltError) else error_body(as_coded_error(error, activity))
        return BundleMessage(event="error", error=body)

    return stream_work(run, _convert, describe_error)


def _convert(message: Message) -> BundleMessage:
    return convert_progress(message, BundleMessage)


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
