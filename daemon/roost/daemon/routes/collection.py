"""Routes of garbage collection: collect, and pins."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from roost.daemon.gc.views import view_collection, view_plan, view_result
from roost.daemon.server.routing import Call, Route
from roost.daemon.server.streams import send_messages
from roost.daemon.services import SERVICES, Services
from roost.wire.collection import CollectionMessage, CollectionRequest, PinRequest, PinsResponse


async def collect_garbage(call: Call[CollectionRequest]) -> web.StreamResponse:
    messages = _collect(call.app[SERVICES], call.body)
    return await send_messages(call.request, messages, CollectionMessage(event="heartbeat"))


async def _collect(services: Services, request: CollectionRequest) -> AsyncIterator[CollectionMessage]:
    await services.reloader.refresh()
    services.ledger.request_comparison()  # a root whose index was rebuilt has no rows of its caches yet
    await services.ledger.wait()
    if request.dry_run:
        planned = await services.collector.plan(everything=request.everything)
        yield CollectionMessage(event="result", result=view_plan(planned, await services.collections.find_next()))
        return
    collection = None
    async for collection in services.collector.run(everything=request.everything):
        if collection.results and not collection.has_ended:
            number, total = len(collection.results), len(collection.planned.plan.steps)
            step = view_result(collection.results[-1])
            yield CollectionMessage(event="step", step=step, number=number, total=max(total, number))
    assert collection is not None
    view = view_collection(collection, await services.collections.find_next())
    yield CollectionMessage(event="result", result=view)


async def list_pins(call: Call[None]) -> PinsResponse:
    return PinsResponse(pins=await call.app[SERVICES].store.index.pins.list_all())


async def add_pin(call: Call[PinRequest]) -> PinsResponse:
    pins = call.app[SERVICES].store.index.pins
    changed = await pins.pin(call.body.subject)
    return PinsResponse(pins=await pins.list_all(), changed=changed)


async def remove_pin(call: Call[PinRequest]) -> PinsResponse:
    pins = call.app[SERVICES].store.index.pins
    changed = await pins.unpin(call.body.subject)
    return PinsResponse(pins=await pins.list_all(), changed=changed)


ROUTES_COLLECTION = [
    Route("GET", "/v1/pins", list_pins, response=PinsResponse, summary="What is protected from collection for good"),
    Route("POST", "/v1/pins", add_pin, request=PinRequest, response=PinsResponse, summary="Pin"),
    Route("DELETE", "/v1/pins", remove_pin, request=PinRequest, response=PinsResponse, summary="Unpin"),
    Route(
        "POST",
        "/v1/gc",
        collect_garbage,
        request=CollectionRequest,
        response=CollectionMessage,
        stream=True,
        summary="Remove what is not needed until the limits are met; closing the stream stops it after the step",
    ),
]
