"""The decision: pure. No clock, no disk, no network; everything it knows is in ``Facts``.

``decide`` turns what was asked and what is known into a plan: the action, why, and the steps with what they are
expected to take. Facts are gathered by ``roost.daemon.facts``.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from roost.client.wire import Action, ArtifactView, Nearest, PlanView, Reason, Step
from roost.store.definition import Definition
from roost.store.errors import DefinitionError, NotFoundError
from roost.store.records import Artifact, Estimate, Generation

PREFIX_TARGETS = frozenset({"local"})
IMAGE_TARGETS = frozenset({"docker"})
STEP_KINDS = ("solve", "lock-pip", "download", "link", "pip", "bytecode", "publish")


class NoSuchTargetError(NotFoundError):
    """No target of that name."""

    code = "target-unknown"


class ImageNeededError(DefinitionError):
    """The definition can only be run as an image, and the target can't run one."""

    code = "image-needed"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for."""

    definition: Definition
    target: str = "auto"
    ignore_image: bool = False
    rebuild: bool = False
    as_of: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about it, all of it gathered beforehand."""

    platform: str
    definition_known: bool = False
    generation: Generation | None = None
    lock_digest: str | None = None
    lock_bytes: int | None = None
    """Bytes of all packages in the lock."""
    lock_packages: int | None = None
    prefix: Artifact | None = None
    """The ready prefix for the lock."""
    prefix_fault: Reason | None = None
    """Why that prefix can't be used as it is."""
    solved_now: bool = False
    """The lock was solved for this plan (``--solve``) and is kept nowhere."""
    interpreter: Mapping[str, object] | None = None
    """User-managed: path, version and mtime of the interpreter."""
    estimates: Mapping[str, Estimate] = {}
    nearest: Nearest | None = None


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
        raise NoSuchTargetError(f"no target is named {target!r}", hint="targets here: local")
    if target in PREFIX_TARGETS and image:
        raise ImageNeededError(
            f"target {target!r} runs a prefix, which would drop the definition's base image and docker steps",
            hint="use -t docker, or --ignore-image to drop them on purpose",
        )
    return target


def decide(request: Request, facts: Facts) -> PlanView:
    """The plan for a target that runs a prefix."""
    target = choose_target(request)
    if target in IMAGE_TARGETS:
        raise NoSuchTargetError(
            f"target {target!r} runs images, which this version of roost does not build",
            hint="for a prefix without the base image and docker steps: -t local --ignore-image",
        )
    action, reasons = _prefix_action(request, facts)
    return PlanView(
        target=target,
        platform=facts.platform,
        action=action,
        artifact=_artifact(action, facts),
        reasons=reasons,
        steps=_steps(action, request, facts),
        nearest=facts.nearest if action == "build-prefix" and facts.generation is None else None,
    )


def _prefix_action(request: Request, facts: Facts) -> tuple[Action, list[Reason]]:
    if request.definition.python.user_managed:
        return "use-interpreter", [_user_managed(facts)]
    if request.rebuild or request.as_of:
        return "build-prefix", [_asked_anew(request, facts)]
    if facts.lock_digest is None:
        return "build-prefix", [_unknown(facts)]
    known = _lock_reason(facts)
    if facts.prefix is None:
        text = f"no prefix on this machine holds lock {short(facts.lock_digest)}"
        return "build-prefix", [known, Reason(code="prefix-missing", message=text)]
    if facts.prefix_fault is not None:
        return "build-prefix", [known, facts.prefix_fault]
    return "reuse-prefix", [known, Reason(code="prefix-ready", message=f"ready at {facts.prefix.path}")]


def _user_managed(facts: Facts) -> Reason:
    found = facts.interpreter or {}
    return Reason(
        code="user-managed",
        message=f"the definition is user-managed: {found.get('path')} (Python {found.get('version')}) is used as it is",
    )


def _asked_anew(request: Request, facts: Facts) -> Reason:
    number = facts.generation.number + 1 if facts.generation else 1
    if request.as_of:
        return Reason(
            code="as-of-requested", message=f"a solve as of {request.as_of} was asked for: generation {number}"
        )
    return Reason(code="rebuild-requested", message=f"a new solve was asked for: generation {number}")


def _unknown(facts: Facts) -> Reason:
    if facts.definition_known:
        return Reason(
            code="platform-unknown",
            message=f"this definition was never locked for {facts.platform} on this machine",
        )
    return Reason(code="definition-unknown", message="this definition was never built on this machine")


def _lock_reason(facts: Facts) -> Reason:
    lock = short(facts.lock_digest or "")
    if facts.generation is None:
        return Reason(code="lock-solved", message=f"a solve now chooses lock {lock}")
    return Reason(
        code="definition-known",
        message=f"generation {facts.generation.number} of {facts.generation.created[:10]} keeps lock {lock}",
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
    solving = request.rebuild or bool(request.as_of) or facts.lock_digest is None
    kinds = [("solve", solving and conda), ("lock-pip", solving and pip), ("download", conda), ("link", conda)]
    kinds += [("pip", pip), ("bytecode", True), ("publish", True)]
    return [kind for kind, wanted in kinds if wanted]


def _step(kind: str, facts: Facts) -> Step:
    past = facts.estimates.get(kind)
    size = facts.lock_bytes if kind == "download" and facts.lock_bytes is not None else past.bytes if past else None
    return Step(kind=kind, seconds=past.seconds if past else None, bytes=size)


def short(digest: str) -> str:
    """Enough of a digest for a person."""
    return digest.removeprefix("sha256:")[:12]
