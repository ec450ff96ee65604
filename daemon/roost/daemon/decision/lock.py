"""What a decision says about the lock, whatever is built from it. Pure."""

from __future__ import annotations

from roost.daemon.decision.facts import Facts, Request, short_digest
from roost.wire.plans import Reason


def new_generation_reason(request: Request, facts: Facts) -> Reason:
    """A new generation was asked for."""
    number = facts.generation.number + 1 if facts.generation else 1
    if request.as_of:
        return Reason(
            code="as-of-requested", message=f"A solve as of {request.as_of} was asked for: generation {number}"
        )
    return Reason(code="rebuild-requested", message=f"A new solve was asked for: generation {number}")


def missing_lock_reason(facts: Facts) -> Reason:
    """There is no lock yet."""
    if facts.definition_known:
        return Reason(
            code="platform-unknown",
            message=f"This definition was never locked for {facts.platform} on this machine",
        )
    return Reason(code="definition-unknown", message="This definition was never built on this machine")


def chosen_lock_reason(facts: Facts) -> Reason:
    """Which lock it is, and why."""
    lock = short_digest(facts.lock_digest or "")
    if facts.generation is None and facts.shared_lock is not None:
        return facts.shared_lock
    if facts.generation is None:
        return Reason(code="lock-solved", message=f"A solve now chooses lock {lock}")
    return Reason(
        code="definition-known",
        message=f"Generation {facts.generation.number} of {facts.generation.created[:10]} keeps lock {lock}",
    )


def registry_reasons(facts: Facts) -> list[Reason]:
    """What registries have, or might have, that is not used."""
    return [reason for reason in (facts.differs_in_registry, facts.registry_unknown) if reason is not None]


def solve_step_kinds(request: Request, facts: Facts) -> list[str]:
    """The steps that lead to a lock; none where it is known."""
    definition = request.definition
    conda = bool(definition.conda.dependencies or definition.conda.explicit)
    pip = bool(definition.pip.requirements)
    solving = request.rebuild or bool(request.as_of) or facts.lock_digest is None
    kinds = [("solve", solving and conda), ("lock-pip", solving and pip)]
    return [kind for kind, wanted in kinds if wanted]
