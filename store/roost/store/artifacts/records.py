"""Records of prefixes that were published without one, or whose record was lost, written from the index.

Separate from ``publish``: that writes a record before the prefix is ready, this one beside a ready prefix.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from roost.model.records import Artifact, NewGeneration
from roost.store.disk.file_ops import translate_full_disk, write_durably
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import PrefixRecord, encode_record, read_record
from roost.store.failpoints import failpoint
from roost.store.index.index import Index


async def ensure_record(index: Index, artifact_id: str) -> bool:
    """Write the record beside a ready prefix with a manifest, unless it has a valid one. Return whether it was written.

    A lost index is rebuilt from it, after every byte of the prefix was compared with its manifest.

    Raises:
        StoreFullError: the disk is full; nothing was written.
    """
    artifact = await _find_ready(index, artifact_id)
    lock = await index.locks.find(artifact.key) if artifact is not None and artifact.manifest else None
    if artifact is None or lock is None:
        return False
    found = await asyncio.to_thread(read_record, artifact.path)
    if found is not None and found.artifact.manifest == artifact.manifest:
        return False
    record = PrefixRecord(artifact=artifact, lock=lock, generation=await _find_generation(index, artifact.key))
    path = Layout.record_of(artifact.path)
    with translate_full_disk(path):
        await asyncio.to_thread(write_durably, path, encode_record(record))
    failpoint("record.written")
    if await _find_ready(index, artifact_id) is None:  # deleted meanwhile; a deletion that begins later deletes both
        with suppress(FileNotFoundError):
            os.unlink(path)
        return False
    return True


async def _find_ready(index: Index, artifact_id: str) -> Artifact | None:
    artifact = await index.artifacts.find(artifact_id)
    return artifact if artifact is not None and artifact.kind == "prefix" and artifact.state == "ready" else None


async def _find_generation(index: Index, lock_digest: str) -> NewGeneration | None:
    """Return the generation with this lock that a command most probably asks for: a current one, else the latest."""
    found = sorted(await index.generations.list_by_lock(lock_digest), key=lambda each: (each.current, each.created))
    if not found:
        return None
    return NewGeneration(
        definition_digest=found[-1].definition_digest,
        platform=found[-1].platform,
        as_of=found[-1].as_of,
        base_digest=found[-1].base_digest,
        steps_digest=found[-1].steps_digest,
        origin=found[-1].origin,
        file_lock=found[-1].file_lock,
        unvouched=found[-1].unvouched,
    )
