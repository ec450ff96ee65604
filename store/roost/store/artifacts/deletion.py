"""The delete protocol of a prefix, safe at every instant:

1. take the exclusive lock of the lease file, look whether a process uses the prefix without having that file open, and
   bar the file, which the kernel refuses while anybody has it open
2. set the row to ``deleting`` in a transaction
3. unlink the lease file; if the bar was broken since (the daemon was stopped in between for most of a minute), somebody
   may have come in: leave the rest to a further deletion
4. rename the prefix into the trash
5. delete it there, and the files beside it
6. delete the row

A process that opens the lease file, and locks it where files can't be barred, either finds its prefix complete, or
finds that the path no longer exists and asks the daemon again. Step 5 may be interrupted: a further deletion finds the
content in the trash by its name, and goes on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

from roost.model.caches import Kept
from roost.model.records import Artifact
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.store.disk.file_ops import list_names, move_to_trash, remove_tree, sync_folder
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import ExclusiveLease, find_holders, try_lock_exclusively
from roost.store.disk.process_uses import find_process_uses
from roost.store.failpoints import failpoint, operation
from roost.store.index.index import Index

Reap = Callable[[str], Awaitable[int]]
"""Deletes a path in the trash and returns the bytes that this freed. It may be cancelled."""


async def delete_prefix(layout: Layout, index: Index, artifact: Artifact) -> bool:
    """Delete a prefix. Return ``False`` if it is in use, pinned, leased or being built. Once begun, the deletion is
    completed even if the caller is cancelled."""
    deletion = finish_despite_cancel(asyncio.create_task(remove_prefix(layout, index, artifact, _reap_in_thread)))
    return not isinstance(await deletion, Kept)


async def remove_prefix(layout: Layout, index: Index, artifact: Artifact, reap: Reap) -> int | Kept:
    """Delete a prefix. Return what ``reap`` says was freed, or why the prefix stays.

    If it is cancelled, nothing has happened yet, or the prefix can't be used any more and is in the trash: the row is
    ``deleting`` until a further call, or the next start, has deleted the rest.
    """
    kept = await finish_despite_cancel(asyncio.create_task(_move(layout, index, artifact)))
    if kept is not None:
        return kept
    freed = sum([await reap(path) for path in await asyncio.to_thread(_find_in_trash, layout, artifact)])
    await finish_despite_cancel(asyncio.create_task(_drop(layout, index, artifact)))
    return freed


async def _move(layout: Layout, index: Index, artifact: Artifact) -> Kept | None:
    """Move the prefix into the trash, unless something needs it."""
    try:
        hold = await asyncio.to_thread(try_lock_exclusively, artifact.lease_path)
        if hold is None:
            return await asyncio.to_thread(_find_holder, artifact)
    except FileNotFoundError:  # an earlier deletion was interrupted after step 3, or the file was deleted from outside
        hold = None
    try:
        failpoint("delete.locked")
        users = (await asyncio.to_thread(find_process_uses, [artifact.path]))[artifact.path]
        if users:
            return Kept(reason=users[0])
        if hold is not None and not hold.bar():
            return await asyncio.to_thread(_find_holder, artifact)
        failpoint("delete.barred")
        if not await index.artifacts.mark_deleting(artifact.id):
            protections = await index.artifacts.list_protections(artifact.id)
            return Kept(reason=next(iter(protections), "build"))
        failpoint("delete.marked")
        return await finish_thread_despite_cancel(_move_content, layout, artifact, hold)
    finally:
        if hold is not None:
            hold.close()


def _find_holder(artifact: Artifact) -> Kept:
    holders = find_holders([artifact.lease_path])[artifact.lease_path]
    return Kept(reason=next(iter(holders), "process:unknown"))


def _move_content(layout: Layout, artifact: Artifact, hold: ExclusiveLease | None) -> Kept | None:
    with suppress(FileNotFoundError):
        os.unlink(artifact.lease_path)
    operation("unlink", artifact.lease_path)
    failpoint("delete.unleased")
    if hold is not None and not hold.is_whole():
        return Kept(reason="process:unknown")
    move_to_trash(artifact.path, layout.trash)
    sync_folder(layout.prefixes)
    failpoint("delete.moved")
    return None


def _find_in_trash(layout: Layout, artifact: Artifact) -> list[str]:
    """Return the prefix in the trash: no other one ever had its name."""
    start = f"{os.path.basename(artifact.path)}."
    return [os.path.join(layout.trash, name) for name in list_names(layout.trash) if name.startswith(start)]


async def _reap_in_thread(path: str) -> int:
    await finish_thread_despite_cancel(remove_tree, path)
    operation("remove", path)
    return 0


async def _drop(layout: Layout, index: Index, artifact: Artifact) -> None:
    await asyncio.to_thread(_remove_beside, layout, artifact)
    await index.artifacts.delete(artifact.id)
    failpoint("delete.dropped")


def _remove_beside(layout: Layout, artifact: Artifact) -> None:
    for beside in layout.descriptions_of(artifact.path):
        with suppress(FileNotFoundError):
            os.unlink(beside)
    failpoint("delete.removed")
