"""Publishing to registries that fail, and beside others who write at that very moment; none does so on command."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from tests.support.images.catalogues import entry, sound
from tests.support.images.fault_registry import FaultRegistry, Handler, OneEngine, cut, status, times

from roost.daemon.curated import registry
from roost.daemon.curated.catalogue import (
    TAG,
    Catalogue,
    CatalogueEntry,
    CatalogueInvalidError,
    decode_catalogue,
    encode_catalogue,
)
from roost.daemon.curated.registry import CatalogueBusyError, CataloguePublication, CatalogueRegistry
from roost.daemon.curated.validation import read_versions
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.model.errors import ServiceUnreachableError

LOOK, WRITE = f"GET /manifests/{TAG}", f"PUT /manifests/{TAG}"


@pytest.fixture
async def catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CatalogueRegistry]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = RegistryClient(RegistryConfig(retries=0, timeout=3.0))
    yield CatalogueRegistry(cast("Engines", OneEngine(client)))
    await client.close()


async def check(catalogue: Catalogue, location: str) -> None:
    read_versions(catalogue, location)


def publish(catalogues: CatalogueRegistry, server: FaultRegistry) -> Awaitable[CataloguePublication]:
    return catalogues.publish(f"{server.host}/team", lambda number: entry("Roost-Mine", number), check)


def hold(server: FaultRegistry, *entries: CatalogueEntry) -> None:
    """What the registry has from now on, whoever wrote it."""
    artifact = encode_catalogue(Catalogue(entries=entries))
    for descriptor, data in artifact.blobs:
        server.blobs[descriptor.digest] = data
    server.manifests[TAG] = artifact.manifest


def held(server: FaultRegistry) -> list[str]:
    layer = json.loads(server.manifests[TAG])["layers"][0]["digest"]
    return [f"{each.name}:{each.version}" for each in decode_catalogue(server.blobs[layer], "there").entries]


FAULTS: dict[str, tuple[Handler, str]] = {
    "401": (status(401), "registry-denied"),
    "403": (status(403), "registry-denied"),
    "429": (status(429, Retry_After="9999"), "registry-busy"),
    "500": (status(500), "registry-broken"),
    "503": (status(503), "registry-broken"),
    "cut": (cut, "registry-unreachable"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_can_not_be_asked_is_not_taken_for_absent(
    server: FaultRegistry, catalogues: CatalogueRegistry, fault: str
) -> None:
    hold(server, entry())
    server.faults[LOOK], code = FAULTS[fault]
    for doing in (catalogues.fetch(f"{server.host}/team"), publish(catalogues, server)):
        with pytest.raises(ServiceUnreachableError) as caught:
            await doing
        assert (caught.value.exit_status, caught.value.code) == (6, "registry-unknown")
        assert caught.value.fields["reason"] == code
    assert server.count("PUT") == 0
    assert held(server) == ["Roost-Made:1"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_second_look_that_fails_stops_the_write(
    server: FaultRegistry, catalogues: CatalogueRegistry, fault: str
) -> None:
    hold(server, entry())
    server.faults[LOOK] = times(1, server.honest, FAULTS[fault][0])
    with pytest.raises(ServiceUnreachableError):
        await publish(catalogues, server)
    assert server.count("PUT", TAG) == 0
    assert held(server) == ["Roost-Made:1"]


@pytest.mark.parametrize("fault", ["401", "500", "cut"])
async def test_a_write_that_fails_is_told(server: FaultRegistry, catalogues: CatalogueRegistry, fault: str) -> None:
    hold(server, entry())
    server.faults[WRITE] = FAULTS[fault][0]
    with pytest.raises(ServiceUnreachableError) as caught:
        await publish(catalogues, server)
    assert caught.value.exit_status == 6
    assert held(server) == ["Roost-Made:1"]
    server.faults.clear()
    assert (await publish(catalogues, server)).added
    assert held(server) == ["Roost-Made:1", "Roost-Mine:1"]


def after(server: FaultRegistry, count: int, change: Callable[[], None]) -> Handler:
    """``change`` happens right behind the ``count``-th request, once."""
    reached = [0]

    async def answer(request: web.Request) -> web.StreamResponse:
        response = await server.honest(request)
        reached[0] += 1
        if reached[0] == count:
            change()
        return response

    return answer


async def test_who_wrote_between_look_and_write_is_kept(server: FaultRegistry, catalogues: CatalogueRegistry) -> None:
    hold(server, entry())
    server.faults[LOOK] = after(server, 1, lambda: hold(server, entry(), entry("Roost-Mine", 1, "toml")))
    published = await publish(catalogues, server)
    assert (published.entry.version, published.added) == (2, True)
    assert held(server) == ["Roost-Made:1", "Roost-Mine:1", "Roost-Mine:2"]


@pytest.mark.parametrize(("request_kind", "count"), [(WRITE, 1), (LOOK, 3)])
async def test_who_wrote_over_ours_is_kept_and_ours_is_added_again(
    server: FaultRegistry, catalogues: CatalogueRegistry, request_kind: str, count: int
) -> None:
    """The other one looked before we wrote, and wrote after us: at once, or when we had read ours back."""
    hold(server, entry())
    theirs = entry(), entry("Roost-Mine", 1, "toml")
    server.faults[request_kind] = after(server, count, lambda: hold(server, *theirs))
    published = await publish(catalogues, server)
    assert published.added
    assert held(server) == ["Roost-Made:1", "Roost-Mine:1", "Roost-Mine:2"]


async def test_the_same_published_by_another_meanwhile_is_one_version(
    server: FaultRegistry, catalogues: CatalogueRegistry
) -> None:
    server.faults[LOOK] = after(server, 1, lambda: hold(server, entry("Roost-Mine", 1)))
    assert (await publish(catalogues, server)).entry.version == 1
    assert held(server) == ["Roost-Mine:1"]


async def test_who_is_written_over_for_ever_gives_up(
    server: FaultRegistry, catalogues: CatalogueRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_ATTEMPTS", 3)

    async def lost(request: web.Request) -> web.StreamResponse:
        response = await server.honest(request)
        hold(server, entry())
        return response

    server.faults[WRITE] = lost
    with pytest.raises(CatalogueBusyError) as caught:
        await publish(catalogues, server)
    assert (caught.value.exit_status, caught.value.retryable) == (6, True)
    assert held(server) == ["Roost-Made:1"]


async def test_content_that_is_missing_or_another_is_malformed_and_not_written_over(
    server: FaultRegistry, catalogues: CatalogueRegistry
) -> None:
    hold(server, entry())
    layer = json.loads(server.manifests[TAG])["layers"][0]["digest"]
    data = server.blobs.pop(layer)
    for change in (None, data.replace(b"six", b"sex"), data + b" "):
        if change is not None:
            server.blobs[layer] = change
        with pytest.raises(CatalogueInvalidError) as caught:
            await publish(catalogues, server)
        assert server.host in caught.value.message
    server.manifests[TAG] = json.dumps(sound()).encode()
    with pytest.raises(CatalogueInvalidError):
        await publish(catalogues, server)
    assert server.count("PUT", TAG) == 0
