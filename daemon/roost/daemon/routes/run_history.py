"""Routes of the history of runs: lists with filters, one run, its output, its note and tags.

Apart from ``runs``, whose routes start runs and hear of their ends.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from roost.daemon.credentials.redaction import redact
from roost.daemon.jobs.views import run_view
from roost.daemon.runs.filters import check_tags, parse_filter
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.errors import InvalidRequestError
from roost.model.history import find_note_fault
from roost.wire.runs import RunAnnotation, RunsQuery, RunView

_SETTLE_SECONDS = 2.0
"""How long the record of a run waits for what is being found out of its code."""


class RunsResponse(msgspec.Struct, kw_only=True):
    runs: list[RunView]


class RunQuery(msgspec.Struct, kw_only=True):
    """``wait``: for the end of the run, this many seconds at most."""

    wait: Annotated[int, Meta(ge=0, le=60)] = 0


class RunLogsQuery(msgspec.Struct, kw_only=True):
    """``follow``: stay until it ends. ``tail``: begin with the last so many lines."""

    follow: bool = False
    tail: Annotated[int, Meta(ge=0, lt=2**31)] | None = None


async def list_runs(call: Call[None]) -> RunsResponse:
    services, query = call.app[SERVICES], call.query(RunsQuery)
    wanted = parse_filter(query)
    before = await services.runs.records.find_id(query.before) if query.before is not None else None
    await services.runs.processes.check_all()
    records = await services.store.index.runs.list_matching(wanted, query.limit, before)
    return RunsResponse(runs=[run_view(record) for record in records])


async def show_run(call: Call[None]) -> RunView:
    runs = call.app[SERVICES].runs
    run = await runs.wait_for_end(call.path("id"), call.query(RunQuery).wait)
    if runs.code.is_pending(run.id):  # it has just begun: its commit is known in a moment
        await runs.code.settle(run.id, _SETTLE_SECONDS)
        run = await runs.get(run.id)
    return run_view(run)


async def annotate_run(call: Call[RunAnnotation]) -> RunView:
    """Change note and tags, which are texts of a person and never part of what ran."""
    body, records = call.body, call.app[SERVICES].runs.records
    if body.note is not None and (fault := find_note_fault(body.note)):
        raise InvalidRequestError(
            f"This can't be a note: {fault}", hint="Write a shorter one, or one of letters, signs and new lines."
        )
    check_tags(body.add_tags)
    note = redact(body.note) if body.note is not None else None
    run_id = await records.find_id(call.path("id"))
    changed = await records.annotate(run_id, note, body.add_tags, body.remove_tags)
    call.app[SERVICES].completions.note_change()
    return run_view(changed)


async def run_logs(call: Call[None]) -> web.StreamResponse:
    """Answer with the raw output that is stored of a run, so far, or until it ends."""
    runs, query = call.app[SERVICES].runs, call.query(RunLogsQuery)
    run = await runs.get(call.path("id"))
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    await response.prepare(call.request)
    async for chunk in runs.processes.output(run.id, follow=query.follow, tail=query.tail):
        await response.write(chunk)
    return response


ROUTES_RUN_HISTORY = [
    Route("GET", "/v1/runs", list_runs, query=RunsQuery, response=RunsResponse, summary="The latest runs"),
    Route(
        "GET",
        "/v1/runs/{id}",
        show_run,
        query=RunQuery,
        response=RunView,
        withdrawable=True,
        summary="One run, by its id, the beginning of it, or `latest`",
    ),
    Route(
        "POST",
        "/v1/runs/{id}/annotations",
        annotate_run,
        request=RunAnnotation,
        response=RunView,
        summary="Change note and tags of a run",
    ),
    Route("GET", "/v1/runs/{id}/logs", run_logs, query=RunLogsQuery, stream=True, summary="The output stored of a run"),
]
