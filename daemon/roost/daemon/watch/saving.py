"""Writing what changed of watches to the index: in batches, since ten thousand files may change in a second.

What a crash loses is found again: the states of the inputs in the index are then older than the files.
"""

from __future__ import annotations

import asyncio
import logging

from roost.daemon.watch.closure import Closure
from roost.daemon.watch.watched import WatchedDefinition
from roost.model.errors import CodedError
from roost.store.failpoints import failpoint
from roost.store.index.tables.watches import WatchTable

log = logging.getLogger(__name__)
DELAY_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""After a failure: the disk is full, for example."""
BATCH = 500


class WatchSaver:
    """The watches that differ from their rows."""

    def __init__(self, table: WatchTable) -> None:
        self._table = table
        self._changed: dict[str, WatchedDefinition] = {}
        self._inputs: dict[str, Closure] = {}
        self._removed: set[str] = set()
        self._writing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def mark(self, watch: WatchedDefinition, closure: Closure | None = None) -> None:
        """Write ``watch`` soon; with its inputs, if they are given."""
        self._changed[watch.id] = watch
        if closure is not None:
            self._inputs[watch.id] = closure
        self._set_timer(DELAY_SECONDS)

    def remove(self, watch: WatchedDefinition) -> None:
        """Delete the row of ``watch`` soon."""
        self._changed.pop(watch.id, None)
        self._inputs.pop(watch.id, None)
        self._removed.add(watch.id)
        self._set_timer(DELAY_SECONDS)

    async def flush(self) -> None:
        """Write everything now. Raises: StoreError; what was not written stays marked."""
        async with self._writing:
            while self._changed or self._removed:
                await self._write_batch()

    async def shrink_memory(self) -> None:
        """Free the memory that the index took for what was written. Raises: StoreError."""
        await self._table.shrink_memory()

    async def _write_batch(self) -> None:
        removed, self._removed = self._removed, set()
        batch = [self._changed.pop(each) for each in list(self._changed)[:BATCH]]
        inputs = {each.id: self._inputs.pop(each.id) for each in batch if each.id in self._inputs}
        records = [each.encode(inputs.get(each.id)) for each in batch]
        try:
            failpoint("watches.before-write")
            await self._table.put(records, sorted(removed))
            failpoint("watches.written")
        except CodedError:
            self._removed |= removed
            for each in batch:
                if each.id not in self._removed:
                    self._changed.setdefault(each.id, each)
            self._inputs = inputs | self._inputs
            raise

    def _set_timer(self, seconds: float) -> None:
        if self._timer is None and (self._task is None or self._task.done()):
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._task = asyncio.create_task(self._save())

    async def _save(self) -> None:
        try:
            await self.flush()
        except CodedError as error:
            log.warning("The state of watches is not recorded yet: %s", error.message)
            await asyncio.sleep(RETRY_SECONDS)
        self._task = None
        if self._changed or self._removed:
            self._set_timer(DELAY_SECONDS)

    async def stop(self) -> None:
        """Write what is left, and nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self.flush()
        except CodedError as error:
            log.warning("The state of watches was not recorded: %s", error.message)
