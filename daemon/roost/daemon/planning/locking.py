"""The lock of a definition for one platform, kept or solved for, without building anything."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.solve import solve_lock
from roost.daemon.services import Services
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import Lock
from roost.wire.plans import EnvironmentSelector


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """``generation`` is ``None`` where it was solved for just now and is not kept."""

    lock: Lock
    generation: int | None


async def lock_for(
    work: Services, resolved: ResolvedDefinition, what: EnvironmentSelector, platform: str | None
) -> Locked:
    """The lock of ``resolved`` on ``platform``, by default this machine's.

    Raises InvalidRequestError for a user-managed definition and for what is no platform, and what solving raises.
    """
    if resolved.definition.python.user_managed:
        raise InvalidRequestError("A user-managed definition has no lock", hint="Roost installs nothing for it.")
    if platform is not None:
        baseline_packages(platform, resolved.definition.system)  # refuses what is no platform
    targeted = resolved.for_prefix() if platform is None else _for_platform(resolved.for_prefix(), platform)
    facts = await work.planner.known(targeted, Request(definition=resolved.definition, ignore_image=True), what)
    lock = await _kept_or_solved(work, targeted, what, facts.lock_digest)
    return Locked(lock=lock, generation=facts.generation.number if facts.generation else None)


def _for_platform(resolved: TargetedDefinition, platform: str) -> TargetedDefinition:
    """What this machine's Python provides here, conda's provides on another platform, as it does in images."""
    hosted = resolved.uses_host_python and platform != resolved.platform
    return msgspec.structs.replace(resolved, platform=platform, is_image=hosted)


async def _kept_or_solved(
    work: Services, resolved: TargetedDefinition, what: EnvironmentSelector, digest: str | None
) -> Lock:
    kept = await work.store.index.locks.find(digest) if digest else None
    first = kept or await work.planner.shared_locks.take(resolved, what, Silent())
    return first or await solve_lock(work.engines, work.planner.solve_job(resolved, what), Silent())
