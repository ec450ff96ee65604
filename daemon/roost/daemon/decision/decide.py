"""The decision: pure. No clock, no disk, no network; everything it knows is in ``Facts``.

``decide`` turns what was asked and what is known into a plan: the action, why, and the steps with what they are
expected to take. Facts are gathered by ``planner`` and ``image_facts``; targets that run images are decided in
``decide_images``.
"""

from __future__ import annotations

from roost.daemon.decision import images
from roost.daemon.decision.facts import (
    IMAGE_TARGETS,
    PREFIX_TARGETS,
    Facts,
    ImageFacts,
    ImageLocation,
    Request,
    short_digest,
)
from roost.daemon.decision.lock import (
    chosen_lock_reason,
    missing_lock_reason,
    new_generation_reason,
    registry_reasons,
    solve_step_kinds,
)
from roost.model.definition import Definition
from roost.model.errors import InvalidDefinitionError, LookupFailedError
from roost.wire.plans import Action, ArtifactView, PlanView, Reason, Step

__all__ = [
    "IMAGE_TARGETS",
    "PREFIX_TARGETS",
    "STEP_KINDS",
    "Facts",
    "ImageFacts",
    "ImageLocation",
    "ImageNeededError",
    "NoSuchTargetError",
    "Request",
    "choose_target",
    "decide",
    "needs_image",
    "short_digest",
]

STEP_KINDS = ("solve", "lock-pip", "download", "link", "pip", "bytecode", "publish")


class NoSuchTargetError(LookupFailedError):
    """No target of that name."""

    code = "target-unknown"


class ImageNeededError(InvalidDefinitionError):
    """The definition can only be run as an image, and the target can't run one."""

    code = "image-needed"


def needs_image(definition: Definition) -> bool:
    """Whether the definition itself names something that only an image can have (the default base does not count)."""
    return definition.base is not None


def choose_target(request: Request) -> str:
    """``auto`` becomes ``docker`` where the definition names a base, docker steps, Dockerfile or context.

    Raises NoSuchTargetError for an unknown name, ImageNeededError where ``local`` would drop what was written.
    """
    image = needs_image(request.definition) and not request.ignore_image
    target = ("docker" if image else "local") if request.target == "auto" else request.target
    if target not in PREFIX_TARGETS | IMAGE_TARGETS:
        known = ", ".join(sorted(PREFIX_TARGETS | IMAGE_TARGETS))
        raise NoSuchTargetError(f"No target is named {target!r}", hint=f"Targets here: {known}.")
    if target in PREFIX_TARGETS and image:
        raise ImageNeededError(
            f"Target {target!r} runs a prefix, which would drop the definition's base image and docker steps",
            hint="Use -t docker, or --ignore-image to drop them on purpose.",
        )
    return target


def decide(request: Request, facts: Facts) -> PlanView:
    """The plan for a target. Raises what ``choose_target`` raises."""
    target = choose_target(request)
    if target in IMAGE_TARGETS:
        return images.decide_image(target, request, facts)
    action, reasons = _prefix_action(request, facts)
    return PlanView(
        target=target,
        platform=facts.platform,
        action=action,
        artifact=_artifact(action, facts),
        reasons=[*reasons, *registry_reasons(facts)],
        steps=_steps(action, request, facts),
        nearest=facts.nearest if action == "build-prefix" and facts.generation is None else None,
    )


def _prefix_action(request: Request, facts: Facts) -> tuple[Action, list[Reason]]:
    if request.definition.python.user_managed:
        return "use-interpreter", [_user_managed(facts)]
    if request.rebuild or request.as_of:
        return "build-prefix", [new_generation_reason(request, facts)]
    if facts.lock_digest is None:
        return "build-prefix", [missing_lock_reason(facts)]
    known = chosen_lock_reason(facts)
    if facts.prefix is None:
        text = f"no prefix on this machine holds lock {short_digest(facts.lock_digest)}"
        return "build-prefix", [known, Reason(code="prefix-missing", message=text)]
    if facts.prefix_drift is not None:
        return "build-prefix", [known, facts.prefix_drift]
    if facts.generation is None and facts.shared_lock is not None:
        text = f"Its prefix is ready at {facts.prefix.path}: what is left is to take the lock as this definition's own"
        return "build-prefix", [known, Reason(code="prefix-ready", message=text)]
    return "reuse-prefix", [known, Reason(code="prefix-ready", message=f"Ready at {facts.prefix.path}")]


def _user_managed(facts: Facts) -> Reason:
    found = facts.interpreter or {}
    return Reason(
        code="user-managed",
        message=f"The definition is user-managed: {found.get('path')} (Python {found.get('version')}) is used as it is",
    )


def _artifact(action: Action, facts: Facts) -> ArtifactView | None:
    if action == "reuse-prefix" and facts.prefix is not None:
        prefix = facts.prefix
        return ArtifactView(kind="prefix", id=prefix.id, path=prefix.path, digest=prefix.key, bytes=prefix.bytes)
    return None


def _steps(action: Action, request: Request, facts: Facts) -> list[Step]:
    if action != "build-prefix":
        return []
    return [_step(kind, facts) for kind in _step_kinds(request, facts)]


def _step_kinds(request: Request, facts: Facts) -> list[str]:
    definition = request.definition
    conda = bool(definition.conda.dependencies or definition.conda.explicit)
    pip = bool(definition.pip.requirements)
    kinds = [("download", conda), ("link", conda), ("pip", pip), ("bytecode", True), ("publish", True)]
    return [*solve_step_kinds(request, facts), *(kind for kind, wanted in kinds if wanted)]


def _step(kind: str, facts: Facts) -> Step:
    past = facts.estimates.get(kind)
    size = facts.lock_bytes if kind == "download" and facts.lock_bytes is not None else past.bytes if past else None
    return Step(kind=kind, seconds=past.seconds if past else None, bytes=size)
