"""Routes of watches: definitions whose environments are made ready in the background."""

from __future__ import annotations

from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.wire.watches import WatchesResponse, WatchRequest, WatchUpdate


async def add_watches(call: Call[WatchRequest]) -> WatchesResponse:
    return WatchesResponse(watches=await call.app[SERVICES].watches.add(call.body.paths, call.body.target))


async def list_watches(call: Call[None]) -> WatchesResponse:
    return WatchesResponse(watches=await call.app[SERVICES].watches.list_all())


async def update_watches(call: Call[WatchUpdate]) -> WatchesResponse:
    return WatchesResponse(watches=await call.app[SERVICES].watches.update(call.body))


ROUTES_WATCHES = [
    Route(
        "POST",
        "/v1/watches",
        add_watches,
        request=WatchRequest,
        response=WatchesResponse,
        summary="Watch files, and folders with an environment file",
    ),
    Route("GET", "/v1/watches", list_watches, response=WatchesResponse, summary="What is watched, and its state"),
    Route(
        "PATCH",
        "/v1/watches",
        update_watches,
        request=WatchUpdate,
        response=WatchesResponse,
        summary="Pause, resume or remove watches",
    ),
]
