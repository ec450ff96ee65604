"""Rollback: an older generation becomes current again, in one step, for every version with the same definition."""

from __future__ import annotations

import asyncio

from roost.daemon.builds.history import list_versions_sharing
from roost.daemon.compare.diff import diff_locks
from roost.daemon.compare.operands import list_generation_scopes
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.engines.conda.rules import CondaRules
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.views import generation_view
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.launch.prepare import find_drift
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import InvalidRequestError
from roost.model.records import HOST_SCOPE, Generation
from roost.store.index.index import Index
from roost.store.index.tables.generations import GenerationUnknownError
from roost.wire.compare import LockDiff, RollbackRequest, RollbackResponse


class PlatformUnclearError(InvalidRequestError):
    """There are generations for several platforms, and the request names none."""

    code = "platform-unclear"


async def roll_back(
    resolver: EnvironmentResolver,
    index: Index,
    events: Events,
    launches: LaunchFolder,
    rules: CondaRules,
    request: RollbackRequest,
) -> RollbackResponse:
    """Make an older generation current, and return what moved with it.

    Raises GenerationUnknownError, PlatformUnclearError, InvalidRequestError if the environment has no generations.
    """
    resolved = await resolver.resolve(request.what)
    generations = await index.generations.list_by_definition(resolved.digest)
    if resolved.definition.python.user_managed and not generations:
        raise InvalidRequestError(
            "A user-managed environment has no generations: roost installs nothing in it",
            hint="`roost env versions` shows its versions; labels say which one to use.",
        )
    scope = _choose_scope(resolved, generations, request.platform)
    async with invalidate_launch_plans(launches):  # so that none is left that names the generation of before
        before, after = await index.generations.roll_back(resolved.digest, scope, request.to)
    moved = await list_versions_sharing(index, resolved.digest)
    fields = {"definition_digest": resolved.digest, "platform": scope, "environments": moved}
    await events.append("generation-promoted", **fields, before=before.number, after=after.number)
    return RollbackResponse(
        definition_digest=resolved.digest,
        platform=scope.removesuffix(HOST_SCOPE),
        before=generation_view(before),
        after=generation_view(after),
        environments=moved,
        ready=await _is_prefix_ready(index, after),
        lock=await _diff_generations(index, rules, before, after),
    )


def _choose_scope(resolved: ResolvedDefinition, generations: list[Generation], platform: str | None) -> str:
    """Return the scope of the generations to roll back: that of the named platform, else the one a plan would use."""
    existing = {each.platform for each in generations}
    scopes = list_generation_scopes(resolved, platform)
    for scope in scopes:
        if scope in existing:
            return scope
    if platform is None and len(existing) == 1:
        return existing.pop()
    if platform is None and existing:
        raise PlatformUnclearError(
            "There are generations for several platforms, and none for this machine's",
            hint=f"Choose one with --platform: {', '.join(sorted(existing))}.",
        )
    if platform is not None and existing:
        raise GenerationUnknownError(
            f"There is no generation for {platform} on this machine",
            hint=f"There are some for {', '.join(sorted({each.removesuffix(HOST_SCOPE) for each in existing}))}.",
            fields={"platform": platform},
        )
    return scopes[0]  # there are none at all, which the index reports


async def _is_prefix_ready(index: Index, generation: Generation) -> bool | None:
    """Whether the generation's prefix exists and is intact; ``None`` if the generation is of images."""
    if generation.base_digest is not None:
        return None
    prefix = await index.artifacts.find_ready("prefix", generation.lock_digest)
    return prefix is not None and await asyncio.to_thread(find_drift, prefix) is None


async def _diff_generations(index: Index, rules: CondaRules, before: Generation, after: Generation) -> LockDiff | None:
    old, new = [await index.locks.find(each.lock_digest) for each in (before, after)]
    return await diff_locks(rules, old, new) if old is not None and new is not None else None
