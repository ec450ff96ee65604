"""The task that notices what is removed of the root, and restores it or stops the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable

from roost.daemon.jobs.lifecycle import BackgroundTasks, Lifecycle
from roost.daemon.upkeep.damage import Damage, Repair, find_fatal, plan_repairs
from roost.daemon.upkeep.inspection import find_damage, read_file_key
from roost.store.disk import inotify
from roost.store.store import Store

log = logging.getLogger(__name__)
DELAY_SECONDS = 0.2
"""From the last notice to the look at the disk: ``rm -r`` removes many names one after the other, and folders that come
back meanwhile make it fail."""
RETRY_SECONDS = 0.5
"""From a repair to the next look: at first, and at most ``MAX_RETRY_SECONDS`` if repairs fail again and again."""
MAX_RETRY_SECONDS = 30.0
POLL_SECONDS = 5.0
"""Between two looks if the system has no notices."""
_REMOVALS = inotify.MOVED_FROM | inotify.DELETE | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLYDIR


class RootUpkeep:
    """Watches the root and the socket of one daemon, from ``start`` until ``stop``.

    ``bind_socket`` makes the daemon listen again at its socket's path, and ``reopen_log`` writes its log to a new file.
    """

    def __init__(
        self,
        store: Store,
        socket: str,
        lifecycle: Lifecycle,
        bind_socket: Callable[[], Awaitable[None]],
        reopen_log: Callable[[], None],
    ) -> None:
        self._store = store
        self._socket = socket
        self._lifecycle = lifecycle
        self._bind_socket = bind_socket
        self._reopen_log = reopen_log
        self._index = read_file_key(store.layout.index_path)
        self._notices = _open_notices()
        self._tasks = BackgroundTasks()
        self._timer: asyncio.TimerHandle | None = None
        self._inspection: asyncio.Task[None] | None = None
        self._retry_seconds = RETRY_SECONDS

    def start(self) -> None:
        """Begin to watch."""
        if self._notices is not None:
            asyncio.get_running_loop().add_reader(self._notices.descriptor, self._on_notice)
        self._schedule(DELAY_SECONDS)  # what was removed before the watch began

    async def stop(self) -> None:
        """Stop watching. A daemon that ends removes its own socket."""
        if self._notices is not None:
            asyncio.get_running_loop().remove_reader(self._notices.descriptor)
            self._notices.close()
            self._notices = None
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.cancel()

    def _on_notice(self) -> None:
        assert self._notices is not None
        while self._notices.read():
            pass  # which names they are about is of no interest, since the disk is looked at anyway
        self._schedule(DELAY_SECONDS)

    def _schedule(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._inspection is not None and not self._inspection.done():
            self._schedule(DELAY_SECONDS)  # one repair at a time
        else:
            self._inspection = self._tasks.spawn(self._inspect())

    async def _inspect(self) -> None:
        if self._lifecycle.is_stopping:
            return
        if self._notices is not None:
            for folder in (self._store.layout.root, os.path.dirname(self._socket)):
                with contextlib.suppress(OSError):  # it does not exist: it will be restored, and watched then
                    self._notices.watch(folder, _REMOVALS)
        damage = find_damage(self._store.layout, self._store.root_lock, self._index, self._socket)
        reason = find_fatal(damage)
        if reason is not None:
            log.error("%s: %s", self._store.layout.root, reason)
            self._lifecycle.stop(reason)
            return
        await self._repair(damage)
        if damage != Damage():  # look again: whether it is whole now, and to watch folders that were created
            self._schedule(self._retry_seconds)
            self._retry_seconds = min(self._retry_seconds * 2, MAX_RETRY_SECONDS)
            return
        self._retry_seconds = RETRY_SECONDS
        if self._notices is None:
            self._schedule(POLL_SECONDS)

    async def _repair(self, damage: Damage) -> None:
        for repair in plan_repairs(damage):
            try:
                await self._run(repair)
                log.warning("Something of %s was removed: %s", self._store.layout.root, repair.value)
            except Exception:
                log.exception("%s can't be repaired", self._store.layout.root)

    async def _run(self, repair: Repair) -> None:
        match repair:
            case Repair.MAKE_FOLDERS:
                self._store.layout.make_folders()
            case Repair.RESTORE_LOCK:
                self._store.root_lock.restore_file()
            case Repair.REOPEN_LOG:
                self._reopen_log()
            case Repair.BIND_SOCKET:
                await self._bind_socket()


def _open_notices() -> inotify.Inotify | None:
    """Return ``None`` if the system has no inotify, or no instance left (``fs.inotify.max_user_instances``)."""
    try:
        return inotify.Inotify()
    except OSError:
        return None
