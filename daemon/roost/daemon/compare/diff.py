"""Differences of definitions, settings and locks in their wire form."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.compare.operands import Operand
from roost.daemon.compare.run_differences import find_run_differences
from roost.daemon.engines.conda.rules import CondaRules
from roost.model.canonical.differences import find_differences
from roost.model.canonical.form import canonicalise_settings
from roost.model.locks.differences import compare_locks
from roost.model.locks.lock import Lock
from roost.wire.compare import DiffResponse, LockDiff, PackageChangeView
from roost.wire.plans import Difference


async def diff_operands(rules: CondaRules, before: Operand, after: Operand) -> DiffResponse:
    """Return the differences of two environments; those of their locks if both have one."""
    definition = await asyncio.to_thread(diff_canonical_forms, before.resolved.canonical, after.resolved.canonical)
    settings = await asyncio.to_thread(
        diff_canonical_forms,
        canonicalise_settings(before.resolved.settings),
        canonicalise_settings(after.resolved.settings),
    )
    lock = await diff_locks(rules, before.lock, after.lock) if before.lock and after.lock else None
    return DiffResponse(
        before=before.view,
        after=after.view,
        differ=bool(definition or settings or (lock and (lock.packages or lock.provider))),
        definition=definition,
        settings=settings,
        lock=lock,
        runs=find_run_differences(before.run, after.run) if before.run and after.run else [],
        warnings=[*before.resolved.warnings, *after.resolved.warnings],
    )


def diff_canonical_forms(before: bytes, after: bytes) -> list[Difference]:
    """Return the fields in which two canonical forms differ, of definitions or of settings."""
    return [Difference(**each) for each in find_differences(before, after)] if before != after else []


async def diff_locks(rules: CondaRules, before: Lock, after: Lock) -> LockDiff:
    """Return the packages, the download and the provider of Python in which two locks differ."""
    old = {package.name: package.version for package in before.conda}
    pairs = [(old[package.name], package.version) for package in after.conda if package.name in old]
    orders = await rules.compare_versions(pair for pair in pairs if pair[0] != pair[1])
    found = await asyncio.to_thread(compare_locks, before, after, lambda *pair: orders.get(pair, 0))
    provider = found.provider
    return LockDiff(
        platform=after.platform,
        packages=msgspec.convert(msgspec.to_builtins(found.packages), list[PackageChangeView]),
        unchanged=found.unchanged,
        bytes=found.bytes,
        provider=Difference(field="python", before=provider.before, after=provider.after) if provider else None,
    )
