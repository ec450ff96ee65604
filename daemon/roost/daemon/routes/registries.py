"""Routes of registries: list those in effect, add and remove them, test what may be done with each."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Literal

import msgspec

from roost.daemon.engines.engine_set import Engines
from roost.daemon.locks.artifact import lock_repository
from roost.daemon.oci.answers import Answer, Unknown, Yes
from roost.daemon.oci.registries import (
    RegistryKind,
    RegistryLocation,
    add_location,
    normalize_location,
    remove_location,
)
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.errors import LookupFailedError
from roost.wire.plans import Reason


class RegistriesResponse(msgspec.Struct, kw_only=True):
    """The workspace's registry first, then those that are only read, in the order in which they are asked."""

    registries: list[RegistryLocation]


class AddRegistryRequest(msgspec.Struct, kw_only=True):
    """``location``: ``HOST[:PORT][/PREFIX]``; ``insecure``: use plain HTTP."""

    location: str
    kind: RegistryKind = "catalogue"
    insecure: bool = False


class LocationQuery(msgspec.Struct, kw_only=True):
    """The registry to remove."""

    location: str


class TestRegistriesRequest(msgspec.Struct, kw_only=True):
    """Without ``location``: all registries."""

    location: str | None = None


class AnswerView(msgspec.Struct, kw_only=True):
    """``unknown``: the registry gave no usable answer."""

    answer: Literal["yes", "no", "unknown"]
    reason: Reason | None = None


class RegistryTest(msgspec.Struct, kw_only=True):
    """``ok``: the registry can be used for its purpose: to read a catalogue; to read and write, for others."""

    location: str
    kind: RegistryKind
    read: AnswerView
    write: AnswerView
    ok: bool
    seconds: float


class RegistryTestsResponse(msgspec.Struct, kw_only=True):
    tests: list[RegistryTest]


async def list_registries(call: Call[None]) -> RegistriesResponse:
    return RegistriesResponse(registries=await call.app[SERVICES].reloader.list_registries())


async def add_registry(call: Call[AddRegistryRequest]) -> RegistriesResponse:
    services, body = call.app[SERVICES], call.body
    added = RegistryLocation(location=normalize_location(body.location), kind=body.kind, insecure=body.insecure)
    await services.reloader.change_registries(partial(add_location, new=added))
    await services.events.append("registry-added", location=added.location, registry_kind=added.kind)
    return RegistriesResponse(registries=await services.reloader.list_registries())


async def remove_registry(call: Call[None]) -> RegistriesResponse:
    services, location = call.app[SERVICES], normalize_location(call.query(LocationQuery).location)
    await services.reloader.change_registries(partial(remove_location, location=location))
    await services.events.append("registry-removed", location=location)
    return RegistriesResponse(registries=await services.reloader.list_registries())


async def test_registries(call: Call[TestRegistriesRequest]) -> RegistryTestsResponse:
    services, requested = call.app[SERVICES], call.body.location
    found = await services.reloader.list_registries()
    if requested is not None:
        location = normalize_location(requested)
        found = [each for each in found if each.location == location]
        if not found:
            raise LookupFailedError(f"There is no registry {location}", hint="`roost registry list` shows them.")
    return RegistryTestsResponse(
        tests=list(await asyncio.gather(*(_test_registry(services.engines, each) for each in found)))
    )


async def _test_registry(engines: Engines, registry: RegistryLocation) -> RegistryTest:
    started = time.monotonic()
    probe = await (await engines.registry()).probe(lock_repository(registry.location))
    read, write = _view_answer(probe.read), _view_answer(probe.write)
    return RegistryTest(
        location=registry.location,
        kind=registry.kind,
        read=read,
        write=write,
        ok=read.answer == "yes" and (write.answer == "yes" or registry.kind == "catalogue"),
        seconds=round(time.monotonic() - started, 3),
    )


def _view_answer(answer: Answer[None]) -> AnswerView:
    if isinstance(answer, Yes):
        return AnswerView(answer="yes")
    return AnswerView(answer="unknown" if isinstance(answer, Unknown) else "no", reason=answer.reason)


ROUTES_REGISTRIES = [
    Route("GET", "/v1/registries", list_registries, response=RegistriesResponse, summary="The registries in force"),
    Route(
        "POST",
        "/v1/registries",
        add_registry,
        request=AddRegistryRequest,
        response=RegistriesResponse,
        summary="Add a registry to those of the config file",
    ),
    Route(
        "DELETE",
        "/v1/registries",
        remove_registry,
        query=LocationQuery,
        response=RegistriesResponse,
        summary="Remove a registry that was added",
    ),
    Route(
        "POST",
        "/v1/registries/test",
        test_registries,
        request=TestRegistriesRequest,
        response=RegistryTestsResponse,
        summary="Test the access to a registry; changes nothing in it",
    ),
]
