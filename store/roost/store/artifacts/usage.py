"""Disk usage of artifacts: the rows of ``roost cache df``."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import msgspec

from roost.model.records import Artifact, UsageRow
from roost.store.disk.file_ops import TreeCount, measure_tree
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import find_holders, latest_use
from roost.store.index.index import Index


async def list_usage(index: Index, *, measure: bool = False) -> list[UsageRow]:
    """Return one row per artifact, the oldest first.

    Sizes are those at the time of publishing. ``measure`` walks every prefix again, which takes about 0.1 s each, and
    reports what is shared with other names now.
    """
    artifacts = await index.artifacts.list_all()
    pinned = set(await index.pins.list_artifacts())
    leases = await index.leases.map_protected()
    holders = await asyncio.to_thread(find_holders, [a.lease_path for a in artifacts if a.lease_path])
    users = []
    for artifact in artifacts:
        lease_protections = [f"lease:{lease}" for lease in leases.get(artifact.id, ())]
        pin_protections = ["pin"] if artifact.id in pinned else []
        protected = (*holders.get(artifact.lease_path, ()), *lease_protections, *pin_protections)
        users.append((artifact, protected))
    return await asyncio.to_thread(lambda: [_usage_row(artifact, by, measure) for artifact, by in users])


def _usage_row(artifact: Artifact, protected: tuple[str, ...], measure: bool) -> UsageRow:
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
        total, shared = measure_prefix(artifact.path)
        return msgspec.structs.replace(row, bytes=total, shared_bytes=shared)
    return row


def measure_prefix(path: str, count: TreeCount | None = None) -> tuple[int, int]:
    """Return ``(total, shared)`` of a prefix as ``measure_tree`` does, with the files beside it that go too. Blocks.

    ``count``: all names of the prefix, if they were counted already.

    Raises:
        OSError: the prefix can't be read.
    """
    total, shared = count.measure() if count is not None else measure_tree(path)
    for beside in Layout.descriptions_of(path):
        with suppress(FileNotFoundError):
            total += os.lstat(beside).st_blocks * 512
    return total, shared
