"""The part of a decision that concerns the lock, whatever is built from it. Pure."""

from __future__ import annotations

from roost.daemon.decision.facts import Facts, Request, short_digest
from roost.wire.plans import Reason, Step


def new_generation_reason(request: Request, facts: Facts) -> Reason:
    """Return why a new generation is made although there may be one: it was requested."""
    number = facts.generation.number + 1 if facts.generation else 1
    if request.as_of:
        return Reason(
            code="as-of-requested", message=f"A solve as of {request.as_of} was requested: generation {number}"
        )
    return Reason(code="rebuild-requested", message=f"A new solve was requested: generation {number}")


def missing_lock_reason(facts: Facts) -> Reason:
    """Return why there is no lock yet."""
    if facts.definition_known:
        return Reason(
            code="platform-unknown",
            message=f"This definition was never locked for {facts.platform} on this machine",
        )
    return Reason(code="definition-unknown", message="This definition was never built on this machine")


def chosen_lock_reason(facts: Facts) -> Reason:
    """Return which lock is used, and where it comes from."""
    if facts.generation is None and facts.shared_lock is not None:
        return facts.shared_lock
    lock = short_digest(facts.lock_digest or "")
    if facts.generation is None:
        return Reason(code="lock-solved", message=f"A solve now chooses lock {lock}")
    return Reason(
        code="definition-known",
        message=f"Generation {facts.generation.number} of {facts.generation.created[:10]} keeps lock {lock}",
    )


def registry_reasons(facts: Facts) -> list[Reason]:
    """Return what registries and places of links have, or may have, that this plan does not use."""
    reasons = (facts.differs_in_registry, facts.unfit_lock, facts.registry_unknown, facts.links_unanswered)
    return [reason for reason in reasons if reason is not None]


def solve_step_kinds(request: Request, facts: Facts) -> list[str]:
    """Return the kinds of steps that lead to a lock; none if the lock is known."""
    definition = request.definition
    if not (request.rebuild or request.as_of or facts.lock_digest is None):
        return []
    has_conda = bool(definition.conda.dependencies or definition.conda.explicit)
    return [*(["solve"] if has_conda else []), *(["lock-pip"] if definition.pip.requirements else [])]


def estimated_step(kind: str, facts: Facts) -> Step:
    """Return a step with the duration of past ones; the size of a download is the lock's, if that is known."""
    past = facts.estimates.get(kind)
    size = facts.lock_bytes if kind == "download" and facts.lock_bytes is not None else past.bytes if past else None
    return Step(kind=kind, seconds=past.seconds if past else None, bytes=size)
