"""Routes about registries: which are in force, adding and removing, and what may be done with each."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Literal

import msgspec

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
from roost.daemon.services import SERVICES, Services
from roost.model.errors import LookupFailedError
from roost.wire.plans import Reason


class RegistriesResponse(msgspec.Struct, kw_only=True):
    """The workspace's registry first, then those that are only read, in the order in which they are asked."""

    registries: list[RegistryLocation]


class AddRegistryRequest(msgspec.Struct, kw_only=True):
    """``location``: ``HOST[:PORT][/PREFIX]``; ``insecure``: talk to it over plain http."""

    location: str
    kind: RegistryKind = "catalogue"
    insecure: bool = False


class LocationQuery(msgspec.Struct, kw_only=True):
    location: str


class TestRegistriesRequest(msgspec.Struct, kw_only=True):
    """``location`` left out: all of them."""

    location: str | None = None


class AnswerView(msgspec.Struct, kw_only=True):
    """``unknown`` is neither of the others: the registry could not be asked."""

    answer: Literal["yes", "no", "unknown"]
    reason: Reason | None = None


class RegistryTest(msgspec.Struct, kw_only=True):
    """``ok``: it can be used for what it is there for."""

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
    work, body = call.app[SERVICES], call.body
    place = RegistryLocation(location=normalize_location(body.location), kind=body.kind, insecure=body.insecure)
    await work.reloader.change_registries(partial(add_location, new=place))
    await work.events.append("registry-added", location=place.location, registry_kind=place.kind)
    return RegistriesResponse(registries=await work.reloader.list_registries())


async def remove_registry(call: Call[None]) -> RegistriesResponse:
    work, location = call.app[SERVICES], normalize_location(call.query(LocationQuery).location)
    await work.reloader.change_registries(partial(remove_location, location=location))
    await work.events.append("registry-removed", location=location)
    return RegistriesResponse(registries=await work.reloader.list_registries())


async def test_registries(call: Call[TestRegistriesRequest]) -> RegistryTestsResponse:
    work, wanted = call.app[SERVICES], call.body.location
    found = await work.reloader.list_registries()
    if wanted is not None:
        location = normalize_location(wanted)
        found = [place for place in found if place.location == location]
        if not found:
            raise LookupFailedError(f"There is no registry {location}", hint="`roost registry list` shows them.")
    return RegistryTestsResponse(tests=list(await asyncio.gather(*(_tested(work, place) for place in found))))


async def _tested(work: Services, place: RegistryLocation) -> RegistryTest:
    started = time.monotonic()
    probe = await (await work.engines.registry()).probe(lock_repository(place.location))
    read, write = _view(probe.read), _view(probe.write)
    return RegistryTest(
        location=place.location,
        kind=place.kind,
        read=read,
        write=write,
        ok=read.answer == "yes" and (write.answer == "yes" or place.kind == "catalogue"),
        seconds=round(time.monotonic() - started, 3),
    )


def _view(answer: Answer[None]) -> AnswerView:
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
        summary="Put a registry beside those of the config file",
    ),
    Route(
        "DELETE",
        "/v1/registries",
        remove_registry,
        query=LocationQuery,
        response=RegistriesResponse,
        summary="Take away a registry that was added",
    ),
    Route(
        "POST",
        "/v1/registries/test",
        test_registries,
        request=TestRegistriesRequest,
        response=RegistryTestsResponse,
        summary="Try what may be done with a registry; changes nothing in it",
    ),
]
