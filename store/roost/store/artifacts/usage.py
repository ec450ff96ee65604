"""What the disk is used for: the rows of ``roost cache df``."""

from __future__ import annotations

import asyncio
import os

import msgspec

from roost.model.records import Artifact, UsageRow
from roost.store.clock import utc_now
from roost.store.disk.file_ops import measure_tree
from roost.store.disk.lease_files import find_holders, latest_use
from roost.store.index.index import Index


async def list_usage(index: Index, *, measure: bool = False) -> list[UsageRow]:
    """One row an artifact, the oldest first. Sizes are those of the time it was published; ``measure`` walks the
    prefixes again, which takes about 0.1 s each, and tells what is shared with other names now."""
    artifacts = await index.artifacts.list_all()
    pins = set(await index.pins.list_all())
    leases: dict[str, list[str]] = {}
    for lease in await index.leases.list_active(utc_now()):
        leases.setdefault(lease.subject, []).append(f"lease:{lease.id}")
    held = await asyncio.to_thread(find_holders, [a.lease_path for a in artifacts if a.lease_path])
    rows = []
    for artifact in artifacts:
        subjects = (artifact.id, artifact.key)
        by_index = [name for subject in subjects for name in leases.get(subject, ())]
        by_pin = ["pin"] if pins & set(subjects) else []
        protected = (*held.get(artifact.lease_path, ()), *by_index, *by_pin)
        rows.append(await asyncio.to_thread(_row, artifact, protected, measure))
    return rows


def _row(artifact: Artifact, protected: tuple[str, ...], measure: bool) -> UsageRow:
    row = UsageRow(
        kind=artifact.kind,
        id=artifact.id,
        bytes=artifact.bytes,
        shared_bytes=artifact.shared_bytes,
        last_used=latest_use(artifact.last_used, artifact.lease_path),
        protected_by=protected,
        state=artifact.state,
        path=artifact.path,
        key=artifact.key,
    )
    if measure and artifact.kind == "prefix" and os.path.isdir(artifact.path):
        total, shared = measure_tree(artifact.path)
        return msgspec.structs.replace(row, bytes=total, shared_bytes=shared)
    return row
