"""The publish protocol: a prefix is servable only after its content is complete, synced and in place.

    building row + lease  →  folder and lease file  →  fill  →  syncfs  →  sync the parent  →  one transaction:
    ready + lock + generation

A crash between any two of these leaves a ``building`` row, which no plan picks and recovery removes. A ``fill`` that
fails or is cancelled is cleaned up at once, in the other order: content away, then the row.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from roost.model.errors import StoreError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Artifact, FileStamp, NewGeneration, VariableChange
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.store.clock import utc_now
from roost.store.disk.file_ops import (
    full_disk_error,
    measure_tree,
    move_to_trash,
    remove_tree,
    sync_filesystem,
    sync_folder,
    translate_full_disk,
)
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import create_lease
from roost.store.failpoints import failpoint
from roost.store.index.index import Index


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """What ``fill`` found out about the prefix that it filled."""

    activation: tuple[VariableChange, ...] = ()
    stamps: tuple[FileStamp, ...] = ()


Fill = Callable[[str], Awaitable[Filled]]


async def publish_prefix(
    layout: Layout, index: Index, *, lock: Lock, generation: NewGeneration | None, build_id: str, fill: Fill
) -> Artifact:
    """Make the prefix of ``lock`` under a path that was never used, or return the one that is ready already.

    Raises:
        StoreFullError: the disk is full; nothing half-made is left.
        Whatever ``fill`` raises, cancellation too: its content is in the trash and its row is gone by then.
    """
    key = digest_lock(lock)
    ready = await index.artifacts.find_ready("prefix", key)
    if ready is not None:
        return await index.publish_prefix(ready, lock, generation)
    artifact = _announced(layout, lock.platform, key)
    try:
        await finish_despite_cancel(asyncio.create_task(_begin(index, artifact, build_id)))
        await finish_thread_despite_cancel(_make_place, artifact)
        filled = await fill(artifact.path)
        failpoint("publish.filled")
    except BaseException as error:
        await finish_despite_cancel(asyncio.create_task(_discard(layout, index, artifact)))
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk_error(layout.root) from error
        raise
    return await finish_despite_cancel(asyncio.create_task(_finish(layout, index, artifact, lock, generation, filled)))


def _announced(layout: Layout, platform: str, key: str) -> Artifact:
    path, now = layout.new_prefix(key), utc_now()
    return Artifact(
        id=f"p-{secrets.token_hex(8)}",
        kind="prefix",
        key=key,
        platform=platform,
        state="building",
        path=path,
        lease_path=layout.lease_of(path),
        created=now,
        last_used=now,
    )


async def _begin(index: Index, artifact: Artifact, build_id: str) -> None:
    failpoint("publish.begin")
    await index.artifacts.insert_building(artifact, build_id)
    failpoint("publish.announced")


def _make_place(artifact: Artifact) -> None:
    with translate_full_disk(artifact.path):
        create_lease(artifact.lease_path)
        failpoint("publish.leased")
        os.mkdir(artifact.path, 0o755)
    failpoint("publish.placed")


async def _finish(
    layout: Layout, index: Index, artifact: Artifact, lock: Lock, generation: NewGeneration | None, filled: Filled
) -> Artifact:
    try:
        total, shared = await asyncio.to_thread(_make_durable, layout, artifact.path)
        complete = msgspec.structs.replace(
            artifact,
            bytes=total,
            shared_bytes=shared,
            last_used=utc_now(),
            activation=filled.activation,
            stamps=filled.stamps,
        )
        ready = await index.publish_prefix(complete, lock, generation)
        failpoint("publish.committed")
    except BaseException:
        await _discard(layout, index, artifact)
        raise
    if ready.id != artifact.id:  # somebody else's became ready first
        await _discard(layout, index, artifact)
    return ready


def _make_durable(layout: Layout, path: str) -> tuple[int, int]:
    with translate_full_disk(path):
        sync_filesystem(path)
        failpoint("publish.synced")
        sync_folder(layout.prefixes)
        failpoint("publish.parent-synced")
        return measure_tree(path)  # after the sync: before it some file systems have not allocated anything yet


async def _discard(layout: Layout, index: Index, artifact: Artifact) -> None:
    """Take away what was begun, unless it became ready after all (a cancellation that came too late).

    Works on a full disk: nothing is written to the index before the content is gone.
    """
    with suppress(StoreError):
        await index.wait_for_writes()
    found = await index.artifacts.find(artifact.id)
    if found is None or found.state == "ready":
        return  # without a row nothing was made either: the row comes first
    failpoint("discard.begin")
    await asyncio.to_thread(discard_content, layout, artifact.path)
    failpoint("discard.removed")
    with suppress(StoreError):  # a row that stays behind is `building`: recovery drops it
        await index.artifacts.delete(artifact.id)


def discard_content(layout: Layout, path: str) -> None:
    """Remove a prefix that nothing may use, with its lease file: in one step out of the way, then byte by byte."""
    with suppress(FileNotFoundError):
        os.unlink(layout.lease_of(path))
    try:
        moved = move_to_trash(path, layout.trash)
    except OSError:  # a disk so full that a folder can't grow by a name
        moved = path
    if moved is not None:
        remove_tree(moved)
