"""What a fresh solve would change. It solves as a build would, builds nothing, and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable

from roost.daemon.builds.history import list_versions_sharing
from roost.daemon.compare.diff import lock_diff
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import TargetedDefinition, target_definition
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.services import Services
from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Generation
from roost.wire.builds import Message
from roost.wire.compare import OutdatedRequest, OutdatedView
from roost.wire.plans import EnvironmentSelector, Reason


class NeverSolvedError(LookupFailedError):
    """There is no generation here that could be outdated."""

    code = "generation-unknown"


async def find_outdated(work: Services, asked: OutdatedRequest, publish: Callable[[Message], None]) -> OutdatedView:
    """Solve, telling ``publish`` how far it is, and compare. Raises what solving raises, and NeverSolvedError."""
    found = await work.resolver.resolve(asked.what)
    resolved = target_definition(found, Request(definition=found.definition, target=asked.target))
    generation = await _current(work, resolved)
    kept = await work.store.index.locks.find(generation.lock_digest)
    assert kept is not None, "the schema lets no generation refer to a lock that is not there"
    solved = await _solve(work, resolved, asked.what, BuildProgress(publish, asked.what.environ))
    differences = await lock_diff(kept, solved)
    return OutdatedView(
        definition_digest=resolved.digest,
        platform=resolved.platform,
        generation=generation.number,
        lock_digest=generation.lock_digest,
        solved_digest=digest_lock(solved),
        outdated=bool(differences.packages or differences.provider),
        lock=differences,
        environments=await list_versions_sharing(work.store.index, resolved.digest),
        reasons=await _elsewhere(work, resolved, asked.what, generation),
    )


async def _solve(
    work: Services, resolved: TargetedDefinition, what: EnvironmentSelector, progress: BuildProgress
) -> Lock:
    try:
        return await solve_lock(work.engines, create_solve_job(resolved, what), progress)
    except CodedError as error:
        if error.code == "lock-needs-build":
            error.hint = (
                "What a solve would choose can't be known without running that code: `roost build --rebuild` runs it, "
                "and `roost env rollback` goes back."
            )
        raise


async def _elsewhere(
    work: Services, resolved: TargetedDefinition, what: EnvironmentSelector, generation: Generation
) -> list[Reason]:
    """What registries have for it. That they can't say, or that theirs is a wrong one, is no reason not to answer."""
    try:
        comparison = await work.planner.shared_locks.compare(resolved, what, generation)
    except CodedError as error:
        return [Reason(code=error.code, message=error.message)]
    told = comparison.reason is not None and comparison.reason.code in ("lock-elsewhere", "registry-unknown")
    return [comparison.reason] if comparison.reason is not None and told else []


async def _current(work: Services, resolved: TargetedDefinition) -> Generation:
    if resolved.definition.python.user_managed:
        raise InvalidRequestError(
            "A user-managed environment is not solved for: roost installs nothing in it",
            hint="What is in its interpreter is for you to bring up to date.",
        )
    generation = await work.store.index.generations.find_current(resolved.digest, resolved.generation_scope)
    if generation is None:
        raise NeverSolvedError(
            f"This definition was never solved for {resolved.platform} on this machine: nothing can be outdated",
            hint="`roost build` makes its first generation, `roost plan --solve` says what that would be.",
            fields={"definition_digest": resolved.digest, "platform": resolved.platform},
        )
    return generation
