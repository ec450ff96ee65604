"""The lock of a changed definition: found or solved for before the file is replaced, and recorded for what runs next.

A lock that is known comes first, as in a build: 1. that of a ``roost.lock`` which is for the changed text already, 2.
that of the current generation, 3. one that another machine shared, 4. a new solve, which prefers the versions that the
definition had before. What is recorded is a generation like a build's: the file is replaced after it, so that whoever
sees the new file (a run, a watch) finds the lock, and nobody solves again. A lock whose file was never replaced stays
the first of its definition, and harms nobody.
"""

from __future__ import annotations

import msgspec

from roost.daemon.builds.builds import Builds
from roost.daemon.decision.facts import Request
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.resolved import FileLock, FormerLock, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.estimates.work import solve_work
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.locks.former import find_former_lock, list_moves
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.daemon.planning.planner import Planner
from roost.model.canonical.form import list_choice_rules
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import NewGeneration
from roost.store.index.index import Index
from roost.wire.edits import EditRequest
from roost.wire.plans import EnvironmentSelector, PackageMoveView


class EditLock(msgspec.Struct, frozen=True, kw_only=True):
    """The lock of a changed definition, and what it was chosen by."""

    lock: Lock
    former: FormerLock | None = None
    """What a solve prefers; it is compared if it is the lock before the change."""

    def find_version(self, name: str, section: str) -> str | None:
        """Return the version of a package by its normalised name."""
        packages = self.lock.conda if section == "conda" else self.lock.wheels
        return next((each.version for each in packages if each.name == name), None)


class EditLocks:
    """Finds, solves for and records locks of changed definitions."""

    def __init__(self, index: Index, engines: Engines, planner: Planner, builds: Builds) -> None:
        self._index = index
        self._engines = engines
        self._planner = planner
        self._builds = builds

    async def choose(
        self,
        resolved: TargetedDefinition,
        before: TargetedDefinition | None,
        selector: EnvironmentSelector,
        progress: BuildProgress,
    ) -> EditLock | None:
        """Return the lock of ``resolved``; ``None`` if roost installs nothing for it. ``before``: the definition before
        the change, if it was one.

        Raises what solving and asking registries of locks raise.
        """
        if resolved.definition.python.user_managed or (resolved.is_image and is_unmodified(resolved.definition)):
            return None
        former = await self._find_former(resolved, before)
        if resolved.file_lock is not None:
            return EditLock(lock=await find_stored(self._index, resolved.file_lock), former=former)
        facts = await self._planner.find_lock(resolved, Request(definition=resolved.definition), selector)
        known = await self._index.locks.find(facts.generation.lock_digest) if facts.generation is not None else None
        known = known or await self._planner.shared_locks.adopt(resolved, selector, progress)
        if known is None:
            solved = await self.solve(resolved, selector, former, progress)
            known = await self._planner.shared_locks.adopt(resolved, selector, progress, fresh=True) or solved
        return EditLock(lock=known, former=former)

    async def find(self, resolved: TargetedDefinition) -> EditLock | None:
        """Return the lock that ``resolved`` has on this machine; ``None`` if it has none."""
        generation = await self._index.generations.find_current(resolved.digest, resolved.generation_scope)
        lock = await self._index.locks.find(generation.lock_digest) if generation is not None else None
        return EditLock(lock=lock) if lock is not None else None

    async def record(self, resolved: TargetedDefinition, chosen: EditLock, progress: BuildProgress) -> EditLock:
        """Make the lock the first of ``resolved``, unless it has one by now, beside the file too; return that."""
        if resolved.file_lock is not None:
            return msgspec.structs.replace(chosen, lock=await find_stored(self._index, resolved.file_lock))
        key = resolved.digest, resolved.generation_scope
        async with self._builds.hold_generation(key, progress):
            current = await self._index.generations.find_current(*key)
            found = await self._index.locks.find(current.lock_digest) if current is not None else None
            if found is not None:
                return msgspec.structs.replace(chosen, lock=found)
            new = NewGeneration(definition_digest=resolved.digest, platform=resolved.generation_scope)
            # Of the file, which does not say this yet, nothing is noted: only the definition itself.
            await self._index.definitions.record_sighting(resolved.digest, resolved.canonical, resolved.source.name)
            await self._index.generations.add(new, chosen.lock)
        return chosen

    async def list_changes(self, resolved: TargetedDefinition, chosen: EditLock) -> list[PackageMoveView]:
        """Return what differs from the lock before the change."""
        former = chosen.former
        if former is None or digest_lock(former.lock) == digest_lock(chosen.lock):
            return []
        return await list_moves(former, chosen.lock, resolved)

    async def _find_former(self, resolved: TargetedDefinition, before: TargetedDefinition | None) -> FormerLock | None:
        """Return the lock of the definition before the change: 1. that of the ``roost.lock`` beside it, 2. that of its
        current generation; 3. else what any edit of the file would prefer: that may be of another extra or group, or
        of an older content, so that a difference from it is no effect of the change."""
        if before is not None and list_choice_rules(before.canonical) == list_choice_rules(resolved.canonical):
            if before.file_lock is not None:
                return FormerLock(lock=await find_stored(self._index, before.file_lock), canonical=before.canonical)
            if (known := await self.find(before)) is not None:
                return FormerLock(lock=known.lock, canonical=before.canonical)
        preferred = await find_former_lock(self._index, resolved)
        return msgspec.structs.replace(preferred, is_compared=False) if preferred is not None else None

    async def solve(
        self,
        resolved: TargetedDefinition,
        selector: EnvironmentSelector,
        former: FormerLock | None,
        progress: BuildProgress,
    ) -> Lock:
        """Solve as a build does: what has no wheel is built, since somebody asked for this package to be used."""
        job = msgspec.structs.replace(
            create_solve_job(resolved, selector, former),
            allow_builds=split_platform(resolved.platform)[0] == split_platform(local_platform({}))[0],
        )
        for step in solve_work(resolved.definition):
            progress.expect(step.step, step.amounts, step.subject)
        lock = await solve_lock(self._engines, job, progress)
        await progress.record(self._index)
        return lock


async def find_stored(index: Index, file_lock: FileLock) -> Lock:
    """Return the lock of a lock file as it is stored here, if it is: what its digest leaves out (URLs, sizes, markers)
    is the file's own word, and installing it may have shown since what its packages require of a Python."""
    known, stated = await index.locks.find(file_lock.digest), file_lock.lock
    if known is None:
        return stated
    if known.markers_known or not stated.markers_known:
        return known
    return msgspec.structs.replace(known, markers=stated.markers, markers_known=True)


def selector_of_text(request: EditRequest, path: str, data: bytes, *, has_list: bool = True) -> EnvironmentSelector:
    """Return the selector of the file at ``path`` as if its content were ``data``, with the group or extra that the
    request is about: what is added there has to be solved, too. ``has_list``: whether the file has that already."""
    return EnvironmentSelector(
        cwd=request.what.cwd,
        environ=request.what.environ,
        file=path,
        text=data.decode(),
        groups=[request.group] if has_list and request.group is not None else [],
        extras=[request.extra] if has_list and request.extra is not None else [],
    )
