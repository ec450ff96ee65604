"""Routes about the daemon itself: version, shutdown, doctor, events, and the OpenAPI document."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from roost.daemon.doctor.deadlines import Examiners, run_apart
from roost.daemon.doctor.findings import DoctorResponse
from roost.daemon.doctor.surroundings import Surroundings, list_needed_variables
from roost.daemon.jobs.lifecycle import DaemonBusyError
from roost.daemon.server.keys import CONFIG, EVENTS, LIFECYCLE, ROUTES, STORE
from roost.daemon.server.openapi import describe_routes
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import NdjsonWriter
from roost.daemon.services import SERVICES
from roost.model.errors import CodedError
from roost.model.records import Event
from roost.store.disk.root import STORE_FORMAT
from roost.wire.installation import VERSION
from roost.wire.protocol import PROTOCOL

REFRESH_SECONDS = 1.0
"""How long an examination waits for the configuration."""


class VersionResponse(msgspec.Struct, kw_only=True):
    """The daemon that answers. ``idle``: no build, stream or foreground run, so that a newer client may replace it."""

    protocol: int
    version: str
    store_format: int
    root: str
    pid: int
    idle: bool
    config: str | None
    config_expected: str


class ShutdownRequest(msgspec.Struct, kw_only=True):
    """``if_idle``: refuse (409, ``daemon-busy``) unless the daemon is idle."""

    if_idle: bool = False


class ShutdownResponse(msgspec.Struct, kw_only=True):
    """The daemon stops after this answer."""

    stopping: bool
    pid: int


class DoctorNeeds(msgspec.Struct, kw_only=True):
    """Names of the caller's variables that the configuration refers to."""

    variables: list[str]


class DoctorRequest(msgspec.Struct, kw_only=True):
    """``variables``: those of the names in ``DoctorNeeds`` that the caller has. They are never stored."""

    variables: dict[str, str] = {}


class EventsQuery(msgspec.Struct, kw_only=True):
    """``since``: begin after the event with this number; without it, with new events."""

    since: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


async def version(call: Call[None]) -> VersionResponse:
    config = call.app[CONFIG]
    return VersionResponse(
        protocol=PROTOCOL,
        version=VERSION,
        store_format=STORE_FORMAT,
        root=call.app[STORE].layout.root,
        pid=os.getpid(),
        idle=call.app[LIFECYCLE].is_idle,
        config=config.path,
        config_expected=config.expected_path,
    )


async def shutdown(call: Call[ShutdownRequest]) -> ShutdownResponse:
    lifecycle = call.app[LIFECYCLE]
    if call.body.if_idle and not lifecycle.is_idle:
        raise DaemonBusyError("The daemon is busy.", hint="Wait, or stop it without `if_idle`.", fields=lifecycle.work)
    lifecycle.stop("requested over the socket")
    return ShutdownResponse(stopping=True, pid=os.getpid())


async def doctor(call: Call[None]) -> DoctorResponse:
    return await _examine(call.app, {})


async def doctor_for_caller(call: Call[DoctorRequest]) -> DoctorResponse:
    return await _examine(call.app, call.body.variables)


async def list_doctor_needs(call: Call[None]) -> DoctorNeeds:
    await _refresh_config(call.app)
    return DoctorNeeds(variables=list_needed_variables(call.app[SERVICES].config.config))


async def _examine(app: web.Application, variables: dict[str, str]) -> DoctorResponse:
    await _refresh_config(app)
    services = app[SERVICES]
    around = Surroundings(
        services.store.layout,
        services.store.index,
        services.engines,
        services.config.config,
        services.reloader.list_registries,
        variables,
    )
    examine = await run_apart(_load_examine)
    return await examine(around, services.examiners)


def _load_examine() -> Callable[[Surroundings, Examiners], Awaitable[DoctorResponse]]:
    """Import all checks, which no other request needs. Blocks."""
    from roost.daemon.doctor import examination

    return examination.examine


async def _refresh_config(app: web.Application) -> None:
    """Read the configuration again; one that is not valid is reported by the examination, which must also be possible
    if all threads of the daemon hang."""
    with suppress(CodedError, asyncio.TimeoutError):
        await asyncio.wait_for(app[SERVICES].reloader.refresh(), REFRESH_SECONDS)


async def stream_events(call: Call[None]) -> web.StreamResponse:
    events, daemon = call.app[EVENTS], call.app[CONFIG].daemon
    writer = NdjsonWriter(limit=daemon.stream_queue, interval=daemon.heartbeat_seconds, heartbeat=events.heartbeat)
    with events.follow(writer, call.query(EventsQuery).since) as past:
        return await writer.send(call.request, before=past)


async def document(call: Call[None]) -> dict[str, Any]:
    return describe_routes(call.app[ROUTES], VERSION)


ROUTES_DAEMON = [
    Route("GET", "/v1/version", version, response=VersionResponse, summary="Protocol, version and state of the daemon"),
    Route("GET", "/v1/openapi.json", document, response=dict[str, Any], summary="This document"),
    Route(
        "POST",
        "/v1/shutdown",
        shutdown,
        request=ShutdownRequest,
        response=ShutdownResponse,
        summary="Stop: builds are cancelled, detached runs continue",
    ),
    Route("GET", "/v1/doctor", doctor, response=DoctorResponse, summary="Problems of this machine"),
    Route(
        "POST",
        "/v1/doctor",
        doctor_for_caller,
        request=DoctorRequest,
        response=DoctorResponse,
        summary="Problems of this machine, with the caller's credentials",
    ),
    Route(
        "GET",
        "/v1/doctor/needs",
        list_doctor_needs,
        response=DoctorNeeds,
        summary="Variables of the caller that the configuration refers to",
    ),
    Route(
        "GET",
        "/v1/events",
        stream_events,
        query=EventsQuery,
        response=Event,
        stream=True,
        summary="Events of the daemon",
    ),
]
