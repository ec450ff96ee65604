"""The threads of the daemon: work that somebody waits for and background work never use the same ones.

``asyncio.to_thread`` takes them from the event loop, so nothing that runs in a thread has to know of this.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from roost.daemon.background.priority import lower_thread
from roost.daemon.background.work import is_background

P = ParamSpec("P")
T = TypeVar("T")

_LOWERED_THREADS = 2


class PriorityThreads(ThreadPoolExecutor):
    """The default executor of the daemon's event loop: background work has threads of its own, of lowest priority."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self._lowered = ThreadPoolExecutor(_LOWERED_THREADS, "background", initializer=lower_thread)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in a thread for the caller's kind of work, which is known by its context."""
        if is_background():
            return self._lowered.submit(fn, *args, **kwargs)
        return super().submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End both kinds of threads."""
        self._lowered.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)
