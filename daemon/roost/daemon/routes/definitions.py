"""Routes that read a definition and change nothing: digests, plans, locks."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import ResolvedDefinition, target_definition
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES, Services
from roost.model.definition import InputFile
from roost.model.locks.formats import find_index_options, write_lock
from roost.model.locks.lock import digest_lock
from roost.wire.plans import (
    DigestRequest,
    EnvironmentSelector,
    LockRequest,
    PlanRequest,
    PlanResponse,
    PlanView,
    SourceView,
)
from roost.wire.protocol import WarningView


class DigestResponse(msgspec.Struct, kw_only=True):
    """The weak key and everything that went into it."""

    definition_digest: str
    canonical: dict[str, object]
    source: SourceView
    inputs: list[InputFile]
    warnings: list[WarningView]


class LockResponse(msgspec.Struct, kw_only=True):
    """A lock in another tool's format. ``generation`` is ``None`` where it was solved for just now and is not kept."""

    text: str
    definition_digest: str
    lock_digest: str
    generation: int | None


async def digests(call: Call[DigestRequest]) -> DigestResponse:
    work = call.app[SERVICES]
    resolved = await work.resolver.resolve(call.body.what)
    if await work.store.index.definitions.find(resolved.digest) is None:
        await work.planner.check_specs(resolved)
    return DigestResponse(
        definition_digest=resolved.digest,
        canonical=msgspec.json.decode(resolved.canonical),
        source=resolved.source,
        inputs=list(resolved.inputs),
        warnings=resolved.warnings,
    )


async def plans(call: Call[PlanRequest]) -> PlanResponse:
    work, body = call.app[SERVICES], call.body
    resolved = await work.resolver.resolve(body.what)
    made = [await _plan(work, resolved, body.what, target, body.solve) for target in body.targets]
    return PlanResponse(
        definition_digest=resolved.digest,
        lock_digest=next((digest for _, digest in made if digest), None),
        plans=[plan for plan, _ in made],
        source=resolved.source,
        warnings=resolved.warnings,
    )


async def _plan(
    work: Services, resolved: ResolvedDefinition, what: EnvironmentSelector, target: str, solve: bool
) -> tuple[PlanView, str | None]:
    request = Request(definition=resolved.definition, target=target, ignore_image=what.ignore_image)
    targeted = target_definition(resolved, request)
    exact = await work.resolver.pin(targeted, what)
    planned = await work.planner.plan(targeted, request, exact, solve=solve)
    return planned.plan, planned.facts.lock_digest


async def locks(call: Call[LockRequest]) -> LockResponse:
    work, body = call.app[SERVICES], call.body
    resolved = await work.resolver.resolve(body.what)
    locked = await find_or_solve_lock(work.planner, work.store.index, work.engines, resolved, body.what, body.platform)
    return LockResponse(
        text=write_lock(
            locked.lock,
            body.format,
            channels=resolved.definition.conda.channels or resolved.defaults.channels,
            indexes=find_index_options(resolved.definition.pip.requirements) if locked.lock.wheels else (),
        ),
        definition_digest=resolved.digest,
        lock_digest=digest_lock(locked.lock),
        generation=locked.generation,
    )


ROUTES_DEFINITIONS = [
    Route(
        "POST", "/v1/digests", digests, request=DigestRequest, response=DigestResponse, summary="Digest a definition"
    ),
    Route("POST", "/v1/plans", plans, request=PlanRequest, response=PlanResponse, summary="Decide; change nothing"),
    Route("POST", "/v1/locks", locks, request=LockRequest, response=LockResponse, summary="Write a lock"),
]
