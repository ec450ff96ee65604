"""Blocking work in threads that is not left alone when the task is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def to_end(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """``asyncio.to_thread`` for work that writes: when cancelled, it returns only after the thread is done.

    A cancelled ``to_thread`` returns at once while its thread goes on, and would write into a prefix that is being
    removed.
    """
    task = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # seen: asyncio would warn of it
        raise
