"""Prefixes of format 1: they are served as long as their own guards hold, and get a manifest when they are first used.

Until then nothing but a few files guards them, so they are compared with what their packages state first. Verification
completes them too, and writes the record of prefixes that were published before there were records.
"""

from __future__ import annotations

import asyncio
import logging

from roost.daemon.integrity.manifest import decode_manifest
from roost.daemon.integrity.records import find_lock_mismatches
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.prefixes.builds import PrefixBuilds
from roost.daemon.prefixes.seal import seal_older
from roost.model.canonical.form import digest_bytes
from roost.model.locks.lock import Lock
from roost.model.records import Artifact
from roost.store.artifacts.records import ensure_record
from roost.store.disk.file_ops import write_durably
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint
from roost.store.store import Store

log = logging.getLogger(__name__)


class Adoption:
    """Gives prefixes of format 1 what those of format 2 have."""

    def __init__(self, store: Store, builds: PrefixBuilds, launches: LaunchFolder) -> None:
        self._store = store
        self._builds = builds
        self._launches = launches
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """By artifact id. Those that have succeeded stay, so that each prefix is tried once."""

    def start(self, prefix: Artifact | None) -> None:
        """Check and adopt a prefix that is being used, in the background, if it is of format 1."""
        if prefix is not None and not prefix.manifest and prefix.id not in self._tasks:
            self._tasks[prefix.id] = asyncio.create_task(self._check(prefix))

    async def stop(self) -> None:
        """Cancel what is running. Whatever is left is adopted at another use."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _check(self, prefix: Artifact) -> None:
        try:
            await self._check_and_adopt(prefix)
        except Exception:  # the prefix is served as before; the next use tries again
            log.exception("Checking %s failed", prefix.path)
            del self._tasks[prefix.id]

    async def _check_and_adopt(self, prefix: Artifact) -> None:
        from roost.daemon.prefixes.check import inspect_prefix

        lock = await self._store.index.locks.find(prefix.key)
        if lock is None:
            return
        found = await asyncio.to_thread(inspect_prefix, prefix, lock)
        if found.changes:
            await self._builds.retire(prefix, lock, found.summary)
        else:
            await self.complete(prefix, lock)

    async def complete(self, prefix: Artifact, lock: Lock) -> None:
        """Write what a prefix lacks, which was found unaltered: its manifest and guards, and its record, from which a
        lost index is rebuilt.

        Raises:
            StoreFullError: the disk is full; the next verification tries again.
        """
        if not prefix.manifest:
            await self._adopt(prefix, lock)
        if await ensure_record(self._store.index, prefix.id):
            log.info("%s has a record now", prefix.path)

    async def _adopt(self, prefix: Artifact, lock: Lock) -> None:
        """Write the manifest and the guards of a prefix that was found unaltered. Every file of it is read.

        One whose packages are not those of its lock is retired.
        """
        seal = await asyncio.to_thread(seal_older, prefix)
        digest = digest_bytes(seal.manifest)
        if mismatches := find_lock_mismatches(decode_manifest(seal.manifest, digest), lock):
            await self._builds.retire(prefix, lock, f"{', '.join(mismatches)}: not as in the lock")
            return
        # The launcher's plans compare less than the new guards.
        async with invalidate_launch_plans(self._launches):
            await asyncio.to_thread(write_durably, Layout.manifest_of(prefix.path), seal.manifest)
            failpoint("adopt.manifest-written")
            await self._store.index.artifacts.put_seal(prefix.id, seal.stamps, digest)
