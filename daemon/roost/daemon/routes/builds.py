"""Routes that make environments ready, and show builds past and present."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from roost.daemon.builds.history import read_log
from roost.daemon.builds.job import BuildJob
from roost.daemon.config.dates import parse_as_of
from roost.daemon.credentials.substitution import registry_credentials
from roost.daemon.decision.decide import choose_target
from roost.daemon.decision.facts import IMAGE_TARGETS, Request
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.images.jobs import workspace_location
from roost.daemon.server.routing import Call, Reply, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES, Services
from roost.model.errors import CodedError, InvalidDefinitionError, InvalidRequestError, LookupFailedError
from roost.model.records import BuildRecord
from roost.wire.builds import BuildRequest, Message
from roost.wire.plans import EnvironmentSelector


class PageQuery(msgspec.Struct, kw_only=True):
    """The latest ``limit`` rows, or the latest before the row with id ``before``."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    before: str | None = None


class FollowQuery(msgspec.Struct, kw_only=True):
    """``follow``: stay until it ends."""

    follow: bool = False


class BuildsResponse(msgspec.Struct, kw_only=True):
    builds: list[BuildRecord]


class BuildResponse(msgspec.Struct, kw_only=True):
    build: BuildRecord


class DetachedBuild(msgspec.Struct, kw_only=True):
    """A build that no client waits for, new or running; ``id`` is ``None`` if there is nothing to build."""

    id: str | None
    state: Literal["solving", "not-needed"]
    definition_digest: str


class DetachedResponse(msgspec.Struct, kw_only=True):
    build: DetachedBuild


class BuildOverError(CodedError):
    """The build has ended: only a running one can be cancelled."""

    code = "build-over"
    http_status = 409


async def resolve_used(services: Services, selector: EnvironmentSelector, target: str) -> ResolvedDefinition:
    """Return the definition that a command uses. A file that can't be read is watched, too: it will be mended."""
    try:
        return await services.resolver.resolve(selector)
    except InvalidDefinitionError as error:
        services.watches.note_failure(selector, target, error)
        raise


async def create_build_job(services: Services, body: BuildRequest) -> BuildJob:
    """Return the job of a request. Raises InvalidRequestError, VariableMissingError, and what ``resolve`` and
    ``parse_as_of`` raise."""
    parse_as_of(body.as_of)
    if (body.rebuild or body.as_of) and (body.what.generation is not None or body.what.lock is not None):
        raise InvalidRequestError(
            "A new generation and an older one are requested at once",
            hint="Leave out --rebuild and --as-of, or --generation and --lock.",
        )
    resolved = await resolve_used(services, body.what, body.target)
    request = Request(
        definition=resolved.definition,
        target=body.target,
        ignore_image=body.what.ignore_image,
        rebuild=body.rebuild,
        as_of=body.as_of,
    )
    push = workspace_location(services.config.registries) if body.push else None
    if choose_target(request) in IMAGE_TARGETS:  # required now: a running build can't be sent values
        registry_credentials(resolved.parsed.credentials, body.what.environ, all_needed=True)
    if push is not None and choose_target(request) not in IMAGE_TARGETS:
        raise InvalidRequestError("Only images can be pushed", hint="Add -t docker.")
    targeted, selector = await services.resolver.target(resolved, request, body.what)
    services.watches.note_use(body.what, resolved, body.target, ready=None)
    return BuildJob(resolved=targeted, request=request, selector=selector, push=push)


async def start_build(call: Call[BuildRequest]) -> web.StreamResponse | Reply:
    services = call.app[SERVICES]
    job = await create_build_job(services, call.body)
    if call.body.detach:
        build_id = await services.builds.detach(job, services.lifecycle.hold("detached build"))
        state: Literal["solving", "not-needed"] = "solving" if build_id else "not-needed"
        build = DetachedBuild(id=build_id, state=state, definition_digest=job.resolved.digest)
        return Reply(DetachedResponse(build=build), 202)
    return await send_messages(call.request, services.builds.stream(job))


async def list_builds(call: Call[None]) -> BuildsResponse:
    services, page = call.app[SERVICES], call.query(PageQuery)
    await services.builds.history.catch_up()
    builds = services.store.index.builds
    before = await builds.find_id(page.before) if page.before is not None else None
    return BuildsResponse(builds=await builds.list_page(page.limit, before))


async def show_build(call: Call[None]) -> BuildResponse:
    return BuildResponse(build=await _get_build(call.app[SERVICES], call.path("id")))


async def build_logs(call: Call[None]) -> web.StreamResponse:
    services = call.app[SERVICES]
    build = await _get_build(services, call.path("id"))
    return await send_messages(call.request, _read_messages(services, build, call.query(FollowQuery).follow))


async def _read_messages(services: Services, build: BuildRecord, follow: bool) -> AsyncIterator[Message]:
    listener = services.builds.listen(build.id) if follow else None
    if listener is not None:
        async for message in listener.messages():
            yield message
        return
    for message in await read_log(services.store.layout, build.id):
        yield message


async def cancel_build(call: Call[None]) -> BuildResponse:
    services = call.app[SERVICES]
    build = await _get_build(services, call.path("id"))
    if not services.builds.cancel(build.id):
        raise BuildOverError(f"Build {build.id} has ended ({build.state})", hint="There is nothing to cancel.")
    return BuildResponse(build=build)


async def _get_build(services: Services, build_id: str) -> BuildRecord:
    """Return the build of this id, of the only id that begins so, or the ``latest``. Raises LookupFailedError."""
    await services.builds.history.catch_up()
    builds = services.store.index.builds
    build = await builds.find(await builds.find_id(build_id))
    if build is None:  # it was so old that it was deleted in between
        raise LookupFailedError(f"No build has the id {build_id!r}", hint="`roost builds list` shows the latest ones.")
    return build


ROUTES_BUILDS = [
    Route(
        "POST",
        "/v1/builds",
        start_build,
        request=BuildRequest,
        response=Message,
        stream=True,
        summary="Build an environment; closing the stream withdraws the request",
        others={202: DetachedResponse},
    ),
    Route("GET", "/v1/builds", list_builds, query=PageQuery, response=BuildsResponse, summary="The latest builds"),
    Route("GET", "/v1/builds/{id}", show_build, response=BuildResponse, summary="One build"),
    Route(
        "GET",
        "/v1/builds/{id}/logs",
        build_logs,
        query=FollowQuery,
        response=Message,
        stream=True,
        summary="The log of a build",
    ),
    Route(
        "DELETE", "/v1/builds/{id}", cancel_build, response=BuildResponse, summary="Cancel a build for all subscribers"
    ),
]
