"""Routes that start commands (``exec`` without a record, runs with one) and show runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from roost.daemon.builds.credentials import require_unattended_credentials
from roost.daemon.builds.job import BuildJob
from roost.daemon.config.ids import new_id
from roost.daemon.decision.facts import IMAGE_TARGETS, Request
from roost.daemon.definitions.editables import editable_warnings
from roost.daemon.definitions.resolve import resolve_run, used_image
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.jobs.views import run_view
from roost.daemon.launch.installers import refuse_installation
from roost.daemon.launch.plan import LaunchPlan, PlanChoices, plan_key
from roost.daemon.launch.prepare import prefix_changes, stamp_project_folder
from roost.daemon.locks.former import note_use
from roost.daemon.planning.planner import PlanWithFacts
from roost.daemon.routes.builds import resolve_used
from roost.daemon.runs.attach import upgrade_connection
from roost.daemon.runs.filters import check_tags
from roost.daemon.runs.records import check_experiment
from roost.daemon.runs.reruns import (
    add_missing_interpreter_hint,
    check_repeatable,
    restore_words,
    warn_of_changes,
    with_project,
)
from roost.daemon.runs.starts import add_run_variables, container_launch, local_launch, with_options
from roost.daemon.server.peers import peer_pid, require_peer_process
from roost.daemon.server.routing import Call, Reply, Route
from roost.daemon.services import SERVICES, Services
from roost.model.errors import CodedError, InvalidRequestError
from roost.model.records import FileStamp, RunRecord
from roost.wire.plans import EnvironmentSelector
from roost.wire.runs import ExecRequest, ExecResponse, Launch, RunRequest, RunResponse, RunUpdate, RunView, Terminal


class RerunRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Run a recorded run again, in exactly the generation that it used."""

    detach: bool = False
    environ: dict[str, str] = {}
    """As in ``EnvironmentSelector``: for packages that have to be fetched again."""
    environ_of_client: dict[str, str] = {}
    terminal: Terminal | None = None
    secrets: dict[str, str] = {}
    """As in ``RunRequest``: values for the secrets of the run, of which only the names were recorded."""
    word_values: dict[str, str] = {}
    """As in ``RunRequest``: values of the run's ``word_variables``."""
    python_path: str | None = None
    """As in ``RunRequest``: that of this client, not the one that was recorded."""


async def execute(call: Call[ExecRequest]) -> ExecResponse | Reply:
    services = call.app[SERVICES]
    token = services.launches.token()
    resolved, planned, selector = await _plan(services, call.body.what, call.body.target)
    if planned.plan.target in IMAGE_TARGETS:
        return await _execute_in_container(
            services, msgspec.structs.replace(call.body, what=selector), resolved, planned
        )
    what = call.body.what
    _refuse_installation(resolved, planned, what.command, what.cwd, is_named=what.file is not None)
    launch = local_launch(resolved, planned)
    response = ExecResponse(launch=launch, source=resolved.source, warnings=resolved.warnings)
    if launch is None:
        return Reply(response, 202)
    services.adoption.start(planned.facts.prefix)
    await note_use(services.store.index, resolved)
    await _write_launch_plan(services, selector, resolved, planned, launch, token)
    return response


async def _execute_in_container(
    services: Services, body: ExecRequest, resolved: TargetedDefinition, planned: PlanWithFacts
) -> ExecResponse | Reply:
    """Create a container for a command, of which nothing is recorded and nothing stays. The client attaches to start
    it."""
    command = body.command or body.what.command
    if not command or any("\0" in word for word in command):
        raise InvalidRequestError("The command is empty, or has a NUL character", hint="Give the command to start.")
    launch = container_launch(resolved, planned)
    if launch is None:
        return Reply(ExecResponse(launch=None, source=resolved.source, warnings=resolved.warnings), 202)
    request = RunRequest(what=body.what, command=command, target=planned.plan.target, terminal=body.terminal)
    command_id = new_id("x")
    services.runs.containers.prepare(command_id, launch, request, is_recorded=False)
    await note_use(services.store.index, resolved)
    return ExecResponse(launch=None, source=resolved.source, attach=command_id, warnings=resolved.warnings)


def _refuse_installation(
    resolved: TargetedDefinition, planned: PlanWithFacts, command: Sequence[str], cwd: str, *, is_named: bool
) -> None:
    """Raise InstallerRefusedError if the command would change a prefix. What a user-managed interpreter has, its user
    may change."""
    if planned.plan.action != "use-interpreter":
        prefix = planned.facts.prefix
        refuse_installation(command, cwd, prefix.path if prefix else None, resolved.source, is_named=is_named)


async def _plan(
    services: Services, selector: EnvironmentSelector, target: str
) -> tuple[TargetedDefinition, PlanWithFacts, EnvironmentSelector]:
    """Return the definition for the target, its plan, and ``selector`` with the generation that it means there."""
    found = await resolve_used(services, selector, target)
    request = Request(definition=found.definition, target=target, ignore_image=selector.ignore_image)
    resolved, selector = await services.resolver.target(found, request, selector)
    planned = await services.planner.plan(resolved, request, selector)
    services.watches.note_use(selector, found, target, ready=planned.is_ready)
    warnings = [*resolved.warnings, *editable_warnings(planned.plan.reasons)]
    return msgspec.structs.replace(resolved, warnings=warnings), planned, selector


async def _write_launch_plan(
    services: Services,
    selector: EnvironmentSelector,
    resolved: TargetedDefinition,
    planned: PlanWithFacts,
    launch: Launch,
    token: int,
) -> None:
    """Write a launch plan for the next time, if a stat shows every change of what this answer depends on, and if
    nothing is to be said then about the lock file: whoever starts by a plan says nothing."""
    prefix, config = planned.facts.prefix, resolved.config
    pinned = selector.generation is not None or selector.lock is not None
    choices = PlanChoices(
        python=selector.python,
        extras=selector.extras,
        groups=selector.groups,
        no_project=selector.no_project,
        locked=selector.locked,
    )
    key = plan_key(command=selector.command, file=selector.file, environment=selector.environment, choices=choices)
    if pinned or selector.additions or selector.image is not None or selector.environ or key is None:
        return
    if prefix is None or resolved.guards is None or config is None:
        return
    if {reason.code for reason in resolved.lock_reasons} & {warning.code for warning in resolved.warnings}:
        return
    of_project: tuple[FileStamp, ...] | None = ()
    if resolved.project is not None and resolved.source.path is not None:
        named = os.path.dirname(resolved.source.path)
        of_project = await asyncio.to_thread(stamp_project_folder, named, resolved.project.folder)
    if of_project is None:
        return
    plan = LaunchPlan(
        cwd=selector.cwd,
        key=key,
        config=config.path,
        inputs=(*resolved.guards, config),
        absent=resolved.absent,
        guards=(*prefix.stamps, *of_project),
        lease=prefix.lease_path,
        prefix=prefix.path,
        hook_variables=tuple(launch.hook_variables),
        changes=prefix_changes(prefix),
        variables=launch.variables,
        python=launch.python,
    )
    await asyncio.to_thread(services.launches.write, plan, token)


async def start_run(call: Call[RunRequest]) -> RunResponse | Reply:
    services, body = call.app[SERVICES], call.body
    variables = {**body.variables, **body.secrets, **body.environ_of_client}
    texts = (*body.command, *variables, *variables.values(), body.container.shm_size or "", *body.container.arguments)
    if any("\0" in text for text in texts) or any("=" in name for name in variables):
        raise InvalidRequestError(
            "A word of the command or a variable can't be passed to a process",
            hint="Remove NUL characters, and `=` from names.",
        )
    check_experiment(body.experiment)
    check_tags(body.tags)
    resolved, planned, selector = await _plan(services, body.what, body.target)
    request = msgspec.structs.replace(body, what=selector)
    return _watch_client(call, await _start(services, request, resolved, planned))


def _watch_client(call: Call[Any], response: RunResponse | Reply) -> RunResponse | Reply:
    """Watch the client that got a launch from now on: it may end before it has started the command."""
    if isinstance(response, RunResponse) and response.run is not None and response.launch is not None:
        processes, pid = call.app[SERVICES].runs.processes, _find_peer(call)
        if call.request.transport is None:  # it left before it could get the launch
            processes.expect_nobody(response.run.id)
        elif pid is not None:
            response.watched = processes.expect_supervisor(response.run.id, pid)
    return response


def _find_peer(call: Call[Any]) -> int | None:
    """Return the client's process, if the system says which one it is."""
    transport = call.request.transport
    return peer_pid(transport.get_extra_info("socket")) if transport is not None else None


async def _start(
    services: Services,
    body: RunRequest,
    resolved: TargetedDefinition,
    planned: PlanWithFacts,
    rerun_of: str | None = None,
) -> RunResponse | Reply:
    start = _start_container if planned.plan.target in IMAGE_TARGETS else _start_process
    return await start(services, body, resolved, planned, rerun_of)


async def _start_process(
    services: Services, body: RunRequest, resolved: TargetedDefinition, planned: PlanWithFacts, rerun_of: str | None
) -> RunResponse | Reply:
    """Record the run. The client starts its command, or the daemon if it is detached."""
    _refuse_installation(resolved, planned, body.command, body.what.cwd, is_named=body.what.file is not None)
    launch = local_launch(resolved, planned)
    if launch is None and not body.detach:
        return _build_first(resolved)
    if launch is None:
        await _require_credentials(services, resolved, body, planned)
    else:
        services.adoption.start(planned.facts.prefix)
    resolved = await services.versions.ensure_registered(resolved)
    records = services.runs.records
    run = await records.create(body, resolved, launch, planned.facts.interpreter, rerun_of=rerun_of)
    services.runs.observe_code(run)
    if body.detach or launch is None:
        _begin_detached(services, run, body, resolved)
        launch = None
    else:
        launch = add_run_variables(launch, run.id, (run.environment_name, run.environment_version))
    return RunResponse(
        run=run_view(run),
        launch=launch,
        folder=records.folder(run.id),
        output_bytes=_output_bytes(services, body),
        source=resolved.source,
        warnings=resolved.warnings,
    )


async def _start_container(
    services: Services, body: RunRequest, resolved: TargetedDefinition, planned: PlanWithFacts, rerun_of: str | None
) -> RunResponse | Reply:
    """Record the run while its container is created. The client attaches to start it; the daemon starts it if it is
    detached."""
    launch, run_id = container_launch(with_options(resolved, body.container), planned), new_id("r")
    if launch is None and not body.detach:
        return _build_first(resolved)
    if launch is None:
        await _require_credentials(services, resolved, body, planned)
    resolved = with_options(await services.versions.ensure_registered(resolved), body.container)
    if launch is not None and not body.detach:
        launch = add_run_variables(launch, run_id, resolved.environment)
        services.runs.containers.prepare(run_id, launch, body)
    run = await services.runs.records.create(
        body,
        resolved,
        launch,
        planned.facts.interpreter,
        run_id=run_id,
        target=planned.plan.target,
        rerun_of=rerun_of,
        engine=services.engines.docker_variables(),
    )
    services.runs.observe_code(run)
    if body.detach:
        _begin_detached(services, run, body, resolved)
    return RunResponse(
        run=run_view(run),
        launch=None,
        folder=services.runs.records.folder(run.id) if body.keep_output else None,
        output_bytes=_output_bytes(services, body),
        source=resolved.source,
        warnings=resolved.warnings,
        attach=not body.detach,
    )


def _output_bytes(services: Services, body: RunRequest) -> int:
    """Return the bound of the output that the client is to store; 0 if it stores none."""
    return services.config.config.runs.output_bytes if body.keep_output and not body.detach else 0


def _build_first(resolved: TargetedDefinition) -> Reply:
    response = RunResponse(run=None, launch=None, folder=None, source=resolved.source, warnings=resolved.warnings)
    return Reply(response, 202)


async def _require_credentials(
    services: Services, resolved: TargetedDefinition, body: RunRequest, planned: PlanWithFacts
) -> None:
    """Raise VariableMissingError if a variable that building may need was not sent: a detached run can't ask later."""
    digest = planned.facts.lock_digest
    lock = await services.store.index.locks.find(digest) if digest is not None else None
    require_unattended_credentials(resolved, body.what.environ, services.config.config, lock)


def _begin_detached(services: Services, run: RunRecord, body: RunRequest, resolved: TargetedDefinition) -> None:
    request = Request(definition=resolved.definition, target=run.target, ignore_image=body.what.ignore_image)
    services.runs.starts.begin(run, body, BuildJob(resolved=resolved, request=request, selector=body.what))


async def attach_run(call: Call[None]) -> web.StreamResponse:
    """Start the container of a run, and be its standard streams until it ends."""
    containers = call.app[SERVICES].runs.containers
    containers.require_pending(call.path("id"))
    async with upgrade_connection(call.request) as (response, channel):
        await containers.attach(call.path("id"), channel)
    return response


async def update_run(call: Call[RunUpdate]) -> RunView:
    """Record a report. The process in it is the reporter's own: another one's end would be taken for the run's."""
    processes, pid = call.app[SERVICES].runs.processes, call.body.pid
    supervisor = await asyncio.to_thread(require_peer_process, _find_peer(call), pid) if pid is not None else None
    return run_view(await processes.report(call.path("id"), call.body, supervisor))


async def cancel_run(call: Call[None]) -> RunView:
    return run_view(await call.app[SERVICES].runs.cancel(call.path("id")))


async def rerun(call: Call[RerunRequest]) -> RunResponse | Reply:
    """Run again what was recorded of a run: its definition's file may have changed since, or no longer exist."""
    services = call.app[SERVICES]
    run = await services.runs.get(call.path("id"))
    image = used_image(run)
    check_repeatable(run)
    values = {**call.body.environ_of_client, **call.body.secrets}
    words = {**call.body.environ_of_client, **call.body.word_values}
    command = restore_words(run, words)
    selector = EnvironmentSelector(
        cwd=run.cwd,
        command=command,
        lock=run.lock_digest,
        generation=run.generation,
        image=image,
        environ=call.body.environ,
    )
    body = RunRequest(
        what=selector,
        command=command,
        word_values={name: words[name] for name in run.word_variables},
        secrets={name: values[name] for name in run.secrets if name in values},
        experiment=run.experiment,
        detach=call.body.detach,
        environ_of_client=call.body.environ_of_client,
        terminal=call.body.terminal,
        python_path=call.body.python_path,
    )
    resolved = await resolve_run(services.store, run)
    if run.project is not None:
        resolved = with_project(run, resolved, await _read_project(services, run.project.folder))
    request = Request(definition=resolved.definition, target=run.target)
    try:
        if not body.detach:  # its prefix or image may have been deleted; a detached run records how building went
            await services.builds.wait(BuildJob(resolved=resolved, request=request, selector=selector))
        planned = await services.planner.plan(resolved, request, selector)
    except CodedError as error:
        raise add_missing_interpreter_hint(run, error) from error
    resolved, planned = warn_of_changes(run, resolved, planned)
    response = await asyncio.shield(_start(services, body, resolved, planned, run.id))
    if isinstance(response, RunResponse) and response.run is not None and response.run.command != command:
        response.command = command
    return _watch_client(call, response)


async def _read_project(services: Services, folder: str) -> ResolvedDefinition | None:
    """Read the project in a folder as it is now; ``None`` if that is not possible."""
    try:
        return await services.resolver.resolve(EnvironmentSelector(cwd=folder, file="pyproject.toml"))
    except CodedError:
        return None


ROUTES_RUNS = [
    Route(
        "POST",
        "/v1/exec",
        execute,
        request=ExecRequest,
        response=ExecResponse,
        others={202: ExecResponse},
        summary="How to start a command in an environment, or 202 if it must be built first",
    ),
    Route(
        "POST",
        "/v1/runs",
        start_run,
        request=RunRequest,
        response=RunResponse,
        others={202: RunResponse},
        summary="Record a run, or 202 if its environment must be built first",
    ),
    Route(
        "PATCH",
        "/v1/runs/{id}",
        update_run,
        request=RunUpdate,
        response=RunView,
        summary="Reports of a run's supervisor",
    ),
    Route("DELETE", "/v1/runs/{id}", cancel_run, response=RunView, summary="Cancel a run"),
    Route(
        "POST",
        "/v1/runs/{id}/attach",
        attach_run,
        stream=True,
        status=101,
        summary="Start a run's container and use the connection for its streams",
    ),
    Route(
        "POST",
        "/v1/runs/{id}/rerun",
        rerun,
        request=RerunRequest,
        response=RunResponse,
        others={202: RunResponse},
        withdrawable=True,
        summary="Repeat a run in the generation that it used",
    ),
]
