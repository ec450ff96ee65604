"""The lock of a definition for one platform, without building anything."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.former import find_former_lock
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.planning.planner import Planner
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import Lock
from roost.store.index.index import Index
from roost.wire.plans import EnvironmentSelector


class LockOfPlatform(msgspec.Struct, frozen=True, kw_only=True):
    """A lock, and the generation that it belongs to."""

    lock: Lock
    generation: int | None
    """``None`` if the lock was solved for just now, and is stored nowhere."""


async def find_or_solve_lock(
    planner: Planner,
    index: Index,
    engines: Engines,
    resolved: ResolvedDefinition,
    selector: EnvironmentSelector,
    platform: str | None,
) -> LockOfPlatform:
    """Return the lock of ``resolved`` on ``platform``, by default this machine's: 1. that of its lock file, 2. that of
    the generation, 3. the first one that was published, 4. a new solve.

    Raises InvalidRequestError if the definition is user-managed or ``platform`` is not one, and what solving raises.
    """
    if resolved.definition.python.user_managed:
        raise InvalidRequestError("A user-managed definition has no lock", hint="Roost installs nothing for it.")
    targeted = resolved.for_prefix()
    if platform is not None:
        baseline_packages(platform, resolved.definition.system)  # raises if it is not a platform
        # What a Python of this machine provides here, conda's Python provides on another platform, as in images.
        is_image = targeted.uses_host_python and platform != targeted.platform
        targeted = msgspec.structs.replace(targeted, platform=platform, is_image=is_image)
    request = Request(definition=resolved.definition, ignore_image=True)
    targeted = await planner.lock_files.apply(targeted, selector, request)
    facts = await planner.find_lock(targeted, request, selector)
    lock = await index.locks.find(facts.digest) if facts.digest else None
    if lock is None and targeted.file_lock is not None:
        lock = targeted.file_lock.lock
    lock = lock or await planner.shared_locks.adopt(targeted, selector, Silent())
    if lock is None:
        former = await find_former_lock(index, targeted)
        lock = await solve_lock(engines, create_solve_job(targeted, selector, former), Silent())
    return LockOfPlatform(lock=lock, generation=facts.generation.number if facts.generation else None)
