"""The decision for targets that run images: reuse, pull or build. Pure, like ``decide``.

An answer is yes, no or unknown, and unknown is never taken for no: it goes into the reasons, whatever is decided.
Cost chooses only between ways to the same artifact.
"""

from __future__ import annotations

from collections.abc import Iterator

from roost.daemon.decision.facts import Facts, ImageFacts, ImageLocation, Request, short_digest
from roost.daemon.decision.lock import (
    chosen_lock_reason,
    missing_lock_reason,
    new_generation_reason,
    registry_reasons,
    solve_step_kinds,
)
from roost.daemon.oci.answers import Unknown, Yes
from roost.model.definition import Definition
from roost.wire.plans import Action, ArtifactView, PlanView, Reason, Step

STEP_KINDS = ("base", "docker-steps", "layers", "load", "pull")


def decide_image(target: str, request: Request, facts: Facts) -> PlanView:
    """The plan for a target that runs images."""
    action, reasons, place = _action(request, facts)
    return PlanView(
        target=target,
        platform=facts.platform,
        action=action,
        artifact=_artifact(action, place, facts.image),
        reasons=[*reasons, *registry_reasons(facts)],
        steps=_steps(action, place, request, facts),
        nearest=facts.nearest if action == "build-image" and facts.generation is None else None,
    )


def _action(request: Request, facts: Facts) -> tuple[Action, list[Reason], ImageLocation | None]:
    image = facts.image
    if request.rebuild or request.as_of:
        return "build-image", [new_generation_reason(request, facts)], None
    if facts.lock_digest is None:
        return "build-image", [missing_lock_reason(facts)], None
    reasons = [chosen_lock_reason(facts), *image.editable_reasons, *base_reasons(facts)]
    if image.key is None or follows_moved_base(facts):
        return "build-image", [*reasons, *_unmade(facts)], None
    if isinstance(image.engine, Yes):
        there = image.engine.value
        return "reuse-image", [*reasons, Reason(code="image-ready", message=f"{there.reference} is there")], there
    return _pull_or_build([*reasons, *_not_there(image)], request, facts)


def _pull_or_build(
    reasons: list[Reason], request: Request, facts: Facts
) -> tuple[Action, list[Reason], ImageLocation | None]:
    image = facts.image
    found = preferred_location(image)
    if found is None:
        gone = [] if image.repeatable else [_gone(request, facts)]
        return "build-image", [*reasons, *gone], None
    cheaper = _building_is_cheaper(found, request, facts) if image.repeatable else None
    if cheaper is not None:
        return "build-image", [*reasons, cheaper], None
    code = "image-in-registry" if isinstance(image.workspace, Yes) else "image-in-catalogue"
    return "pull-image", [*reasons, Reason(code=code, message=f"{found.reference} has it")], found


def preferred_location(image: ImageFacts) -> ImageLocation | None:
    """The workspace comes before the global registries."""
    answers = (image.workspace, *image.catalogues)
    return next((answer.value for answer in answers if isinstance(answer, Yes)), None)


def follows_moved_base(facts: Facts) -> bool:
    """Whether the policy asks for a new generation on a base image that its tag did not name before."""
    return facts.image.base_policy == "follow" and _other_base(facts) is not None


def _other_base(facts: Facts) -> str | None:
    kept = facts.generation.base_digest if facts.generation else None
    now = facts.image.current_base
    return now.value if kept is not None and isinstance(now, Yes) and now.value != kept else None


def base_reasons(facts: Facts) -> Iterator[Reason]:
    """What there is to say of the base's tag."""
    other, now = _other_base(facts), facts.image.current_base
    if isinstance(now, Unknown):
        yield Reason(code="base-unknown", message=f"What the base's tag names now is not known: {now.reason.message}")
    if other is not None and facts.generation is not None:
        follows, number = follows_moved_base(facts), facts.generation.number
        then = "a new generation follows it" if follows else f"generation {number} keeps the base that it has"
        yield Reason(code="base-moved", message=f"The base's tag names {short_digest(other)} now: {then}")


def _unmade(facts: Facts) -> Iterator[Reason]:
    if facts.image.key is None:
        yield Reason(code="image-unknown", message="No image was made of this lock on this machine")
        yield from _unknown_registries(facts.image)


def _not_there(image: ImageFacts) -> Iterator[Reason]:
    """Why the image has to be got: each place that was asked and did not say yes."""
    if isinstance(image.engine, Unknown):
        yield Reason(code="engine-unknown", message=image.engine.reason.message)
    elif image.engine is not None:
        yield Reason(code="image-missing", message="The engine does not have the image")
    yield from _unknown_registries(image)


def _unknown_registries(image: ImageFacts) -> Iterator[Reason]:
    for answer in (image.workspace, *image.catalogues):
        if isinstance(answer, Unknown):
            yield Reason(code="registry-unknown", message=answer.reason.message)


def _gone(request: Request, facts: Facts) -> Reason:
    """Where there are no docker steps, the base is what may be gone."""
    kept = facts.generation
    if kept is not None and not has_docker_steps(request.definition):
        text = f"The base image {short_digest(kept.base_digest or '')} of generation {kept.number} is not kept here"
        return Reason(code="base-gone", message=f"{text}: the build takes it if its name still stands for it")
    number = kept.number + 1 if kept else 1
    return Reason(
        code="steps-gone",
        message=f"What the docker steps made is neither here nor in a registry, as a workspace registry would keep it: "
        f"they run again, as generation {number}",
    )


def _building_is_cheaper(found: ImageLocation, request: Request, facts: Facts) -> Reason | None:
    """Only where both are known from the past, and both lead to the same artifact."""
    pulling = pull_seconds(found, facts)
    steps = [facts.estimates.get(kind) for kind in _build_kinds(request, facts)]
    seconds = [step.seconds for step in steps if step is not None and step.seconds is not None]
    if pulling is None or len(seconds) < len(steps) or sum(seconds) >= pulling:
        return None
    text = f"{found.reference} has it; building takes about {sum(seconds):.1f} s, pulling {pulling:.1f} s"
    return Reason(code="build-cheaper", message=text)


def pull_seconds(place: ImageLocation, facts: Facts) -> float | None:
    """What a pull takes, by the rate of past ones where sizes are known."""
    past = facts.estimates.get("pull")
    if past is None or past.seconds is None:
        return None
    return past.seconds * place.bytes / past.bytes if past.bytes and place.bytes is not None else past.seconds


def _artifact(action: Action, place: ImageLocation | None, image: ImageFacts) -> ArtifactView | None:
    if place is None or action == "build-image":
        return None
    return ArtifactView(
        kind="image",
        id=image.id or short_digest(image.key or ""),
        reference=place.reference,
        digest=place.digest,
        manifest_digest=place.manifest_digest,
        bytes=place.bytes,
    )


def _steps(action: Action, place: ImageLocation | None, request: Request, facts: Facts) -> list[Step]:
    if action == "pull-image" and place is not None:
        return [Step(kind="pull", seconds=pull_seconds(place, facts), bytes=place.bytes)]
    kinds = _build_kinds(request, facts) if action == "build-image" else []
    return [_step(kind, facts) for kind in kinds]


def _build_kinds(request: Request, facts: Facts) -> list[str]:
    """1. base image and docker steps, 2. the conda layers, which a user-managed image does not get."""
    definition = request.definition
    kinds = solve_step_kinds(request, facts) if adds_packages(definition) else []
    kinds += ["base"] + (["docker-steps"] if has_docker_steps(definition) else [])
    return [*kinds, *(["download", "layers"] if adds_packages(definition) else []), "load"]


def has_docker_steps(definition: Definition) -> bool:
    """Whether an engine has to run something before the conda layers."""
    base = definition.base
    return base is not None and bool(base.steps or base.dockerfile is not None or base.context is not None)


def adds_packages(definition: Definition) -> bool:
    """Whether roost puts packages on top of the base: not for a user-managed definition, nor for one that names a base
    and nothing else, which is taken as it is."""
    if definition.python.user_managed:
        return False
    conda, python = definition.conda, definition.python
    named = conda.dependencies or conda.explicit or definition.pip.requirements or python.requires
    return bool(named) or definition.base is None


def is_unmodified(definition: Definition) -> bool:
    """Whether the base image is all there is, and is taken as it is."""
    return not has_docker_steps(definition) and not adds_packages(definition)


def _step(kind: str, facts: Facts) -> Step:
    past = facts.estimates.get(kind)
    size = facts.lock_bytes if kind == "download" and facts.lock_bytes is not None else past.bytes if past else None
    return Step(kind=kind, seconds=past.seconds if past else None, bytes=size)
