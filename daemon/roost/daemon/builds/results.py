"""What a build tells: its plan, and its result where there was nothing to do or somebody else did it. Pure."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import short_digest
from roost.daemon.definitions.editables import editable_warnings
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.planning.planner import PlanWithFacts
from roost.wire.builds import BuildResult, Message
from roost.wire.plans import Reason


def told(planned: PlanWithFacts, resolved: TargetedDefinition) -> Message:
    """The plan, and what its reasons warn of."""
    warnings = editable_warnings(planned.plan.reasons)
    return Message(event="plan", plan=planned.plan, source=resolved.source, warnings=warnings)


def as_joined(message: Message) -> Message:
    """The same for somebody who came when it was under way."""
    result = message.result
    if result is None or result.state != "succeeded":
        return message
    return msgspec.structs.replace(message, result=msgspec.structs.replace(result, state="joined"))


def not_needed(planned: PlanWithFacts, resolved: TargetedDefinition, more: tuple[Reason, ...] = ()) -> BuildResult:
    """All is ready. ``more``: what there is to say besides the plan's reasons."""
    generation = planned.facts.generation
    return BuildResult(
        id=None,
        state="not-needed",
        definition_digest=resolved.digest,
        lock_digest=planned.facts.lock_digest,
        generation=generation.number if generation else None,
        artifacts=[planned.plan.artifact] if planned.plan.artifact else [],
        seconds=0.0,
        reasons=[*planned.plan.reasons, *(each for each in more if each not in planned.plan.reasons)],
    )


def cutoff(digest: str) -> Reason:
    """The solve came to a lock that is built already."""
    return Reason(
        code="lock-shared",
        message=f"The solve chose lock {short_digest(digest)}, whose prefix is ready: nothing to build",
    )
