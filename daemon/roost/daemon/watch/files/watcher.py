"""The watcher as the rest of the daemon sees it: on the event loop, never blocking it."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable, Set

from roost.daemon.watch.files.looking import LookRequest, LookThread
from roost.daemon.watch.files.methods import INOTIFY, WatchMethod
from roost.daemon.watch.files.mounts import MountTable
from roost.daemon.watch.files.system_notices import read_mounts

log = logging.getLogger(__name__)
ANSWER_SECONDS = 5.0
"""How long ``watch`` and ``look_again`` wait for mounts that have to be polled, and may not answer."""


class FileWatcher:
    """Calls ``on_change`` in the event loop with owners of whose files the content may have changed.

    An owner that reads its files within five seconds of a call has their last content, or will be called again. Several
    calls for one save are usual: whoever does something at length waits until they cease. Nothing runs before the first
    ``watch``. All coroutines are for one event loop.
    """

    def __init__(
        self, on_change: Callable[[Set[str]], None], *, find_mounts: Callable[[], MountTable] = read_mounts
    ) -> None:
        self._on_change = on_change
        self._find_mounts = find_mounts
        self._thread: LookThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._changed: set[str] = set()
        self._is_closed = False

    async def watch(self, owner: str, paths: Iterable[str]) -> None:
        """Replace the paths of ``owner``, absolute ones: files, folders, or what does not exist yet.

        When this returns, every later change will be reported. What was changed between an earlier reading of a file
        and this call is not: watch first and read then, or read again. A folder stands for the names in it, not for
        what is in its files or further down.

        Raises:
            ValueError: a path is not absolute.
        """
        wanted = frozenset(paths)
        for path in wanted:
            if not os.path.isabs(path):
                raise ValueError(f"{path} is not an absolute path")
        if wanted or self._thread is not None:
            await self._ask(LookRequest(owner=owner, paths=wanted))

    async def forget(self, owner: str) -> None:
        """Watch nothing more for ``owner``."""
        await self.watch(owner, ())

    def describe(self, owner: str) -> WatchMethod:
        """Return how the files of ``owner`` are seen: of several ways the worst one."""
        return INOTIFY if self._thread is None else self._thread.find_method(owner)

    async def look_again(self) -> None:
        """Look at everything, as after notices were lost. What has changed is reported before this returns."""
        if self._thread is not None:
            await self._ask(LookRequest())
            self._deliver()

    async def close(self) -> None:
        """Watch nothing more, and report nothing more."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.stop()
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    async def _ask(self, request: LookRequest) -> None:
        if self._is_closed:
            raise RuntimeError("the watcher is closed")
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = LookThread(self._report, self._find_mounts)
            self._thread.start()
        self._thread.ask(request)
        polled = await asyncio.wrap_future(request.done)
        if polled:
            await asyncio.wait([asyncio.wrap_future(each) for each in polled], timeout=ANSWER_SECONDS)

    def _report(self, owners: frozenset[str]) -> None:
        """On any thread: have ``owners`` delivered, with all others that come until the event loop has time."""
        assert self._loop is not None
        with self._lock:
            is_first = not self._changed
            self._changed |= owners
        if is_first and owners:
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed
                log.debug("The event loop has ended before the watcher")

    def _deliver(self) -> None:
        with self._lock:
            changed, self._changed = frozenset(self._changed), set()
        if changed and not self._is_closed:
            self._on_change(changed)
