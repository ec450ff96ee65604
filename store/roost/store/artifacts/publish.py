"""The publish protocol: a prefix is served only after its content is complete, synced and in place.

1. insert a ``building`` row and the lease of its build
2. create the lease file and the folder
3. fill the folder, and write its manifest and its record beside it
4. syncfs, then sync the parent folder
5. one transaction: the row becomes ``ready``, with its lock and its generation

A crash between any two steps leaves a ``building`` row, which no plan uses and recovery deletes. If filling fails or is
cancelled, the content is deleted at once, and then the row.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.errors import StoreError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Artifact, FileStamp, NewGeneration, PrefixPython, VariableChange
from roost.store.artifacts.usage import measure_prefix
from roost.store.cancellation import finish_despite_cancel, finish_thread_despite_cancel
from roost.store.clock import utc_now
from roost.store.disk.file_ops import (
    TreeCount,
    full_disk_error,
    move_to_trash,
    remove_tree,
    sync_filesystem,
    sync_folder,
    translate_full_disk,
    write_new_file,
)
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import create_lease
from roost.store.disk.prefix_records import PrefixRecord, write_record
from roost.store.failpoints import failpoint
from roost.store.index.cache_keys import list_cache_keys
from roost.store.index.index import Index


class FillResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of filling a prefix: its activation, stamps of files that it depends on, its manifest, and what was
    learned."""

    activation: tuple[VariableChange, ...] = ()
    stamps: tuple[FileStamp, ...] = ()
    manifest: bytes = b""
    """Written beside the prefix."""
    count: TreeCount | None = None
    """All names of the prefix, counted when its manifest was made."""
    bytecode_due: bool = False
    """Whether byte-code is to be compiled once the prefix is ready."""
    python: PrefixPython | None = None
    lock: Lock | None = None
    """The lock with what only installing shows of it, under the same digest; ``None`` if that is nothing."""


Fill = Callable[[str], Awaitable[FillResult]]
"""Fills the empty folder at a path with the content of a prefix."""


async def publish_prefix(
    layout: Layout, index: Index, *, lock: Lock, generation: NewGeneration | None, build_id: str, fill: Fill
) -> Artifact:
    """Create the prefix of ``lock`` under a path that was never used before, or return the one that is ready already.

    Raises:
        StoreFullError: the disk is full; nothing incomplete is left.
        Any exception of ``fill``, cancellation too: the content and its row are deleted by then.
    """
    key = digest_lock(lock)
    ready = await index.artifacts.find_ready("prefix", key)
    if ready is not None:
        reused = await index.reuse_prefix(key, lock, generation)
        if reused is not None:  # else it was collected in between
            return reused
    artifact = _new_artifact(layout, lock.platform, key)
    try:
        await finish_despite_cancel(asyncio.create_task(_insert_building(index, artifact, build_id, lock)))
        await finish_thread_despite_cancel(_create_folder, artifact)
        filled = await fill(artifact.path)
        failpoint("publish.filled")
    except BaseException as error:
        await finish_despite_cancel(asyncio.create_task(_discard(layout, index, artifact)))
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk_error(layout.root) from error
        raise
    return await finish_despite_cancel(asyncio.create_task(_commit(layout, index, artifact, lock, generation, filled)))


def _new_artifact(layout: Layout, platform: str, key: str) -> Artifact:
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


async def _insert_building(index: Index, artifact: Artifact, build_id: str, lock: Lock) -> None:
    failpoint("publish.begin")
    await index.artifacts.insert_building(artifact, build_id, list_cache_keys(lock))
    failpoint("publish.announced")


def _create_folder(artifact: Artifact) -> None:
    with translate_full_disk(artifact.path):
        create_lease(artifact.lease_path)
        failpoint("publish.leased")
        os.mkdir(artifact.path, 0o755)
    failpoint("publish.placed")


async def _commit(
    layout: Layout, index: Index, artifact: Artifact, lock: Lock, generation: NewGeneration | None, filled: FillResult
) -> Artifact:
    try:
        complete = msgspec.structs.replace(
            artifact,
            last_used=utc_now(),
            activation=filled.activation,
            stamps=filled.stamps,
            python=filled.python,
            manifest=digest_bytes(filled.manifest),
            bytecode_due=filled.bytecode_due,
        )
        record = PrefixRecord(artifact=complete, lock=filled.lock or lock, generation=generation)
        total, shared = await asyncio.to_thread(_make_durable, layout, record, filled)
        complete = msgspec.structs.replace(complete, bytes=total, shared_bytes=shared)
        ready = await index.publish_prefix(complete, record.lock, generation)
        failpoint("publish.committed")
    except BaseException:
        await _discard(layout, index, artifact)
        raise
    if ready.id != artifact.id:  # another build of the same lock became ready first
        await _discard(layout, index, artifact)
    return ready


def _make_durable(layout: Layout, record: PrefixRecord, filled: FillResult) -> tuple[int, int]:
    path = record.artifact.path
    with translate_full_disk(path):
        write_new_file(layout.manifest_of(path), filled.manifest)
        failpoint("publish.manifest-written")
        write_record(record)
        failpoint("publish.record-written")
        sync_filesystem(path)
        failpoint("publish.synced")
        sync_folder(layout.prefixes)
        failpoint("publish.parent-synced")
        return measure_prefix(
            path, filled.count
        )  # after the sync: before it, some file systems have not allocated blocks yet


async def _discard(layout: Layout, index: Index, artifact: Artifact) -> None:
    """Delete what was begun, unless it became ready after all (a cancellation that came too late).

    Works on a full disk: nothing is written to the index before the content is deleted.
    """
    with suppress(StoreError):
        await index.wait_for_writes()
    found = await index.artifacts.find(artifact.id)
    if found is None or found.state == "ready":
        return  # without a row nothing was created either: the row comes first
    failpoint("discard.begin")
    await asyncio.to_thread(discard_content, layout, artifact.path)
    failpoint("discard.removed")
    with suppress(StoreError):  # a row that is left is `building`: recovery deletes it
        await index.artifacts.delete(artifact.id)


def discard_content(layout: Layout, path: str) -> None:
    """Delete a prefix that nothing may use, and what is beside it. It is moved into the trash first, in one step."""
    for beside in (layout.lease_of(path), *layout.descriptions_of(path)):
        with suppress(FileNotFoundError):
            os.unlink(beside)
    try:
        moved = move_to_trash(path, layout.trash)
    except OSError:  # on a full disk, a folder may not have room for one more name
        moved = path
    if moved is not None:
        remove_tree(moved)
