"""``store.artifacts``: publishing, deletion and usage of artifacts, by one object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from roost.model.caches import Kept
from roost.model.errors import LookupFailedError
from roost.model.locks.lock import Lock
from roost.model.records import Artifact, NewGeneration, UsageRow
from roost.store.artifacts.deletion import Reap, delete_prefix, remove_prefix
from roost.store.artifacts.publish import Fill, publish_prefix
from roost.store.artifacts.usage import list_usage
from roost.store.disk.layout import Layout
from roost.store.index.index import Index


class ArtifactUnknownError(LookupFailedError):
    """There is no artifact of that id."""

    code = "artifact-unknown"


async def _do_nothing(artifact_id: str) -> None:
    """Stand for ``before_deletion`` where nothing is done in prefixes."""


class ArtifactStore:
    """The artifacts of one root: prefixes on disk, and the rows of images that engines hold."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._layout = layout
        self._index = index
        self.before_deletion: Callable[[str], Awaitable[None]] = _do_nothing
        """Called with the id of an artifact before it is deleted: whatever the daemon itself does in it ends."""

    async def publish_prefix(
        self,
        *,
        lock: Lock,
        generation: NewGeneration | None,
        build_id: str,
        fill: Fill,
    ) -> Artifact:
        """Return the ready prefix of ``lock``, filled by ``fill(path)`` if there was none. With ``generation``, the
        lock becomes the current generation in the same transaction.

        ``fill`` gets an empty folder, which is the final path. If it raises or is cancelled, the content and the row
        are deleted and the exception passes; a full disk becomes ``StoreFullError``. Once ``fill`` has returned, the
        rest is completed even if the caller is cancelled.
        """
        return await publish_prefix(
            self._layout, self._index, lock=lock, generation=generation, build_id=build_id, fill=fill
        )

    async def delete(self, artifact_id: str) -> bool:
        """Delete a prefix. Return ``False`` if a process uses it, if a lease or pin protects it, or if it is being
        built; and for an image, which only its engine can delete.

        Raises:
            ArtifactUnknownError: there is no artifact of that id.
        """
        artifact = await self._get(artifact_id)
        return artifact.kind == "prefix" and await self._delete(artifact)

    async def remove(self, artifact_id: str, reap: Reap) -> int | Kept:
        """Delete a prefix; ``reap`` deletes its content in the trash and may be cancelled. Return the freed bytes, or
        why the prefix stays.

        Raises:
            ArtifactUnknownError: there is no artifact of that id.
        """
        artifact = await self._get(artifact_id)
        if artifact.kind != "prefix":
            return Kept(reason="unknown:only its engine can delete it")
        await self.before_deletion(artifact.id)
        return await remove_prefix(self._layout, self._index, artifact, reap)

    async def retire_prefix(self, artifact_id: str) -> bool:
        """Withdraw a broken prefix from all plans at once, and delete it if nothing uses it. Return whether it was
        deleted; one in use is deleted by ``sweep_retired`` or at the next start.

        Raises:
            ArtifactUnknownError: there is no artifact of that id.
        """
        artifact = await self._get(artifact_id)
        await self._index.artifacts.mark_retired(artifact_id)
        return await self._delete(artifact)

    async def sweep_retired(self) -> int:
        """Delete the retired prefixes that nothing uses any more, and return how many."""
        retired = [artifact for artifact in await self._index.artifacts.list_all() if artifact.state == "retired"]
        return sum([await self._delete(artifact) for artifact in retired])

    async def list_usage(self, *, measure: bool = False) -> list[UsageRow]:
        """Return the rows of ``roost cache df``: see ``roost.store.artifacts.usage``."""
        return await list_usage(self._index, measure=measure)

    async def _delete(self, artifact: Artifact) -> bool:
        await self.before_deletion(artifact.id)
        return await delete_prefix(self._layout, self._index, artifact)

    async def _get(self, artifact_id: str) -> Artifact:
        artifact = await self._index.artifacts.find(artifact_id)
        if artifact is None:
            raise ArtifactUnknownError(
                f"There is no artifact {artifact_id}",
                hint="`roost cache df` lists the existing ones.",
                fields={"id": artifact_id},
            )
        return artifact
