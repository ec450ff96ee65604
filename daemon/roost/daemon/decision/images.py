"""The decision for targets that run images: reuse, pull or build. Pure.

An answer is yes, no or unknown. Unknown is never treated as no: it becomes a reason of the plan, whatever is decided.
Cost chooses only between ways to the same artifact.
"""

from __future__ import annotations

from collections.abc import Iterator

from roost.daemon.decision.facts import Facts, ImageFacts, ImageLocation, RegistryAnswers, Request, short_digest
from roost.daemon.decision.lock import (
    chosen_lock_reason,
    estimated_step,
    lock_step_kinds,
    missing_lock_reason,
    new_generation_reason,
    registry_reasons,
)
from roost.daemon.oci.answers import Unknown, Yes
from roost.model.definition import Definition
from roost.model.records import Generation
from roost.wire.plans import Action, ArtifactView, PlanView, Reason, Step


def decide_image(target: str, request: Request, facts: Facts) -> PlanView:
    """Return the plan for a target that runs images."""
    action, reasons, location = _choose_action(request, facts)
    steps: list[Step] = []
    seconds = None
    if action == "pull-image" and location is not None:
        pulling = facts.estimates.get("pull")
        seconds = pulling.seconds if pulling else None
        steps = [Step(kind="pull", seconds=seconds, bytes=location.bytes)]
    elif action == "build-image":
        steps = [estimated_step(kind, facts) for kind in _build_step_kinds(request, facts)]
        seconds = facts.seconds
    return PlanView(
        target=target,
        platform=facts.platform,
        action=action,
        artifact=_image_view(location, facts.image) if location is not None else None,
        reasons=[*reasons, *registry_reasons(facts)],
        steps=steps,
        seconds=seconds,
        nearest=facts.nearest if action == "build-image" and facts.generation is None else None,
    )


def _choose_action(request: Request, facts: Facts) -> tuple[Action, list[Reason], ImageLocation | None]:
    """Return the action, its reasons, and the image if it is not built.

    1. A new generation is requested, 2. there is no lock yet, 3. the image of the lock is unknown here or its base
    moved, 4. the engine has the image, 5. no registry has it, 6. a registry has it and building is cheaper, 7. a
    registry has it.
    """
    image = facts.image
    if request.rebuild or request.as_of:
        return "build-image", [new_generation_reason(request, facts)], None
    if facts.lock_digest is None:
        return "build-image", [missing_lock_reason(facts)], None
    reasons = [chosen_lock_reason(facts), *image.editable_reasons, *base_reasons(facts.generation, image)]
    if image.key is None:
        text = "No image of this lock was built on this machine"
        return "build-image", [*reasons, Reason(code="image-unknown", message=text), *unanswered_reasons(image)], None
    if follows_moved_base(facts.generation, image):
        return "build-image", reasons, None
    if isinstance(image.engine, Yes):
        ready = image.engine.value
        return "reuse-image", [*reasons, Reason(code="image-ready", message=f"{ready.reference} exists")], ready
    reasons += [*_engine_reasons(image), *unanswered_reasons(image)]
    location = preferred_location(image)
    if location is None:
        return "build-image", [*reasons, *([] if image.repeatable else [_unrepeatable_reason(request, facts)])], None
    cheaper = _cheaper_build_reason(location, request, facts) if image.repeatable else None
    if cheaper is not None:
        return "build-image", [*reasons, cheaper], None
    return "pull-image", [*reasons, location_reason(location, image)], location


def preferred_location(image: RegistryAnswers) -> ImageLocation | None:
    """Return the image in the workspace's registry, else in the first catalogue that has it."""
    answers = (image.workspace, *image.catalogues)
    return next((answer.value for answer in answers if isinstance(answer, Yes)), None)


def location_reason(location: ImageLocation, image: RegistryAnswers) -> Reason:
    """Return that a registry has the image, for the preferred location of ``image``."""
    code = "image-in-registry" if isinstance(image.workspace, Yes) else "image-in-catalogue"
    return Reason(code=code, message=f"{location.reference} has it")


def unanswered_reasons(image: RegistryAnswers) -> Iterator[Reason]:
    """Yield a reason for each registry that did not say whether it has the image."""
    for answer in (image.workspace, *image.catalogues):
        if isinstance(answer, Unknown):
            yield Reason(code="registry-unknown", message=answer.reason.message)


def follows_moved_base(generation: Generation | None, image: ImageFacts) -> bool:
    """Whether the base's tag names another image than it did for the generation, and the policy asks for a new
    generation on that."""
    return image.base_policy == "follow" and _moved_base(generation, image) is not None


def _moved_base(generation: Generation | None, image: ImageFacts) -> str | None:
    """Return the digest that the base's tag names now, if it is another than the generation's."""
    recorded = generation.base_digest if generation else None
    current = image.current_base
    if recorded is None or not isinstance(current, Yes) or current.value == recorded:
        return None
    return current.value


def base_reasons(generation: Generation | None, image: ImageFacts) -> Iterator[Reason]:
    """Yield a reason if the base's tag moved, or if what it names now is unknown."""
    moved, current = _moved_base(generation, image), image.current_base
    if isinstance(current, Unknown):
        text = f"The image that the base's tag names now is unknown: {current.reason.message}"
        yield Reason(code="base-unknown", message=text)
    if moved is not None and generation is not None:
        follows, number = follows_moved_base(generation, image), generation.number
        then = "a new generation follows it" if follows else f"generation {number} keeps its base"
        yield Reason(code="base-moved", message=f"The base's tag now names {short_digest(moved)}: {then}")


def _engine_reasons(image: ImageFacts) -> Iterator[Reason]:
    if isinstance(image.engine, Unknown):
        yield Reason(code="engine-unknown", message=image.engine.reason.message)
    elif image.engine is not None:
        yield Reason(code="image-missing", message="The engine does not have the image")


def _unrepeatable_reason(request: Request, facts: Facts) -> Reason:
    """Return what can't be had again: without docker steps it is the base image."""
    generation = facts.generation
    if generation is not None and not has_docker_steps(request.definition):
        base, number = short_digest(generation.base_digest or ""), generation.number
        text = f"The base image {base} of generation {number} is not stored here"
        return Reason(code="base-gone", message=f"{text}: the build uses it if its name still refers to it")
    number = generation.number + 1 if generation else 1
    return Reason(
        code="steps-gone",
        message="The result of the docker steps is neither on this machine nor in a registry (a workspace registry "
        "would store it): "
        f"they run again, as generation {number}",
    )


def _cheaper_build_reason(location: ImageLocation, request: Request, facts: Facts) -> Reason | None:
    """Return that building is expected to be faster than pulling; ``None`` if it is slower, or if either was never
    done here. Both must lead to the same artifact."""
    pulling = facts.estimates.get("pull")
    building = [facts.estimates.get(kind) for kind in _build_step_kinds(request, facts)]
    known = [step for step in building if step is not None and (step.samples or step.seconds == 0)]
    seconds = [step.seconds for step in known if step.seconds is not None]
    if pulling is None or pulling.seconds is None or not pulling.samples or len(seconds) < len(building):
        return None
    if sum(seconds) >= pulling.seconds:
        return None
    text = f"{location.reference} has it; building takes about {sum(seconds):.1f} s, pulling {pulling.seconds:.1f} s"
    return Reason(code="build-cheaper", message=text)


def _image_view(location: ImageLocation, image: ImageFacts) -> ArtifactView:
    return ArtifactView(
        kind="image",
        id=image.id or short_digest(image.key or ""),
        reference=location.reference,
        digest=location.digest,
        manifest_digest=location.manifest_digest,
        bytes=location.bytes,
    )


def _build_step_kinds(request: Request, facts: Facts) -> list[str]:
    """Return the kinds of steps of a build: lock, base and docker steps, then the layers of the packages. An image
    without packages of roost has neither lock nor layers of its own."""
    definition = request.definition
    steps = ["docker-steps"] if has_docker_steps(definition) else []
    if not adds_packages(definition):
        return ["base", *steps, "load"]
    return [*lock_step_kinds(request, facts), "base", *steps, "download", "layers", "load"]


def has_docker_steps(definition: Definition) -> bool:
    """Whether an engine has to run something before packages are added: docker steps, a Dockerfile or a context."""
    base = definition.base
    return base is not None and bool(base.steps or base.dockerfile is not None or base.context is not None)


def adds_packages(definition: Definition) -> bool:
    """Whether roost puts packages on top of the base. It does not for a user-managed definition, nor for one that
    names a base and nothing else."""
    if definition.python.user_managed:
        return False
    conda, python = definition.conda, definition.python
    named = conda.dependencies or conda.explicit or definition.pip.requirements or python.requires
    return bool(named) or definition.base is None


def is_unmodified(definition: Definition) -> bool:
    """Whether the environment is the base image and nothing else."""
    return not has_docker_steps(definition) and not adds_packages(definition)
