"""Prefixes are compared with their manifests in idleness: one at a time, the one that was compared longest ago.

The files are read in a worker of the lowest priority, which is killed when anybody wants something of the daemon. What
was interrupted is begun again, since a manifest holds for a whole prefix. A prefix of an older version that was found
unaltered gets the manifest and the record that it lacks, so that it survives the loss of the index.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta, timezone

import msgspec

from roost.daemon.background.work import BackgroundWork
from roost.daemon.config.source import ConfigSource
from roost.daemon.prefixes.adoption import Adoption
from roost.daemon.prefixes.builds import PrefixBuilds
from roost.daemon.prefixes.check import Inspection, inspect_prefix
from roost.daemon.prefixes.late_bytecode import LateBytecode
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.daemon.workers.pool import WorkerPool
from roost.model.locks.lock import Lock
from roost.model.records import Artifact
from roost.store.cancellation import finish_despite_cancel
from roost.store.clock import rfc3339, utc_now
from roost.store.store import Store

log = logging.getLogger(__name__)
IDLE_CHECK = "verify-prefix"
EVERY_SECONDS = 3600.0
"""Between two prefixes: reading one takes the disk some seconds."""


class IdleCheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix to compare, and its lock."""

    artifact: Artifact
    lock: Lock


CHECK = WorkerJob(
    kind=WorkerKind(name="verification", processes=1, memory_share=0.5),
    target="roost.daemon.prefixes.idle_check:inspect_in_worker",
    payload=IdleCheckRequest,
    result=Inspection,
    doing="comparing a prefix with its manifest",
)


def inspect_in_worker(request: IdleCheckRequest, context: JobContext) -> Inspection:
    """Compare the prefix of ``request``."""
    return inspect_prefix(request.artifact, request.lock)


class IdleVerification:
    """Compares one prefix each time it runs, and retires one that differs, as ``roost cache verify --repair`` does.
    Byte-code that differs only in this prefix is deleted, and compiled again."""

    def __init__(
        self,
        store: Store,
        builds: PrefixBuilds,
        adoption: Adoption,
        bytecode: LateBytecode,
        workers: WorkerPool,
        config: ConfigSource,
    ) -> None:
        self._store = store
        self._builds = builds
        self._adoption = adoption
        self._bytecode = bytecode
        self._workers = workers
        self._config = config

    async def run(self) -> None:
        """Compare the prefix that was compared longest ago, if that was ``cache.verify_days`` ago or is in the
        future."""
        days = self._config.config.cache.verify_days
        if not days:
            return
        now = datetime.now(timezone.utc)
        found = await self._store.index.upkeep.find_longest_unchecked(rfc3339(now - timedelta(days=days)), rfc3339(now))
        lock = await self._store.index.locks.find(found.key) if found is not None else None
        if found is None or lock is None:
            return
        request = IdleCheckRequest(artifact=found, lock=lock)
        inspection = await BackgroundWork().run(lambda: self._workers.run(CHECK, request))
        if not inspection.changes:
            await self._store.index.upkeep.record_check(found.id, utc_now())
            # Completed even if somebody wants something meanwhile: its guards change with its modes.
            await finish_despite_cancel(asyncio.create_task(self._adoption.complete(found, lock)))
            # Damage of a file that the store no longer has looks the same as what Python rewrote.
            deleting = self._bytecode.delete_files(found.id, inspection.rewritten)
            await finish_despite_cancel(asyncio.create_task(deleting))
        elif inspection.only_modes and await self._builds.renew(found):
            log.warning("%s: folders were writable, and are read-only again", found.path)
            await self._store.index.upkeep.record_check(found.id, utc_now())
        else:
            log.warning("%s differs from what was built: %s", found.path, inspection.summary)
            # Completed even if somebody wants something meanwhile: the caches that it was linked from are altered too.
            retiring = self._builds.retire(found, lock, inspection.summary)
            await finish_despite_cancel(asyncio.create_task(retiring))
