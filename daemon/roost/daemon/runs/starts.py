"""How a run starts in what a plan found ready, and those that get ready and start by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from roost.daemon.builds.job import BuildJob
from roost.daemon.decision.facts import IMAGE_TARGETS
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.launch.prepare import interpreter_launch, prefix_launch
from roost.daemon.oci.platforms import image_platform
from roost.daemon.planning.planner import PlanWithFacts
from roost.daemon.runs.containers import ContainerLaunch
from roost.daemon.services import Services
from roost.model.canonical.form import canonicalise_settings, digest_bytes
from roost.model.definition import ContainerSettings
from roost.model.errors import CodedError
from roost.model.records import RunRecord
from roost.wire.runs import ContainerOptions, Launch, RunRequest

L = TypeVar("L", Launch, ContainerLaunch)
ATTEMPTS = 3
"""What was made ready may be collected, or found damaged, before it is used; not for ever."""


class EnvironmentGoneError(CodedError):
    """What was made ready for a run was taken away before it began, again and again."""

    code = "environment-gone"
    retryable = True


def with_options(resolved: TargetedDefinition, options: ContainerOptions) -> TargetedDefinition:
    """``resolved`` with the settings of one run, which are recorded with it: those of its environment stay."""
    if options == ContainerOptions():
        return resolved
    own = resolved.settings.container
    container = ContainerSettings(
        shm_size=options.shm_size or own.shm_size, arguments=options.arguments or own.arguments
    )
    settings = msgspec.structs.replace(resolved.settings, container=container)
    form = canonicalise_settings(settings)
    return msgspec.structs.replace(
        resolved,
        parsed=msgspec.structs.replace(resolved.parsed, settings=settings),
        settings_canonical=form,
        settings_digest=digest_bytes(form),
    )


def local_launch(resolved: TargetedDefinition, planned: PlanWithFacts) -> Launch | None:
    """How to start in a prefix or with an interpreter; ``None`` where there is none yet."""
    facts = planned.facts
    if planned.plan.action == "use-interpreter":
        return interpreter_launch(resolved, str((facts.interpreter or {})["path"]))
    if planned.plan.action == "reuse-prefix" and facts.prefix is not None:
        return prefix_launch(resolved, facts.prefix, facts.generation)
    return None


def container_launch(resolved: TargetedDefinition, planned: PlanWithFacts) -> ContainerLaunch | None:
    """How to start in a container; ``None`` where there is no image yet."""
    image = planned.unmodified_image
    if image is None:
        return _built_launch(resolved, planned)
    if image.id is None or planned.unrecorded:
        return None
    facts = planned.facts
    return ContainerLaunch(
        image=image.id,
        interpreter=image.interpreter,
        variables=resolved.settings.variables,
        container=resolved.settings.container,
        platform=image.platform,
        built_for=image.built_for,
        lock_digest=facts.lock_digest,
        generation=facts.generation.number if facts.generation else None,
        artifact=facts.image.id,
    )


def _built_launch(resolved: TargetedDefinition, planned: PlanWithFacts) -> ContainerLaunch | None:
    """In an image that roost made, if the engine has it."""
    facts, artifact = planned.facts, planned.plan.artifact
    if planned.plan.action != "reuse-image" or artifact is None or artifact.digest is None:
        return None
    return ContainerLaunch(
        image=artifact.digest,
        interpreter=facts.image.interpreter,
        variables=resolved.settings.variables,
        container=resolved.settings.container,
        lock_digest=facts.lock_digest,
        generation=facts.generation.number if facts.generation else None,
        artifact=facts.image.id,
        built_for=image_platform(resolved.platform),
    )


async def start_detached(work: Services, run: RunRecord, body: RunRequest, job: BuildJob) -> None:
    """Make it ready if need be, then hand it to its supervisor or to the engine. Raises whatever keeps it from
    starting."""
    with work.lifecycle.hold("detached run"):
        if run.target not in IMAGE_TARGETS:
            await work.runs.start_detached(run, await ready(work, job, local_launch), body)
            return
        launch = await ready(work, job, container_launch)
        work.runs.note_handed_over(run.id)
        await work.containers.detached(run, launch, body)


async def ready(work: Services, job: BuildJob, launch_of: Callable[[TargetedDefinition, PlanWithFacts], L | None]) -> L:
    """How to start in what ``job`` asks for, which is made first where it must be. Raises what building raises, and
    EnvironmentGoneError."""
    for _ in range(ATTEMPTS):
        await work.builds.wait(job)
        launch = launch_of(job.resolved, await work.planner.plan(job.resolved, job.request, job.what))
        if launch is not None:
            return launch
    raise EnvironmentGoneError(
        f"What was made ready for the run was taken away before it began, {ATTEMPTS} times",
        hint="Try again; `roost events` tells what is removed.",
    )
