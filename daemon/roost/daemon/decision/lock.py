"""The part of a decision that concerns the lock, whatever is built from it. Pure."""

from __future__ import annotations

from roost.daemon.decision.facts import Facts, Request, short_digest
from roost.wire.plans import Reason, Step

LOCK_STEPS = ("solve", "lock-pip", "check-lock")
"""Kinds of steps that lead to a lock."""


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
    """Return what registries, places of links and this machine have, or may have, that this plan does not use."""
    reasons = (
        facts.missing_python,
        facts.differs_in_registry,
        facts.unfit_lock,
        facts.registry_unknown,
        facts.links_unanswered,
    )
    return [reason for reason in reasons if reason is not None]


def has_to_solve(request: Request, facts: Facts) -> bool:
    """Return whether packages have to be chosen: a new generation is requested, or no lock is known."""
    return bool(request.rebuild or request.as_of or facts.lock_digest is None)


def has_to_check(facts: Facts) -> bool:
    """Return whether the lock is known from a lock file or a registry, and was not used on this machine yet."""
    return facts.generation is None and facts.lock_digest is not None and facts.shared_lock is not None


def lock_step_kinds(request: Request, facts: Facts) -> list[str]:
    """Return the kinds of steps that lead to a lock; none if this machine has it."""
    definition = request.definition
    if not has_to_solve(request, facts):
        return ["check-lock"] if has_to_check(facts) else []
    has_conda = bool(definition.conda.dependencies or definition.conda.explicit or facts.missing_python)
    return [*(["solve"] if has_conda else []), *(["lock-pip"] if definition.pip.requirements else [])]


def estimated_step(kind: str, facts: Facts) -> Step:
    """Return a step with its predicted duration and size, as far as they are known."""
    expected = facts.estimates.get(kind)
    if expected is None:
        return Step(kind=kind)
    return Step(
        kind=kind,
        seconds=expected.seconds,
        bytes=expected.bytes,
        files=expected.files,
        packages=expected.packages,
    )
