"""The copy of the index is renewed once a day, if the index has changed: a lost index is rebuilt from it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

from roost.daemon.background.work import BackgroundWork
from roost.model.errors import StoreError
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.layout import Layout
from roost.store.rebuild.copying import CopyInterruptedError, copy_index, is_copy_due

INDEX_COPY = "copy-index"
EVERY_SECONDS = 86_400.0


class IndexCopy:
    """Renews the copy of one root's index."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def run(self) -> None:
        """Renew the copy. Cancelled, it ends within some milliseconds and leaves the former one.

        Raises: StoreError if it can't be written.
        """
        await BackgroundWork().run(self._copy_in_thread)

    async def _copy_in_thread(self) -> None:
        stop = threading.Event()
        work = asyncio.ensure_future(finish_thread_despite_cancel(self._copy, stop))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            raise

    def _copy(self, stop: threading.Event) -> None:
        try:
            if is_copy_due(self._layout):
                copy_index(self._layout, stop.is_set)
        except CopyInterruptedError:
            pass
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"The copy of the index can't be written: {error}") from error
