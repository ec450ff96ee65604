"""Work that a cancellation must not leave in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def finish_despite_cancel(work: asyncio.Task[T]) -> T:
    """Wait for ``work`` even if the caller is cancelled meanwhile; the cancellation is raised when it is over.

    For the stretch of a protocol between "content complete" and "committed", which is short and must not be left
    in the middle.
    """
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        work.exception()  # mark it as seen
        raise asyncio.CancelledError
    return work.result()


async def thread_to_the_end(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """``asyncio.to_thread`` for work that writes.

    A cancelled ``to_thread`` returns at once while its thread goes on, and would write into a prefix that is being
    removed.
    """
    return await finish_despite_cancel(asyncio.create_task(asyncio.to_thread(function, *arguments, **named)))
