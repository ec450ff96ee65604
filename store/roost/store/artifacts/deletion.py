"""Deleting a prefix, in the order that is safe at every instant.

    the lease file's exclusive lock  →  ``deleting`` in a transaction  →  unlink the lease file  →  rename into the
    trash  →  remove  →  drop the row

A process that still finds the lease file and locks it finds its prefix whole, or finds the path gone and turns back.
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
    """Delete it; ``False`` if it is in use, or pinned, leased or being built. Once begun it goes on to the end."""
    return await finish_despite_cancel(asyncio.create_task(_delete(layout, index, artifact)))


async def _delete(layout: Layout, index: Index, artifact: Artifact) -> bool:
    try:
        descriptor = await asyncio.to_thread(try_lock_exclusively, artifact.lease_path)
        if descriptor is None:
            return False
    except FileNotFoundError:  # an earlier deletion came that far, or somebody took the file away
        descriptor = None
    try:
        failpoint("delete.locked")
        if not await index.artifacts.mark_deleting(artifact.id):
            return False
        failpoint("delete.marked")
        await asyncio.to_thread(_remove, layout, artifact)
        await index.artifacts.delete(artifact.id)
        failpoint("delete.dropped")
        return True
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _remove(layout: Layout, artifact: Artifact) -> None:
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
    failpoint("delete.removed")
