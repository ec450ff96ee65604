"""Differences of definitions, settings and locks in their wire form."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.compare.operands import Operand
from roost.model.canonical.differences import find_differences
from roost.model.canonical.form import canonicalise_settings
from roost.model.locks.differences import LockDifferences, compare_locks
from roost.model.locks.lock import Lock
from roost.wire.compare import DiffResponse, LockDiff, PackageChangeView
from roost.wire.plans import Difference


async def diff_operands(before: Operand, after: Operand) -> DiffResponse:
    """Return the differences of two environments; those of their locks if both have one."""
    definition = await asyncio.to_thread(diff_canonical_forms, before.resolved.canonical, after.resolved.canonical)
    settings = await asyncio.to_thread(
        diff_canonical_forms,
        canonicalise_settings(before.resolved.settings),
        canonicalise_settings(after.resolved.settings),
    )
    lock = await diff_locks(before.lock, after.lock) if before.lock and after.lock else None
    return DiffResponse(
        before=before.view,
        after=after.view,
        differ=bool(definition or settings or (lock and (lock.packages or lock.provider))),
        definition=definition,
        settings=settings,
        lock=lock,
        warnings=[*before.resolved.warnings, *after.resolved.warnings],
    )


def diff_canonical_forms(before: bytes, after: bytes) -> list[Difference]:
    """Return the fields in which two canonical forms differ, of definitions or of settings."""
    return [Difference(**each) for each in find_differences(before, after)] if before != after else []


async def diff_locks(before: Lock, after: Lock) -> LockDiff:
    """Return the packages, the download and the provider of Python in which two locks differ."""
    found = await asyncio.to_thread(_compare_by_conda_order, before, after)
    provider = found.provider
    return LockDiff(
        platform=after.platform,
        packages=msgspec.convert(msgspec.to_builtins(found.packages), list[PackageChangeView]),
        unchanged=found.unchanged,
        bytes=found.bytes,
        provider=Difference(field="python", before=provider.before, after=provider.after) if provider else None,
    )


def _compare_by_conda_order(before: Lock, after: Lock) -> LockDifferences:
    from roost.daemon.engines.conda.versions import compare_versions  # rattler: 30 MB that most requests don't need

    return compare_locks(before, after, compare_versions)
