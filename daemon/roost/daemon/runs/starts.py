"""How a run starts in what a plan found ready, and detached runs, whose environment is made ready first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec

from roost.daemon.builds.builds import Builds
from roost.daemon.builds.job import BuildJob
from roost.daemon.decision.facts import IMAGE_TARGETS
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.lifecycle import BackgroundTasks, Lifecycle
from roost.daemon.jobs.views import as_coded_error
from roost.daemon.launch.isolation import container_variables
from roost.daemon.launch.prepare import interpreter_launch, prefix_launch
from roost.daemon.oci.platforms import image_platform
from roost.daemon.planning.planner import Planner, PlanWithFacts
from roost.daemon.runs.container_specs import ContainerLaunch
from roost.daemon.runs.containers import ContainerRuns
from roost.daemon.runs.processes import ProcessRuns
from roost.daemon.runs.records import RunRecords
from roost.daemon.runs.states import WITHDRAWN
from roost.model.canonical.form import canonicalise_settings, digest_bytes
from roost.model.definition import ContainerSettings
from roost.model.errors import CodedError
from roost.model.records import RunRecord
from roost.wire.environments import ChangeView
from roost.wire.runs import ContainerOptions, Launch, RunRequest

log = logging.getLogger(__name__)
AnyLaunch = TypeVar("AnyLaunch", Launch, ContainerLaunch)
ATTEMPTS = 3
"""A ready prefix or image may be deleted, or found damaged, before it is used: the number of attempts is limited."""


class EnvironmentGoneError(CodedError):
    """The environment of a run was deleted before the run began, again and again."""

    code = "environment-gone"
    retryable = True


def with_options(resolved: TargetedDefinition, options: ContainerOptions) -> TargetedDefinition:
    """Return ``resolved`` with the container options of one run, which are recorded with the run; its environment keeps
    its own settings."""
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
    """Return how to start in a prefix or with an interpreter; ``None`` if there is none yet."""
    facts = planned.facts
    if planned.plan.action == "use-interpreter":
        return interpreter_launch(resolved, str((facts.interpreter or {})["path"]))
    if planned.plan.action == "reuse-prefix" and facts.prefix is not None:
        return prefix_launch(resolved, facts.prefix, facts.generation)
    return None


def container_launch(resolved: TargetedDefinition, planned: PlanWithFacts) -> ContainerLaunch | None:
    """Return how to start in a container; ``None`` if there is no image yet."""
    image = planned.unmodified_image
    if image is None:
        return _built_image_launch(resolved, planned)
    if image.id is None or planned.is_unrecorded:
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


def _built_image_launch(resolved: TargetedDefinition, planned: PlanWithFacts) -> ContainerLaunch | None:
    """Return how to start in an image that roost built; ``None`` if the engine does not have it."""
    facts, artifact = planned.facts, planned.plan.artifact
    if planned.plan.action != "reuse-image" or artifact is None or artifact.digest is None:
        return None
    adds_packages = not resolved.definition.python.user_managed
    return ContainerLaunch(
        image=artifact.digest,
        interpreter=planned.image_interpreter,
        variables={**container_variables(adds_packages=adds_packages), **resolved.settings.variables},
        container=resolved.settings.container,
        lock_digest=facts.lock_digest,
        generation=facts.generation.number if facts.generation else None,
        artifact=facts.image.id,
        built_for=image_platform(resolved.platform),
    )


def add_run_variables(launch: AnyLaunch, run_id: str, environment: tuple[str | None, int | None] | None) -> AnyLaunch:
    """Return ``launch`` with the variables that tell a command which run it is, of which ``environment`` (name and
    version) and of which lock. Those that the caller has of a run that it is part of itself do not reach the command.
    """
    name, version = environment or (None, None)
    found = {
        "ROOST_RUN_ID": run_id,
        "ROOST_ENVIRONMENT": f"{name}:{version}" if name and version else name,
        "ROOST_LOCK": launch.lock_digest,
    }
    changed = msgspec.structs.replace(launch, variables={**launch.variables, **{k: v for k, v in found.items() if v}})
    if isinstance(changed, Launch):
        changed.changes = changed.changes + [ChangeView(name=k, action="unset") for k, v in found.items() if not v]
    return changed


async def make_ready(
    builds: Builds,
    planner: Planner,
    job: BuildJob,
    launch_of: Callable[[TargetedDefinition, PlanWithFacts], AnyLaunch | None],
) -> AnyLaunch:
    """Return how to start in the environment of ``job``, which is built first if necessary. Raises what building
    raises, and EnvironmentGoneError."""
    for _ in range(ATTEMPTS):
        await builds.wait(job)
        launch = launch_of(job.resolved, await planner.plan(job.resolved, job.request, job.selector))
        if launch is not None:
            return launch
    raise EnvironmentGoneError(
        f"The environment prepared for the run was removed before the run started, {ATTEMPTS} times",
        hint="Try again; `roost events` shows what is removed.",
    )


class DetachedStarts:
    """Detached runs until a supervisor or an engine has them."""

    def __init__(
        self,
        records: RunRecords,
        processes: ProcessRuns,
        containers: ContainerRuns,
        builds: Builds,
        planner: Planner,
        lifecycle: Lifecycle,
    ) -> None:
        self._records = records
        self._processes = processes
        self._containers = containers
        self._builds = builds
        self._planner = planner
        self._lifecycle = lifecycle
        self._background = BackgroundTasks()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, run: RunRecord, request: RunRequest, job: BuildJob) -> None:
        """Make the environment of ``run`` ready and start it, in the background."""
        self._records.starting.add(run.id)
        task = self._tasks[run.id] = self._background.spawn(self._start(run, request, job))
        task.add_done_callback(lambda _task: self._hand_over(run.id))

    def _hand_over(self, run_id: str) -> None:
        """The run belongs to its supervisor or its engine from now on, to cancel too."""
        self._tasks.pop(run_id, None)
        self._records.starting.discard(run_id)

    def is_starting(self, run_id: str) -> bool:
        """Whether the environment is being made ready, so that ``withdraw`` keeps the run from starting."""
        return run_id in self._tasks

    async def withdraw(self, run_id: str) -> RunRecord:
        """Keep a run from starting, and record that it was cancelled."""
        self._tasks[run_id].cancel()
        return await self._records.end(run_id, WITHDRAWN)

    async def _start(self, run: RunRecord, request: RunRequest, job: BuildJob) -> None:
        """Start the run, and record whatever prevents that: clients would otherwise wait indefinitely."""
        try:
            with self._lifecycle.hold("detached run"):
                await self._make_ready_and_start(run, request, job)
        except Exception as error:
            if not isinstance(error, CodedError):
                log.exception("Run %s could not be started", run.id)
            await self._record_failure(run.id, as_coded_error(error, "run"))

    async def _make_ready_and_start(self, run: RunRecord, request: RunRequest, job: BuildJob) -> None:
        environment = (run.environment_name, run.environment_version)
        if run.target not in IMAGE_TARGETS:
            launch = await make_ready(self._builds, self._planner, job, local_launch)
            await self._processes.start_detached(run, add_run_variables(launch, run.id, environment), request)
            return
        in_image = await make_ready(self._builds, self._planner, job, container_launch)
        in_image = add_run_variables(in_image, run.id, environment)
        self._hand_over(run.id)
        await self._containers.start_detached(run, in_image, request)

    async def _record_failure(self, run_id: str, error: CodedError) -> None:
        try:
            await self._records.fail(run_id, error)
        except CodedError as unwritten:
            log.warning("The failure of run %s is not recorded yet: %s", run_id, unwritten.message)
            self._processes.check_later(run_id)

    async def stop(self) -> None:
        """Wait until the runs that can't start any more are recorded as failed; their builds are cancelled before."""
        await self._background.wait()
