"""The store: one root on disk and its index, as the daemon uses them.

Invariants, at every instant and after any crash: only a ``ready`` row is served, and its content was complete, synced
and in place before that row was committed; a path is used for one prefix only, ever; nothing that a process runs in,
a lease or a pin protects is removed; one process at a time holds a root.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from roost.model.errors import LookupFailedError
from roost.model.locks.lock import Lock
from roost.model.records import Artifact, NewGeneration, UsageRow
from roost.store.artifacts import usage
from roost.store.artifacts.deletion import delete_prefix
from roost.store.artifacts.publish import Filled, publish_prefix
from roost.store.artifacts.recovery import RecoveryReport, recover
from roost.store.disk.layout import Layout
from roost.store.disk.root import RootLock, check_root, claim_root
from roost.store.index.index import Index

__all__ = ["Filled", "Index", "Layout", "RecoveryReport", "Store", "UsageRow", "check_root"]


class ArtifactUnknownError(LookupFailedError):
    """There is no artifact of that id."""

    code = "artifact-unknown"


class Store:
    """An open store. Made by ``Store.open`` only."""

    def __init__(self, layout: Layout, index: Index, recovered: RecoveryReport, held: RootLock) -> None:
        self.layout = layout
        self.index = index
        self.recovered = recovered
        self._held = held

    @classmethod
    async def open(cls, root: str, address: str = "") -> Store:
        """Check and hold the root, open the index, recover; only then is there a store. ``address`` is where its
        holder can be reached, for whoever is refused.

        Raises:
            StoreRefusedError: one of ``root-too-long``, ``root-network``, ``root-read-only``, ``root-format``,
                ``root-in-use``.
            StoreFullError, IndexDamagedError, StoreError: as their names say.
        """
        layout = Layout(root)
        await asyncio.to_thread(check_root, root)
        held = await asyncio.to_thread(claim_root, layout, address)
        try:
            index = await Index.open(layout.index_path)
            try:
                return cls(layout, index, await recover(layout, index), held)
            except BaseException:
                await index.close()
                raise
        except BaseException:
            held.release()
            raise

    async def close(self) -> None:
        """Close the index, then let go of the root; calling it again does nothing."""
        if not self._held.released:
            await self.index.close()
            self._held.release()

    async def publish_prefix(
        self,
        *,
        lock: Lock,
        generation: NewGeneration | None,
        build_id: str,
        fill: Callable[[str], Awaitable[Filled]],
    ) -> Artifact:
        """The ready prefix of ``lock``, filled by ``fill(path)`` if there was none; with ``generation``, the lock
        becomes the current generation in the same transaction.

        ``fill`` gets an empty folder, which is the final place. When it raises or is cancelled, the content is removed,
        the row is gone and the exception passes; a full disk becomes ``StoreFullError``. Once it has returned, the
        rest is done even if the caller is cancelled.
        """
        return await publish_prefix(
            self.layout, self.index, lock=lock, generation=generation, build_id=build_id, fill=fill
        )

    async def delete_artifact(self, artifact_id: str) -> bool:
        """Remove a prefix; ``False`` while a process uses it, a lease or pin protects it, or it is being built, and for
        an image, which is its engine's to remove.

        Raises:
            ArtifactUnknownError: there is none of that id.
        """
        artifact = await self._artifact(artifact_id)
        return artifact.kind == "prefix" and await delete_prefix(self.layout, self.index, artifact)

    async def retire_prefix(self, artifact_id: str) -> bool:
        """Take a prefix that was found broken out of every plan at once, and remove it if nobody uses it; whether it is
        gone. One that is in use goes with ``sweep_retired`` or at the next start.

        Raises:
            ArtifactUnknownError: there is none of that id.
        """
        artifact = await self._artifact(artifact_id)
        await self.index.artifacts.mark_retired(artifact_id)
        return await delete_prefix(self.layout, self.index, artifact)

    async def sweep_retired(self) -> int:
        """Remove retired prefixes that nobody uses any more; how many went."""
        retired = [artifact for artifact in await self.index.artifacts.list_all() if artifact.state == "retired"]
        return sum([await delete_prefix(self.layout, self.index, artifact) for artifact in retired])

    async def usage(self, *, measure: bool = False) -> list[UsageRow]:
        """The rows of ``roost cache df``: see ``roost.store.artifacts.usage``."""
        return await usage.usage(self.index, measure=measure)

    async def _artifact(self, artifact_id: str) -> Artifact:
        found = await self.index.artifacts.find(artifact_id)
        if found is None:
            raise ArtifactUnknownError(
                f"There is no artifact {artifact_id}",
                hint="`roost cache df` lists those there are.",
                fields={"id": artifact_id},
            )
        return found
