"""The decision for a request: the target, the action, the reasons and the steps with their estimates. Pure.

Everything that the decision depends on is in ``Request`` and ``Facts``, which ``planning.planner`` gathers. Targets
that run images are decided in ``images``.
"""

from __future__ import annotations

from roost.daemon.decision.facts import IMAGE_TARGETS, PREFIX_TARGETS, Facts, Request, short_digest
from roost.daemon.decision.images import decide_image
from roost.daemon.decision.lock import (
    chosen_lock_reason,
    estimated_step,
    has_to_solve,
    lock_step_kinds,
    missing_lock_reason,
    new_generation_reason,
    registry_reasons,
)
from roost.model.definition import Definition
from roost.model.errors import InvalidDefinitionError, LookupFailedError
from roost.model.records import Artifact
from roost.wire.plans import Action, ArtifactView, PlanView, Reason, Step


class NoSuchTargetError(LookupFailedError):
    """There is no target of that name."""

    code = "target-unknown"


class ImageNeededError(InvalidDefinitionError):
    """The definition can only be run as an image, and the target does not run images."""

    code = "image-needed"


def needs_image(definition: Definition) -> bool:
    """Whether the definition itself names something that only an image can have. The default base does not count."""
    return definition.base is not None


def choose_target(request: Request) -> str:
    """Return the target: for ``auto``, ``docker`` if the definition names a base, docker steps, a Dockerfile or a
    context, else ``local``.

    Raises NoSuchTargetError if there is no such target, ImageNeededError if a prefix would drop part of the definition.
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
    """Return the plan for the request's target. Raises what ``choose_target`` raises."""
    target = choose_target(request)
    if target in IMAGE_TARGETS:
        return decide_image(target, request, facts)
    action, reasons = _decide_prefix(request, facts)
    if action == "build-prefix" and facts.project is not None and reasons[-1].code != "prefix-ready":
        text = f"The project {facts.project} is installed on top of its dependencies, which runs its build backend"
        reasons.append(Reason(code="project-missing", message=text))
    prefix = facts.prefix if action == "reuse-prefix" else None
    return PlanView(
        target=target,
        platform=facts.platform,
        action=action,
        artifact=_prefix_view(prefix) if prefix is not None else None,
        reasons=[*reasons, *registry_reasons(facts)],
        steps=_build_steps(request, facts) if action == "build-prefix" else [],
        seconds=facts.seconds if action == "build-prefix" else None,
        nearest=facts.nearest if action == "build-prefix" and facts.generation is None else None,
    )


def _decide_prefix(request: Request, facts: Facts) -> tuple[Action, list[Reason]]:
    # 1. No packages of roost; 2. a new generation; 3. no lock yet; 4. a lock whose prefix is missing, has changed, or
    # is not recorded for this definition; 5. a lock whose prefix is ready.
    if request.definition.python.user_managed:
        return "use-interpreter", [_user_managed_reason(facts)]
    if request.rebuild or request.as_of:
        return "build-prefix", [new_generation_reason(request, facts)]
    if facts.lock_digest is None:
        return "build-prefix", [missing_lock_reason(facts)]
    lock_reason = chosen_lock_reason(facts)
    if facts.prefix is None and facts.only_project_missing:
        return "build-prefix", [lock_reason]
    if facts.prefix is None:
        text = f"no prefix on this machine has lock {short_digest(facts.lock_digest)}"
        return "build-prefix", [lock_reason, Reason(code="prefix-missing", message=text)]
    if facts.prefix_drift is not None:
        return "build-prefix", [lock_reason, facts.prefix_drift]
    if facts.generation is None and facts.shared_lock is not None:
        text = f"Its prefix is ready at {facts.prefix.path}: only the lock has to be recorded for this definition"
        return "build-prefix", [lock_reason, Reason(code="prefix-ready", message=text)]
    return "reuse-prefix", [lock_reason, Reason(code="prefix-ready", message=f"Ready at {facts.prefix.path}")]


def _user_managed_reason(facts: Facts) -> Reason:
    interpreter = facts.interpreter or {}
    path, version = interpreter.get("path"), interpreter.get("version")
    text = f"The definition is user-managed: {path} (Python {version}) is used as it is"
    return Reason(code="user-managed", message=text)


def _prefix_view(prefix: Artifact) -> ArtifactView:
    return ArtifactView(kind="prefix", id=prefix.id, path=prefix.path, digest=prefix.key, bytes=prefix.bytes)


def _build_steps(request: Request, facts: Facts) -> list[Step]:
    definition = request.definition
    has_conda = bool(definition.conda.dependencies or definition.conda.explicit)
    has_pip = bool(definition.pip.requirements)
    fetched = ["download"] if has_conda or has_pip else []
    installed = [*(["link"] if has_conda else []), *(["pip"] if has_pip else [])]
    leading = lock_step_kinds(request, facts)
    if facts.only_project_missing and facts.has_base_prefix and not has_to_solve(request, facts):
        return [estimated_step(kind, facts) for kind in (*leading, *installed, "project", "bytecode", "publish")]
    project = ["project"] if facts.project is not None else []
    needed = [*leading, *fetched, *installed, *project, "bytecode", "publish"]
    return [estimated_step(kind, facts) for kind in needed]
