"""The delete protocol of a prefix, safe at every instant:

1. take the exclusive lock of the lease file
2. set the row to ``deleting`` in a transaction
3. unlink the lease file
4. rename the prefix into the trash
5. delete it there, and the manifest and the record
6. delete the row

A process that still finds the lease file and locks it either finds its prefix complete, or finds that the path no
longer exists and asks the daemon again.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from roost.model.records import Artifact
from roost.store.cancellation import finish_despite_cancel
from roost.store.disk.file_ops import move_to_trash, remove_tree, sync_folder
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import try_lock_exclusively
from roost.store.failpoints import failpoint, operation
from roost.store.index.index import Index


async def delete_prefix(layout: Layout, index: Index, artifact: Artifact) -> bool:
    """Delete a prefix. Return ``False`` if it is in use, pinned, leased or being built. Once begun, the deletion is
    completed even if the caller is cancelled."""
    return await finish_despite_cancel(asyncio.create_task(_delete(layout, index, artifact)))


async def _delete(layout: Layout, index: Index, artifact: Artifact) -> bool:
    try:
        descriptor = await asyncio.to_thread(try_lock_exclusively, artifact.lease_path)
        if descriptor is None:
            return False
    except FileNotFoundError:  # an earlier deletion was interrupted after step 3, or the file was deleted from outside
        descriptor = None
    try:
        failpoint("delete.locked")
        if not await index.artifacts.mark_deleting(artifact.id):
            return False
        failpoint("delete.marked")
        await asyncio.to_thread(_remove_content, layout, artifact)
        await index.artifacts.delete(artifact.id)
        failpoint("delete.dropped")
        return True
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _remove_content(layout: Layout, artifact: Artifact) -> None:
    with suppress(FileNotFoundError):
        os.unlink(artifact.lease_path)
    operation("unlink", artifact.lease_path)
    failpoint("delete.unleased")
    moved = move_to_trash(artifact.path, layout.trash)
    sync_folder(layout.prefixes)
    failpoint("delete.moved")
    if moved is not None:
        remove_tree(moved)
        operation("remove", moved)
    for beside in (layout.manifest_of(artifact.path), layout.record_of(artifact.path)):
        with suppress(FileNotFoundError):
            os.unlink(beside)
    failpoint("delete.removed")
