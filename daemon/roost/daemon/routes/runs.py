"""Routes that start commands (``exec`` unrecorded, runs recorded) and tell of runs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from roost.daemon.builds.credentials import require_unattended_credentials
from roost.daemon.builds.job import BuildJob
from roost.daemon.config.ids import new_id
from roost.daemon.decision.facts import IMAGE_TARGETS, Request
from roost.daemon.definitions.editables import editable_warnings
from roost.daemon.definitions.resolve import resolve_run, used_image
from roost.daemon.definitions.resolved import TargetedDefinition, target_definition
from roost.daemon.jobs.views import run_view
from roost.daemon.launch.plan import LaunchPlan, plan_key
from roost.daemon.planning.planner import PlanWithFacts
from roost.daemon.routes.builds import FollowQuery, PageQuery
from roost.daemon.runs.attach import upgraded
from roost.daemon.runs.reruns import check_repeatable, explain_missing, say_what_changed
from roost.daemon.runs.runs import OVER
from roost.daemon.runs.starts import container_launch, local_launch, start_detached, with_options
from roost.daemon.server.peers import peer_pid
from roost.daemon.server.routing import Call, Reply, Route
from roost.daemon.services import SERVICES, Services
from roost.model.errors import CodedError, InvalidRequestError
from roost.model.records import RunRecord
from roost.wire.plans import EnvironmentSelector
from roost.wire.runs import ExecRequest, ExecResponse, Launch, RunRequest, RunResponse, RunUpdate, RunView, Terminal


class RunsResponse(msgspec.Struct, kw_only=True):
    runs: list[RunView]


class RerunRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Run it again, in exactly the generation that it used."""

    detach: bool = False
    environ: dict[str, str] = {}
    """As in ``EnvironmentSelector``: for what has to be fetched again."""
    environ_of_client: dict[str, str] = {}
    terminal: Terminal | None = None
    secrets: dict[str, str] = {}
    """As of ``RunRequest``: values for the secrets of the run, of which the names were recorded."""


async def execute(call: Call[ExecRequest]) -> ExecResponse | Reply:
    work = call.app[SERVICES]
    token = work.launches.token()
    resolved, planned, what = await _planned(work, call.body.what, call.body.target)
    if planned.plan.target in IMAGE_TARGETS:
        raise InvalidRequestError("Only `roost run` starts containers", hint="Use `roost run` with the same options.")
    launch = local_launch(resolved, planned)
    response = ExecResponse(launch=launch, source=resolved.source, warnings=resolved.warnings)
    if launch is None:
        return Reply(response, 202)
    await _leave_plan(work, what, resolved, planned, launch, token)
    return response


async def _planned(
    work: Services, what: EnvironmentSelector, target: str
) -> tuple[TargetedDefinition, PlanWithFacts, EnvironmentSelector]:
    """With the generation that ``what`` means on this target."""
    found = await work.resolver.resolve(what)
    request = Request(definition=found.definition, target=target, ignore_image=what.ignore_image)
    resolved = target_definition(found, request)
    what = await work.resolver.pin(resolved, what)
    planned = await work.planner.plan(resolved, request, what)
    warnings = [*resolved.warnings, *editable_warnings(planned.plan.reasons)]
    return msgspec.structs.replace(resolved, warnings=warnings), planned, what


async def _leave_plan(
    work: Services,
    what: EnvironmentSelector,
    resolved: TargetedDefinition,
    planned: PlanWithFacts,
    launch: Launch,
    token: int,
) -> None:
    """For the next time, if everything that this answer rests on can be seen by a stat."""
    prefix, config = planned.facts.prefix, resolved.config
    plain = what.generation is None and what.lock is None and what.image is None and not what.environ
    key = plan_key(command=what.command, file=what.file, environment=what.environment)
    if not plain or key is None or prefix is None or resolved.guards is None or config is None:
        return
    plan = LaunchPlan(
        cwd=what.cwd,
        key=key,
        config=config.path,
        inputs=(*resolved.guards, config),
        absent=resolved.absent,
        guards=prefix.stamps,
        lease=prefix.lease_path,
        changes=prefix.activation,
        variables=launch.variables,
        python=launch.python,
    )
    await asyncio.to_thread(work.launches.write, plan, token)


async def start_run(call: Call[RunRequest]) -> RunResponse | Reply:
    work, body = call.app[SERVICES], call.body
    given = {**body.variables, **body.secrets, **body.environ_of_client}
    texts = (*body.command, *given, *given.values(), body.container.shm_size or "", *body.container.arguments)
    if any("\0" in text for text in texts) or any("=" in name for name in given):
        raise InvalidRequestError(
            "A word of the command or a variable can't be handed to a process", hint="No NUL, no = in names."
        )
    resolved, planned, what = await _planned(work, body.what, body.target)
    return _expecting(call, await _start(work, msgspec.structs.replace(body, what=what), resolved, planned))


def _expecting(call: Call[Any], response: RunResponse | Reply) -> RunResponse | Reply:
    """Who was told how to start a run is watched from now on: it may go before it has begun."""
    if isinstance(response, RunResponse) and response.run is not None and response.launch is not None:
        transport = call.request.transport
        pid = peer_pid(transport.get_extra_info("socket")) if transport is not None else None
        if pid is not None:
            call.app[SERVICES].runs.expect(response.run.id, pid)
    return response


async def _start_container(
    work: Services, body: RunRequest, resolved: TargetedDefinition, planned: PlanWithFacts, rerun_of: str | None
) -> RunResponse | Reply:
    """The container is made while the run is recorded; the client attaches to start it."""
    launch, run_id = container_launch(with_options(resolved, body.container), planned), new_id("r")
    if launch is None and not body.detach:
        return _build_first(resolved)
    if launch is None:
        await _require_credentials(work, resolved, body, planned)
    resolved = with_options(await work.workspace.recorded(resolved), body.container)
    if launch is not None and not body.detach:
        work.containers.begin(run_id, launch, body)
    target = planned.plan.target
    interpreter = planned.facts.interpreter
    run = await work.runs.create(body, resolved, launch, interpreter, run_id=run_id, target=target, rerun_of=rerun_of)
    if body.detach:
        _start_by_itself(work, run, body, resolved)
    return RunResponse(
        run=run_view(run),
        launch=None,
        folder=None,
        source=resolved.source,
        warnings=resolved.warnings,
        attach=not body.detach,
    )


def _build_first(resolved: TargetedDefinition) -> Reply:
    nothing = RunResponse(run=None, launch=None, folder=None, source=resolved.source, warnings=resolved.warnings)
    return Reply(nothing, 202)


async def attach_run(call: Call[None]) -> web.StreamResponse:
    """Start the container of a run, and be its standard streams until it ends."""
    containers = call.app[SERVICES].containers
    containers.expect(call.path("id"))
    async with upgraded(call.request) as (response, channel):
        await containers.attach(call.path("id"), channel)
    return response


async def _start(
    work: Services, body: RunRequest, resolved: TargetedDefinition, planned: PlanWithFacts, rerun_of: str | None = None
) -> RunResponse | Reply:
    if planned.plan.target in IMAGE_TARGETS:
        return await _start_container(work, body, resolved, planned, rerun_of)
    launch = local_launch(resolved, planned)
    if launch is None and not body.detach:
        return _build_first(resolved)
    if launch is None:
        await _require_credentials(work, resolved, body, planned)
    resolved = await work.workspace.recorded(resolved)
    run = await work.runs.create(body, resolved, launch, planned.facts.interpreter, rerun_of=rerun_of)
    if body.detach:
        _start_by_itself(work, run, body, resolved)
    return RunResponse(
        run=run_view(run),
        launch=None if body.detach else launch,
        folder=work.runs.folder(run.id),
        source=resolved.source,
        warnings=resolved.warnings,
    )


async def _require_credentials(
    work: Services, resolved: TargetedDefinition, body: RunRequest, planned: PlanWithFacts
) -> None:
    """Raise VariableMissingError if a variable that building may need was not sent: a detached run can't ask later."""
    digest = planned.facts.lock_digest
    lock = await work.store.index.locks.find(digest) if digest is not None else None
    require_unattended_credentials(resolved, body.what.environ, work.config.config, lock)


def _start_by_itself(work: Services, run: RunRecord, body: RunRequest, resolved: TargetedDefinition) -> None:
    request = Request(definition=resolved.definition, target=run.target, ignore_image=body.what.ignore_image)
    job = BuildJob(resolved=resolved, request=request, what=body.what)
    work.runs.start(run.id, partial(start_detached, work, run, body, job))


async def list_runs(call: Call[None]) -> RunsResponse:
    page = call.query(PageQuery)
    await call.app[SERVICES].runs.look_at_orphans()
    return RunsResponse(
        runs=[run_view(r) for r in await call.app[SERVICES].store.index.runs.list_page(page.limit, page.before)]
    )


async def show_run(call: Call[None]) -> RunView:
    return run_view(await call.app[SERVICES].runs.get(call.path("id")))


async def update_run(call: Call[RunUpdate]) -> RunView:
    return run_view(await call.app[SERVICES].runs.update(call.path("id"), call.body))


async def cancel_run(call: Call[None]) -> RunView:
    work, run_id = call.app[SERVICES], call.path("id")
    run = await work.runs.get(run_id)
    if run.target not in IMAGE_TARGETS or run.state in OVER or work.runs.is_starting(run_id):
        return run_view(await work.runs.cancel(run_id))
    await work.containers.cancel(run_id)
    return run_view(run)


async def run_logs(call: Call[None]) -> web.StreamResponse:
    """The raw output of a detached run, so far, or until it ends."""
    runs = call.app[SERVICES].runs
    run = await runs.get(call.path("id"))
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await response.prepare(call.request)
    async for chunk in runs.output(run.id, follow=call.query(FollowQuery).follow):
        await response.write(chunk)
    return response


async def rerun(call: Call[RerunRequest]) -> RunResponse | Reply:
    """Again what a run ran, from what was recorded: its file may have changed since, or be gone."""
    work = call.app[SERVICES]
    run = await work.runs.get(call.path("id"))
    image = used_image(run)
    check_repeatable(run)
    given = {**call.body.environ_of_client, **call.body.secrets}
    what = EnvironmentSelector(
        cwd=run.cwd,
        command=list(run.command),
        lock=run.lock_digest,
        generation=run.generation,
        image=image,
        environ=call.body.environ,
    )
    body = RunRequest(
        what=what,
        command=list(run.command),
        secrets={name: given[name] for name in run.secrets if name in given},
        experiment=run.experiment,
        detach=call.body.detach,
        environ_of_client=call.body.environ_of_client,
        terminal=call.body.terminal,
    )
    resolved = await resolve_run(work.store, run)
    request = Request(definition=resolved.definition, target=run.target)
    try:
        if not body.detach:  # its prefix or image may be gone; else the new run tells how that went
            await work.builds.wait(BuildJob(resolved=resolved, request=request, what=what))
        planned = await work.planner.plan(resolved, request, what)
    except CodedError as error:
        raise explain_missing(run, error) from error
    resolved, planned = say_what_changed(run, resolved, planned)
    return _expecting(call, await asyncio.shield(_start(work, body, resolved, planned, run.id)))


ROUTES_RUNS = [
    Route(
        "POST",
        "/v1/exec",
        execute,
        request=ExecRequest,
        response=ExecResponse,
        others={202: ExecResponse},
        summary="How to start a command in an environment, or 202 where it must be built first",
    ),
    Route(
        "POST",
        "/v1/runs",
        start_run,
        request=RunRequest,
        response=RunResponse,
        others={202: RunResponse},
        summary="Record a run, or 202 where its environment must be built first",
    ),
    Route("GET", "/v1/runs", list_runs, query=PageQuery, response=RunsResponse, summary="The latest runs"),
    Route("GET", "/v1/runs/{id}", show_run, response=RunView, summary="One run"),
    Route(
        "PATCH",
        "/v1/runs/{id}",
        update_run,
        request=RunUpdate,
        response=RunView,
        summary="What a supervisor tells",
    ),
    Route("DELETE", "/v1/runs/{id}", cancel_run, response=RunView, summary="Cancel a run"),
    Route(
        "POST",
        "/v1/runs/{id}/attach",
        attach_run,
        stream=True,
        status=101,
        summary="Start a run's container and take the connection over for its streams",
    ),
    Route("GET", "/v1/runs/{id}/logs", run_logs, query=FollowQuery, stream=True, summary="A detached run's output"),
    Route(
        "POST",
        "/v1/runs/{id}/rerun",
        rerun,
        request=RerunRequest,
        response=RunResponse,
        others={202: RunResponse},
        withdrawable=True,
        summary="Run again what a run ran, in the generation that it used",
    ),
]
