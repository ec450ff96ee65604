"""Byte-code that comes after its prefix is ready: one prefix at a time, of lowest priority, resumed after a crash.

The row of a prefix says that byte-code is due from the moment that it is ready, so a daemon that dies at any moment
leaves the rest to the next one. Whoever deletes the prefix, or makes all background work give way, interrupts the work;
it begins again a second later if the prefix is still there.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from roost.daemon.background.work import BackgroundWork, GaveWayError
from roost.daemon.integrity.manifest import ManifestDamagedError
from roost.daemon.integrity.trees import load_manifest
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.prefixes.compilation import BytecodeTask, PrefixInUseError, complete_bytecode, delete_unfinished
from roost.model.records import Artifact
from roost.store.artifacts.usage import measure_prefix
from roost.store.cancellation import finish_despite_cancel
from roost.store.disk.file_ops import sync_filesystem
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import read_record
from roost.store.failpoints import failpoint
from roost.store.store import Store

log = logging.getLogger(__name__)
ACTIVITY = "bytecode"
BEGIN_SECONDS = 0.5
"""After a prefix is ready: the command that it was made for starts first."""
AGAIN_SECONDS = 1.0
"""After an interruption."""
_MOST_INTERRUPTIONS = 60
"""Of one prefix; then the next start tries again."""


class LateBytecode:
    """Completes the byte-code of ready prefixes. ``folder`` is that of stored byte-code; ``on_cached`` is called when
    something was stored."""

    def __init__(self, store: Store, folder: str, lifecycle: Lifecycle, on_cached: Callable[[], None]) -> None:
        self._store = store
        self._folder = folder
        self._lifecycle = lifecycle
        self._on_cached = on_cached
        self._waiting: deque[str] = deque()
        """Ids of prefixes, the next one first."""
        self._interruptions: Counter[str] = Counter()
        self._current: tuple[str, BackgroundWork] | None = None
        self._free = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on with what an earlier daemon has left."""
        await asyncio.to_thread(delete_unfinished, self._folder)
        for artifact_id in await self._store.index.artifacts.list_bytecode_due():
            self._add(artifact_id)

    def request(self, ready: Artifact) -> None:
        """Complete the byte-code of a prefix, if it is due. Returns at once."""
        if ready.bytecode_due:
            self._add(ready.id)

    def _add(self, artifact_id: str) -> None:
        self._waiting.append(artifact_id)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def leave(self, artifact_id: str) -> None:
        """Stop what is done in a prefix that is about to be deleted, and return when it has ended."""
        if self._current is not None and self._current[0] == artifact_id:
            self._current[1].give_way()
            await self._free.wait()

    async def delete_files(self, artifact_id: str, paths: Sequence[str]) -> int:
        """Delete byte-code of a ready prefix that nothing vouches for; it is compiled again. Return how many files were
        deleted: none if the prefix is no longer ready."""
        if not paths or not await self._store.index.artifacts.require_bytecode(artifact_id):
            return 0
        deleted = await asyncio.to_thread(_delete_files, paths)
        await self.leave(artifact_id)  # what had seen the files says that nothing is due any more
        if await self._store.index.artifacts.require_bytecode(artifact_id):
            self._add(artifact_id)
        return deleted

    async def stop(self) -> None:
        """Cancel everything; the next daemon goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            with self._lifecycle.hold(ACTIVITY):
                await asyncio.sleep(BEGIN_SECONDS)
                while self._waiting:
                    await self._complete_next(self._waiting.popleft())
        finally:
            self._task = None

    async def _complete_next(self, artifact_id: str) -> None:
        work = BackgroundWork()
        self._current = artifact_id, work
        self._free.clear()
        try:
            await work.run(lambda: self._complete(artifact_id))
        except (GaveWayError, PrefixInUseError):
            self._interruptions[artifact_id] += 1
            is_interrupted = self._interruptions[artifact_id] < _MOST_INTERRUPTIONS
        except Exception:  # a full disk, for one: the next start tries again
            log.exception("Completing the byte-code of %s failed", artifact_id)
            is_interrupted = False
        else:
            del self._interruptions[artifact_id]
            is_interrupted = False
        finally:
            self._current = None
            self._free.set()
        if is_interrupted:
            await asyncio.sleep(AGAIN_SECONDS)
            self._waiting.append(artifact_id)

    async def _complete(self, artifact_id: str) -> None:
        artifact = await self._store.index.artifacts.find(artifact_id)
        if artifact is None or artifact.state != "ready" or not artifact.bytecode_due:
            return
        task = await asyncio.to_thread(self._create_task, artifact)
        if task is not None and await complete_bytecode(task):
            self._on_cached()
        await finish_despite_cancel(asyncio.create_task(self._record(artifact)))

    def _create_task(self, artifact: Artifact) -> BytecodeTask | None:
        """Return what is to be done; ``None`` for a prefix that will be replaced, since it was altered."""
        record = read_record(artifact.path)
        with suppress(ManifestDamagedError):
            manifest = load_manifest(Layout.manifest_of(artifact.path), artifact.manifest)
            digests = {path: digest for path, (_, digest) in manifest.files.items() if path.endswith((".py", ".pyc"))}
            if record is not None:
                return BytecodeTask(
                    prefix=artifact.path,
                    lease_path=artifact.lease_path,
                    lock=record.lock,
                    digests=digests,
                    store=self._folder,
                )
        return None

    async def _record(self, artifact: Artifact) -> None:
        """Record that nothing is due any more, once the links are durable."""
        try:
            await asyncio.to_thread(sync_filesystem, artifact.path)
            total, shared = await asyncio.to_thread(measure_prefix, artifact.path)
        except OSError:  # deleted meanwhile
            return
        failpoint("bytecode.complete")
        await self._store.index.artifacts.finish_bytecode(artifact.id, total, shared)
        failpoint("bytecode.recorded")


def _delete_files(paths: Sequence[str]) -> int:
    deleted = 0
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
            deleted += 1
    return deleted
