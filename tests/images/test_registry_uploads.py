"""How blobs are sent: as docker sends them, to registries that take parts of a blob, that take none, or that tell lies
of how far they are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.images.fault_registry import (
    FaultRegistry,
    at_most,
    broken_off,
    cut,
    digest,
    status,
    stuck,
    times,
    whole_only,
)

from roost.daemon.engines.registry import upload
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.errors import BlobDigestError, RegistryError
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.manifests import describe
from roost.daemon.oci.references import Reference, parse_reference

CHUNK = 64 * 1024
DATA = os.urandom(200_000)  # four chunks
WANTED = describe(DATA, "x")


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryClient]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    made = RegistryClient(RegistryConfig(retries=1, timeout=3.0, patience=1.5, chunk=CHUNK))
    yield made
    await made.close()


def ref(server: FaultRegistry) -> Reference:
    return parse_reference(f"{server.host}/x:one")


def patches(server: FaultRegistry) -> list[str | None]:
    """The parts that were sent; ``None``: said to be none."""
    return [headers.get("Content-Range") for method, _, headers in server.requests if method == "PATCH"]


async def test_a_blob_goes_in_one_piece_as_docker_sends_it(server: FaultRegistry, client: RegistryClient) -> None:
    assert await client.push_blob(ref(server), DATA, WANTED) == len(DATA)
    assert server.blobs[WANTED.digest] == DATA
    assert patches(server) == [None]
    sent = next(headers for method, _, headers in server.requests if method == "PATCH")
    assert sent["Content-Length"] == str(len(DATA))


async def test_an_empty_blob_needs_no_patch(server: FaultRegistry, client: RegistryClient) -> None:
    assert await client.push_blob(ref(server), b"", describe(b"", "x")) == 0
    assert server.blobs[digest(b"")] == b""
    assert patches(server) == []


async def test_a_registry_that_takes_no_parts_gets_none(server: FaultRegistry, client: RegistryClient) -> None:
    server.faults["PATCH "] = whole_only(server)
    assert await client.push_blob(ref(server), DATA, WANTED) == len(DATA)
    assert server.blobs[WANTED.digest] == DATA


@pytest.mark.parametrize("number", [200, 201, 202, 204])
async def test_every_status_that_registries_take_a_blob_with_will_do(
    server: FaultRegistry, client: RegistryClient, number: int
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = await server.honest(request)
        response.set_status(number)
        return response

    server.faults["PATCH "] = answer
    await client.push_blob(ref(server), DATA, WANTED)
    assert server.blobs[WANTED.digest] == DATA


async def test_a_range_that_never_grows_is_not_believed_of_what_was_taken(
    server: FaultRegistry, client: RegistryClient
) -> None:
    """Also where there are parts, since a proxy takes no more at once."""
    server.faults["PATCH "] = stuck(server, at_most(server, CHUNK))
    await client.push_blob(ref(server), DATA, WANTED)
    assert server.blobs[WANTED.digest] == DATA
    assert patches(server) == [None, "0-65535", "65536-131071", "131072-196607", "196608-199999"]


async def test_a_proxy_that_takes_little_at_once_gets_parts(server: FaultRegistry, client: RegistryClient) -> None:
    server.faults["PATCH "] = at_most(server, CHUNK)
    await client.push_blob(ref(server), DATA, WANTED)
    assert server.blobs[WANTED.digest] == DATA
    server.faults["PATCH "] = at_most(server, CHUNK - 1)
    del server.blobs[WANTED.digest]
    with pytest.raises(RegistryError, match="413"):
        await client.push_blob(ref(server), DATA, WANTED)


async def test_an_upload_that_breaks_off_goes_on_where_the_registry_is(
    server: FaultRegistry, client: RegistryClient
) -> None:
    server.faults["PATCH "] = times(1, broken_off(server, 110_000), server.honest)
    sent = await client.push_blob(ref(server), DATA, WANTED)
    assert server.blobs[WANTED.digest] == DATA
    assert server.count("POST", "/blobs/uploads/") == 1
    assert patches(server) == [None, "110000-199999"]
    assert sent >= len(DATA)


async def test_one_that_arrived_before_the_connection_broke_is_not_sent_again(
    server: FaultRegistry, client: RegistryClient
) -> None:
    server.faults["PATCH "] = times(1, broken_off(server, len(DATA)), server.honest)
    assert await client.push_blob(ref(server), DATA, WANTED) == len(DATA)
    assert server.blobs[WANTED.digest] == DATA
    assert patches(server) == [None]


async def test_one_that_can_t_be_gone_on_with_begins_anew(server: FaultRegistry, client: RegistryClient) -> None:
    server.faults["PATCH "] = times(1, broken_off(server, 110_000), whole_only(server))
    await client.push_blob(ref(server), DATA, WANTED)
    assert server.blobs[WANTED.digest] == DATA
    assert patches(server) == [None, "110000-199999", None]
    assert server.count("POST", "/blobs/uploads/") == 2


@pytest.mark.parametrize("told", ["0-0", "0-9999", "0-300000", "nonsense"])
@pytest.mark.parametrize("heeded", [True, False])
async def test_a_status_that_tells_lies_costs_a_new_upload_and_no_more(
    server: FaultRegistry, client: RegistryClient, told: str, *, heeded: bool
) -> None:
    """Whether the registry heeds ``Content-Range`` or puts everything behind what it has."""

    async def lie(request: web.Request) -> web.StreamResponse:
        response = await server.honest(request)
        response.headers["Range"] = told
        return response

    async def append(request: web.Request) -> web.StreamResponse:
        return await server.honest(request.clone(headers={}) if not heeded else request)

    server.faults["GET "] = lie
    server.faults["PATCH "] = times(1, broken_off(server, 110_000), append)
    await client.push_blob(ref(server), DATA, WANTED)
    assert server.blobs[WANTED.digest] == DATA
    assert server.count("POST", "/blobs/uploads/") == 2


async def test_a_connection_that_brings_nothing_is_not_tried_for_ever(
    server: FaultRegistry, client: RegistryClient
) -> None:
    server.faults["PATCH "] = cut
    with pytest.raises(RegistryError, match="can't be reached") as caught:
        await client.push_blob(ref(server), DATA, WANTED)
    assert caught.value.retryable
    assert len(patches(server)) == 2, "once more than at all"


@pytest.mark.parametrize(("much", "done"), [(10_000, True), (30_000, False)])
async def test_tries_that_bring_the_blob_on_are_not_counted(
    server: FaultRegistry, client: RegistryClient, monkeypatch: pytest.MonkeyPatch, much: int, *, done: bool
) -> None:
    monkeypatch.setattr(upload, "_PROGRESS_BYTES", much)
    server.faults["PATCH "] = times(9, broken_off(server, 20_000), server.honest)
    if done:
        await client.push_blob(ref(server), DATA, WANTED)
        assert server.count("POST", "/blobs/uploads/") == 1
    else:
        with pytest.raises(RegistryError, match="can't be reached"):
            await client.push_blob(ref(server), DATA, WANTED)


async def test_a_registry_that_counts_another_digest_is_told_of_at_once(
    server: FaultRegistry, client: RegistryClient
) -> None:
    server.faults["PUT "] = status(400)
    with pytest.raises(BlobDigestError):
        await client.push_blob(ref(server), DATA, WANTED)
    assert patches(server) == [None]


async def test_an_upload_that_the_registry_forgot_begins_anew(server: FaultRegistry, client: RegistryClient) -> None:
    data = os.urandom(100_000)

    async def forget(request: web.Request) -> web.StreamResponse:
        server.uploads.pop("u0", None)
        return await cut(request)

    server.faults["PATCH "] = times(1, forget, server.honest)
    await client.push_blob(ref(server), data, describe(data, "x"))
    assert server.blobs[digest(data)] == data
