"""The store: one root on disk and its index. The only entry of the daemon.

Invariants, at every instant and after any crash:

- Only a ``ready`` row is served. Its content was complete, synced and in place before that row was committed.
- A path is used for one prefix only, ever.
- Nothing is deleted that a process runs in, or that a lease or a pin protects.
- One process at a time holds a root.
"""

from __future__ import annotations

import asyncio

from roost.store.artifacts.artifact_store import ArtifactStore
from roost.store.artifacts.recovery import RecoveryReport, recover
from roost.store.disk.layout import Layout
from roost.store.disk.root import check_root
from roost.store.disk.root_lock import RootLock, claim_root
from roost.store.index.index import Index
from roost.store.migrations.examination import examine_index


class Store:
    """An open store, created by ``Store.open`` only."""

    def __init__(
        self, layout: Layout, index: Index, recovery: RecoveryReport, root_lock: RootLock, checked: int | None = None
    ) -> None:
        self.layout = layout
        self.index = index
        self.artifacts = ArtifactStore(layout, index)
        self.recovery = recovery
        self.root_lock = root_lock
        self.checked = checked
        """Size of the WAL with which the index was checked, since nobody had closed it."""

    @classmethod
    async def open(cls, root: str, address: str = "", roost_version: str | None = None) -> Store:
        """Check and lock the root, examine and open the index, and recover, in this order.

        ``address`` is where this process can be reached: reported in the error that other daemons get.
        ``roost_version`` is recorded as the writer of a new index.

        Raises:
            StoreRefusedError: one of ``root-too-long``, ``root-owner``, ``root-shared``, ``root-network``,
                ``root-read-only``, ``root-noexec``, ``root-format``, ``root-in-use``.
            StoreFullError, IndexDamagedError, IndexMissingError, IndexUnusableError, StoreError: see the classes.
        """
        layout = Layout(root)
        await asyncio.to_thread(check_root, root)
        root_lock = await asyncio.to_thread(claim_root, layout, address)
        try:
            checked = await asyncio.to_thread(examine_index, layout)
            index = await Index.open(layout.index_path, roost_version)
            try:
                return cls(layout, index, await recover(layout, index), root_lock, checked)
            except BaseException:
                await index.close()
                raise
        except BaseException:
            root_lock.release()
            raise

    async def close(self) -> None:
        """Close the index, then release the root; a second call does nothing."""
        if not self.root_lock.is_released:
            await self.index.close()
            self.root_lock.release()
