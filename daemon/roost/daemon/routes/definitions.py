"""Routes that read a definition and change nothing: digests, plans, locks."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.locks.solve import describe_unanswered
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.routes.builds import resolve_used
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
    """The definition digest, and everything that it was computed from."""

    definition_digest: str
    canonical: dict[str, object]
    source: SourceView
    inputs: list[InputFile]
    warnings: list[WarningView]


class LockResponse(msgspec.Struct, kw_only=True):
    """A lock in another tool's format. ``generation`` is ``None`` if the lock was solved for just now, and is stored
    nowhere."""

    text: str
    definition_digest: str
    lock_digest: str
    generation: int | None
    warnings: list[WarningView] = []


async def digest_definition(call: Call[DigestRequest]) -> DigestResponse:
    services = call.app[SERVICES]
    resolved = await services.resolver.resolve(call.body.what)
    if await services.store.index.definitions.find(resolved.digest) is None:
        await services.planner.check_specs(resolved)
    return DigestResponse(
        definition_digest=resolved.digest,
        canonical=msgspec.json.decode(resolved.canonical),
        source=resolved.source,
        inputs=list(resolved.inputs),
        warnings=resolved.warnings,
    )


async def plan_targets(call: Call[PlanRequest]) -> PlanResponse:
    services, body = call.app[SERVICES], call.body
    resolved = await resolve_used(services, body.what, body.targets[0] if body.targets else "auto")
    planned = [
        await _plan_target(services, resolved, body.what, target, body.solve, is_more=number > 0)
        for number, target in enumerate(body.targets)
    ]
    return PlanResponse(
        definition_digest=resolved.digest,
        lock_digest=next((digest for _, digest, _ in planned if digest), None),
        plans=[plan for plan, _, _ in planned],
        source=resolved.source,
        warnings=[*resolved.warnings, *(each for _, _, warnings in planned for each in warnings)],
    )


async def _plan_target(
    services: Services,
    resolved: ResolvedDefinition,
    selector: EnvironmentSelector,
    target: str,
    solve: bool,
    *,
    is_more: bool,
) -> tuple[PlanView, str | None, list[WarningView]]:
    """Return the plan for one target, the digest of its lock if there is one, and what is to be said of that target.

    A watch is for the first target: ``is_more`` is of the others.
    """
    request = Request(definition=resolved.definition, target=target, ignore_image=selector.ignore_image)
    targeted, pinned = await services.resolver.target(resolved, request, selector)
    planned = await services.planner.plan(targeted, request, pinned, solve=solve)
    if not is_more:
        services.watches.note_use(selector, resolved, target, ready=planned.is_ready)
    warnings = [each for each in targeted.warnings if each not in resolved.warnings]
    return planned.plan, planned.facts.lock_digest, warnings


async def write_lock_file(call: Call[LockRequest]) -> LockResponse:
    services, body = call.app[SERVICES], call.body
    resolved = await services.resolver.resolve(body.what)
    locked = await find_or_solve_lock(
        services.planner, services.store.index, services.engines, resolved, body.what, body.platform
    )
    reason = describe_unanswered(locked.lock)
    unanswered = [WarningView(code=reason.code, message=reason.message)] if reason else []
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
        warnings=[*resolved.warnings, *unanswered],
    )


ROUTES_DEFINITIONS = [
    Route(
        "POST",
        "/v1/digests",
        digest_definition,
        request=DigestRequest,
        response=DigestResponse,
        summary="Digest a definition",
    ),
    Route(
        "POST", "/v1/plans", plan_targets, request=PlanRequest, response=PlanResponse, summary="Decide; change nothing"
    ),
    Route("POST", "/v1/locks", write_lock_file, request=LockRequest, response=LockResponse, summary="Write a lock"),
]
