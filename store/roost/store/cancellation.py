"""Completion of work that must not be left half done when its caller is cancelled.

Separate since the protocols of the store and the engines of the daemon both need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finish_despite_cancel(work: asyncio.Task[T]) -> T:
    """Wait for ``work`` even if the caller is cancelled meanwhile; raise the cancellation once ``work`` is done.

    For the steps of a protocol between "content complete" and "committed": they are short and must all happen.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        work.exception()  # marks the exception as retrieved
        raise asyncio.CancelledError
    return work.result()


async def finish_thread_despite_cancel(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run a function that writes in a thread, and return when the thread is done even if the caller is cancelled.

    A cancelled ``asyncio.to_thread`` returns at once while its thread goes on: it would write into a prefix that is
    being deleted.
    """
    return await finish_despite_cancel(asyncio.create_task(asyncio.to_thread(function, *arguments, **named)))
