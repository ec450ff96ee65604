"""Going back: an older generation made current again, in one step, and all that moves with it."""

from __future__ import annotations

import asyncio

from roost.daemon.builds.history import list_versions_sharing
from roost.daemon.compare.diff import lock_diff
from roost.daemon.compare.operands import lineages
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.jobs.views import generation_view
from roost.daemon.launch.folder import invalidate_launch_plans
from roost.daemon.launch.prepare import find_drift
from roost.daemon.services import Services
from roost.model.errors import InvalidRequestError
from roost.model.records import HOST_SCOPE, Generation
from roost.store.index.generations import GenerationUnknownError
from roost.wire.compare import LockDiff, RollbackRequest, RollbackResponse


class PlatformUnclearError(InvalidRequestError):
    """There are generations for several platforms, and none was named."""

    code = "platform-unclear"


async def roll_back(work: Services, asked: RollbackRequest) -> RollbackResponse:
    """Make an older generation current, in one step, and say what moved. Raises GenerationUnknownError,
    PlatformUnclearError, InvalidRequestError for what has no generations."""
    resolved = await work.resolver.resolve(asked.what)
    if resolved.definition.python.user_managed and not await work.store.index.generations.list_by_definition(
        resolved.digest
    ):
        raise InvalidRequestError(
            "A user-managed environment has no generations: roost installs nothing in it",
            hint="`roost env versions` shows its versions; labels say which one to use.",
        )
    lineage = await _lineage(work, resolved, asked.platform)
    async with invalidate_launch_plans(
        work.launches
    ):  # no plan file is left behind that names the one that was current
        before, after = await work.store.index.generations.roll_back(resolved.digest, lineage, asked.to)
    moved = await list_versions_sharing(work.store.index, resolved.digest)
    fields = {"definition_digest": resolved.digest, "platform": lineage, "environments": moved}
    await work.events.append("generation-promoted", **fields, before=before.number, after=after.number)
    return RollbackResponse(
        definition_digest=resolved.digest,
        platform=lineage.removesuffix(HOST_SCOPE),
        before=generation_view(before),
        after=generation_view(after),
        environments=moved,
        ready=await _ready(work, after),
        lock=await _difference(work, before, after),
    )


async def _lineage(work: Services, resolved: ResolvedDefinition, platform: str | None) -> str:
    """Which of the definition's generations: those of the platform that is named, else those that a plan would use."""
    there = {each.platform for each in await work.store.index.generations.list_by_definition(resolved.digest)}
    for lineage in lineages(resolved, platform):
        if lineage in there:
            return lineage
    if platform is None and len(there) == 1:
        return there.pop()
    if platform is None and there:
        raise PlatformUnclearError(
            "There are generations for several platforms, and none for this machine's",
            hint=f"Say which with --platform: {', '.join(sorted(there))}.",
        )
    if platform is not None and there:
        raise GenerationUnknownError(
            f"There is no generation for {platform} on this machine",
            hint=f"There are some for {', '.join(sorted({each.removesuffix(HOST_SCOPE) for each in there}))}.",
            fields={"platform": platform},
        )
    return lineages(resolved, platform)[0]


async def _ready(work: Services, generation: Generation) -> bool | None:
    if generation.base_digest is not None:
        return None
    prefix = await work.store.index.artifacts.find_ready("prefix", generation.lock_digest)
    return prefix is not None and await asyncio.to_thread(find_drift, prefix) is None


async def _difference(work: Services, before: Generation, after: Generation) -> LockDiff | None:
    old, new = [await work.store.index.locks.find(each.lock_digest) for each in (before, after)]
    return await lock_diff(old, new) if old is not None and new is not None else None
