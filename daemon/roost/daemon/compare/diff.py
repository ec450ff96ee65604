"""Differences of locks as the wire shows them; which of two conda versions is the later one, rattler says."""

from __future__ import annotations

import asyncio

import msgspec

from roost.model.locks.differences import LockDifferences, compare_locks
from roost.model.locks.lock import Lock
from roost.wire.compare import LockDiff, PackageChangeView
from roost.wire.plans import Difference


async def lock_diff(before: Lock, after: Lock) -> LockDiff:
    """What differs between two locks."""
    found = await asyncio.to_thread(_differences, before, after)
    provider = found.provider
    return LockDiff(
        platform=after.platform,
        packages=msgspec.convert(msgspec.to_builtins(found.packages), list[PackageChangeView]),
        unchanged=found.unchanged,
        bytes=found.bytes,
        provider=Difference(field="python", before=provider.before, after=provider.after) if provider else None,
    )


def _differences(before: Lock, after: Lock) -> LockDifferences:
    from roost.daemon.engines.conda.versions import compare_versions

    return compare_locks(before, after, compare_versions)
