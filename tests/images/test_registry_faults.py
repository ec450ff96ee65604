"""Every way in which a registry fails, each against a server that does just that: never is one of them taken for no."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.images.fault_registry import (
    FaultRegistry,
    cut,
    digest,
    fault_registry,
    hang,
    status,
    times,
    truncated,
)

from roost.daemon.caller.redirects import RedirectRefusedError, check_redirect
from roost.daemon.engines.registry import auth as registry_auth
from roost.daemon.engines.registry import engine
from roost.daemon.engines.registry import http as registry_http
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.errors import (
    BlobDigestError,
    BlobMissingError,
    NotRegistryError,
    RegistryError,
    RegistryTimeoutError,
    RepositoryMissingError,
    TagMovedError,
)
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.answers import No, Unknown, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, Descriptor, describe
from roost.daemon.oci.references import Reference, parse_reference

CONFIG = {"mediaType": "application/json", "digest": digest(b"{}"), "size": 2}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": []}).encode()


@pytest.fixture
async def server() -> AsyncIterator[FaultRegistry]:
    async with fault_registry() as made:
        made.manifests["one"] = MANIFEST
        yield made


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryClient]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    made = RegistryClient(RegistryConfig(retries=1, timeout=3.0, patience=1.5, chunk=64 * 1024))
    yield made
    await made.close()


def ref(server: FaultRegistry, tag: str = "one") -> Reference:
    return parse_reference(f"{server.host}/x:{tag}")


def lying_digest(request: web.Request) -> web.Response:
    return web.Response(body=MANIFEST, headers={"Docker-Content-Digest": "sha256:" + "0" * 64})


async def lie(request: web.Request) -> web.Response:
    return lying_digest(request)


async def page(request: web.Request) -> web.Response:
    return web.Response(text="<html>Please log in to the hotel's network</html>", content_type="text/html")


async def both(request: web.Request) -> web.Response:
    content = {**json.loads(MANIFEST), "manifests": []}
    return web.json_response(content)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with_room = b"x" * 65536
    for _ in range(200):
        await response.write(with_room)
    return response


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (status(401), "registry-denied"),
        (status(401, WWW_Authenticate='Basic realm="x"'), "registry-denied"),
        (status(403), "registry-denied"),
        (status(429), "registry-busy"),
        (status(429, Retry_After="3600"), "registry-busy"),
        (status(500), "registry-broken"),
        (status(503), "registry-broken"),
        (status(418), "registry-invalid"),
        (status(302, Location="/v2/x/manifests/one"), "registry-invalid"),
        (status(302, Location="http://evil.example/x"), "registry-invalid"),
        (hang, "registry-timeout"),
        (cut, "registry-unreachable"),
        (lie, "digest-mismatch"),
        (page, "manifest-invalid"),
        (both, "manifest-invalid"),
        (endless, "manifest-invalid"),
        (truncated(MANIFEST, 20), "registry-unreachable"),
    ],
)
async def test_what_is_neither_yes_nor_no_is_unknown(
    server: FaultRegistry, client: RegistryClient, fault: Callable[..., object], code: str
) -> None:
    server.faults["GET /manifests/one"] = fault  # type: ignore[assignment]
    answer = await client.manifest(ref(server))
    assert isinstance(answer, Unknown), answer
    assert answer.reason.code == code
    assert server.host in answer.reason.message


async def test_404_is_no_from_a_registry_and_unknown_from_anything_else(
    server: FaultRegistry, client: RegistryClient
) -> None:
    assert await client.manifest(ref(server, "absent")) == No()
    assert await client.has_blob(ref(server), "sha256:" + "1" * 64) == No()
    async with fault_registry() as other:
        other.faults["GET /v2/"] = status(404)
        other.faults["GET /manifests/one"] = status(404)
        other.faults["HEAD "] = status(404)
        for answer in (await client.manifest(ref(other)), await client.has_blob(ref(other), digest(b""))):
            assert isinstance(answer, Unknown)
            assert answer.reason.code == "registry-invalid"
    async with fault_registry() as bare:  # a registry that says it without a body
        bare.faults["GET /manifests/one"] = status(404)
        assert await client.manifest(ref(bare)) == No()


async def test_a_registry_that_is_gone_behind_its_address_lacks_nothing(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an ingress says whose registry is away."""
    assert isinstance(await client.manifest(ref(server)), Yes)
    blob = describe(b"data", "x")
    monkeypatch.setattr(engine, "_TRUST_SECONDS", 0.0)

    async def nobody(request: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>default backend - 404</html>", content_type="text/html")

    server.faults["GET "] = server.faults["HEAD "] = nobody
    answers = [await client.manifest(ref(server)), await client.has_blob(ref(server), blob.digest)]
    assert [answer.reason.code for answer in answers if isinstance(answer, Unknown)] == ["registry-invalid"] * 2
    with pytest.raises(NotRegistryError):
        await client.fetch_blob(ref(server), blob, str(tmp_path / "blob"))
    with pytest.raises(NotRegistryError):
        await client.read_blob(ref(server), blob, 100)
    with pytest.raises(RegistryError):
        await client.push_blob(ref(server), b"data", blob)
    assert server.count("POST") == 0
    server.faults["GET /v2/"] = status(503)
    away = await client.has_blob(ref(server), blob.digest)
    assert isinstance(away, Unknown)


async def test_whether_a_registry_is_there_is_asked_once_for_many(
    server: FaultRegistry, client: RegistryClient
) -> None:
    blobs = [digest(str(number).encode()) for number in range(20)]
    server.faults["HEAD "] = status(404)
    assert await asyncio.gather(*(client.has_blob(ref(server), blob) for blob in blobs)) == [No()] * 20
    assert server.count("GET", "/v2/") == 1


async def test_retry_after_is_heeded_in_seconds_and_as_a_date(server: FaultRegistry, client: RegistryClient) -> None:
    server.faults["GET /manifests/one"] = times(1, status(429, Retry_After="1"), server.honest)
    started = time.monotonic()
    assert isinstance(await client.manifest(ref(server)), Yes)
    assert time.monotonic() - started >= 1
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.faults["GET /manifests/one"] = times(1, status(503, Retry_After=past), server.honest)
    assert isinstance(await client.manifest(ref(server)), Yes)


async def test_a_broken_moment_is_tried_again(server: FaultRegistry, client: RegistryClient) -> None:
    for fault in (status(502), cut):
        server.faults["GET /manifests/one"] = times(1, fault, server.honest)
        assert isinstance(await client.manifest(ref(server)), Yes)


async def test_a_redirect_to_another_host_gets_no_credentials(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    data = os.urandom(1000)
    pair = base64.b64encode(b"somebody:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": pair}}}))

    async def locked(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Basic {pair}":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return web.Response(status=307, headers={"Location": f"http://{store.host}/v2/x/blobs/{digest(data)}"})

    async with fault_registry() as store:
        store.blobs[digest(data)] = data
        server.faults["GET "] = locked
        await client.fetch_blob(ref(server), describe(data, "x"), str(tmp_path / "blob"))
        assert (tmp_path / "blob").read_bytes() == data
        [(_, _, headers)] = store.requests
        assert "Authorization" not in headers
        # a store that asks who we are is not told, though it sits behind a redirect
        store.faults["GET "] = status(401, WWW_Authenticate='Basic realm="y"')
        with pytest.raises(RegistryError):
            await client.fetch_blob(ref(server), describe(b"else", "x"), str(tmp_path / "other"))
        assert all("Authorization" not in headers for _, _, headers in store.requests)


async def test_a_registry_elsewhere_must_not_lead_to_this_machine(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the registry had another address than the places that it names: for a blob, and for a token."""

    async def check(source: str, target: str) -> None:
        await check_redirect("http://203.0.113.5", target)

    for module in (registry_http, registry_auth):
        monkeypatch.setattr(module, "check_redirect", check)
    inward = "http://127.0.0.1:1/latest/meta-data"
    challenge = f'Bearer realm="{inward}",service="x"'
    for fault in (status(307, Location=inward), status(401, WWW_Authenticate=challenge)):
        server.faults["GET "] = fault
        with pytest.raises(RedirectRefusedError):
            await client.fetch_blob(ref(server), describe(b"x", "x"), str(tmp_path / "blob"))


async def test_tokens_are_asked_for_with_the_scope_and_sent_only_to_the_registry(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    pair = base64.b64encode(b"somebody:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": pair}}}))

    async def locked(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == "Bearer good":
            return await server.honest(request)
        challenge = f'Bearer realm="http://{tokens.host}/token?a=b",service="the, registry",scope="repository:x:pull"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    async def token(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Basic {pair}"
        assert request.query["service"] == "the, registry"
        assert request.query["a"] == "b"
        assert request.query.getall("scope")[0].startswith("repository:x:pull")
        return web.json_response({"token": "good", "expires_in": 300})

    async with fault_registry() as tokens:
        tokens.faults["GET /token"] = token
        server.faults["GET "] = server.faults["HEAD "] = locked
        assert isinstance(await client.manifest(ref(server)), Yes)
        assert await client.has_blob(ref(server), "sha256:" + "1" * 64) == No()
        assert tokens.count("GET") == 1, "a token is good for a while"
        tokens.faults["GET /token"] = status(401)
        server.faults["GET "] = status(401, WWW_Authenticate=f'Bearer realm="http://{tokens.host}/token"')
        denied = await client.manifest(ref(server))
        assert isinstance(denied, Unknown)
        assert denied.reason.code == "registry-denied"
        assert "secret" not in denied.reason.message


async def test_a_token_is_not_fetched_in_the_clear(server: FaultRegistry, client: RegistryClient) -> None:
    server.faults["GET "] = status(401, WWW_Authenticate='Bearer realm="http://tokens.example/",service="x"')
    answer = await client.manifest(ref(server))
    assert isinstance(answer, Unknown)
    assert answer.reason.code == "registry-credentials"


async def test_an_identity_token_is_exchanged(server: FaultRegistry, client: RegistryClient, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"identitytoken": "long-lived"}}}))

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "long-lived")
        return web.json_response({"access_token": "good"})

    async def locked(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") == "Bearer good":
            return await server.honest(request)
        return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="http://{server.host}/token"'})

    server.faults["POST /token"] = token
    server.faults["GET "] = locked
    assert isinstance(await client.manifest(ref(server)), Yes)


async def test_a_truncated_blob_is_gone_on_with_where_it_broke_off(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    data = os.urandom(3_000_000)
    server.blobs[digest(data)] = data
    server.faults[f"GET {digest(data)}"] = times(1, truncated(data, 1_500_000), server.honest)
    await client.fetch_blob(ref(server), describe(data, "x"), str(tmp_path / "blob"))
    assert (tmp_path / "blob").read_bytes() == data
    ranges = [headers.get("Range") for method, _, headers in server.requests if method == "GET"]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 0


async def test_a_later_try_goes_on_with_what_an_earlier_one_left(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    data = os.urandom(2_000_000)
    server.faults["GET "] = truncated(data, 1_000_000)
    with pytest.raises(RegistryError):
        await client.fetch_blob(ref(server), describe(data, "x"), str(tmp_path / "blob"))
    assert not (tmp_path / "blob").exists()
    left = (tmp_path / "blob.partial").stat().st_size
    assert left > 0
    del server.faults["GET "]
    server.blobs[digest(data)] = data
    server.requests.clear()
    await client.fetch_blob(ref(server), describe(data, "x"), str(tmp_path / "blob"))
    assert (tmp_path / "blob").read_bytes() == data
    assert server.requests[0][2]["Range"] == f"bytes={left}-"


@pytest.mark.parametrize("size", [0, 1, 500, 1001, 5000])
async def test_other_bytes_than_the_digest_says_are_never_kept(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path, size: int
) -> None:
    good, sent = os.urandom(1000), os.urandom(size)
    server.blobs[digest(good)] = sent
    with pytest.raises(BlobDigestError):
        await client.fetch_blob(ref(server), describe(good, "x"), str(tmp_path / "blob"))
    assert list(tmp_path.iterdir()) == []


async def test_a_blob_that_is_not_there_is_missing_and_nothing_else(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    with pytest.raises(BlobMissingError):
        await client.fetch_blob(ref(server), describe(b"none", "x"), str(tmp_path / "blob"))
    server.faults["GET "] = hang
    with pytest.raises(RegistryTimeoutError):
        await client.fetch_blob(ref(server), describe(b"none", "x"), str(tmp_path / "blob"))


def _led_to(server: FaultRegistry, origin: str, pair: str) -> Callable[[web.Request], object]:
    """A registry that asks who we are and names where to send to by an absolute address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Basic {pair}":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        response = await server.honest(request)
        if "Location" in response.headers:
            response.headers["Location"] = origin + response.headers["Location"]
        return response

    return answer


async def test_an_upload_is_led_to_another_host_without_credentials_and_never_in_the_clear(
    server: FaultRegistry, client: RegistryClient, tmp_path: Path
) -> None:
    data = os.urandom(100_000)
    pair = base64.b64encode(b"somebody:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": pair}}}))

    def lead(origin: str) -> None:
        for method in ("GET ", "HEAD ", "POST ", "PATCH ", "PUT "):
            server.faults[method] = _led_to(server, origin, pair)  # type: ignore[assignment]

    lead(f"http://{server.host}")
    await client.push_blob(ref(server), data, describe(data, "x"))
    assert server.blobs.pop(digest(data)) == data
    async with fault_registry() as store:
        store.uploads = server.uploads
        lead(f"http://{store.host}")
        await client.push_blob(ref(server), data, describe(data, "x"))
        assert store.blobs[digest(data)] == data
        assert isinstance((await client.probe(ref(server))).write, Yes)
        store.faults["PATCH "] = status(401, WWW_Authenticate='Basic realm="y"')
        with pytest.raises(RegistryError):
            await client.push_blob(ref(server), data, describe(data, "x"))
        assert store.count("DELETE") == 1
        assert not [headers for _, _, headers in store.requests if "Authorization" in headers]
    lead("http://reg.example")
    with pytest.raises(RegistryError, match=r"http://reg\.example, which is not https") as caught:
        await client.push_blob(ref(server), data, describe(data, "x"))
    assert "proxy" in (caught.value.hint or "")
    denied = (await client.probe(ref(server))).write
    assert isinstance(denied, Unknown)


async def test_nothing_is_pushed_over_what_is_not_known(server: FaultRegistry, client: RegistryClient) -> None:
    server.faults["HEAD "] = status(500)
    with pytest.raises(RegistryError):
        await client.push_blob(ref(server), b"data", describe(b"data", "x"))
    assert server.count("POST") == 0


async def test_a_repository_that_must_be_made_first_is_told_so(server: FaultRegistry, client: RegistryClient) -> None:
    async def unnamed(request: web.Request) -> web.Response:
        return web.json_response({"errors": [{"code": "NAME_UNKNOWN", "message": "no such repository"}]}, status=404)

    for fault in (unnamed, status(404)):
        server.faults = {"POST ": fault, "PUT ": fault}
        for work in (
            client.push_blob(ref(server), b"data", describe(b"data", "x")),
            client.push_manifest(ref(server), MANIFEST, OCI_MANIFEST),
            client.mount_blob(ref(server), digest(b"other"), "y"),
        ):
            with pytest.raises(RepositoryMissingError, match=r"no repository x,.*404") as caught:
                await work
            assert "ECR" in (caught.value.hint or "")
        probed = (await client.probe(ref(server))).write
        assert isinstance(probed, Unknown)
        assert probed.reason.code == "repository-missing"

    async def unknown(request: web.Request) -> web.Response:
        return web.json_response({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}, status=404)

    server.faults = {"PUT ": unknown}
    with pytest.raises(BlobMissingError):
        await client.push_manifest(ref(server), MANIFEST, OCI_MANIFEST)


async def test_a_tag_that_names_something_else_after_it_was_written_is_told(
    server: FaultRegistry, client: RegistryClient
) -> None:
    async def swallow(request: web.Request) -> web.Response:
        return web.Response(status=201)

    server.faults["PUT /manifests/one"] = swallow
    with pytest.raises(TagMovedError):
        await client.push_manifest(ref(server), MANIFEST + b" ", OCI_MANIFEST)
    server.faults["PUT /manifests/two"] = swallow
    with pytest.raises(RegistryError):
        await client.push_manifest(ref(server, "two"), MANIFEST, OCI_MANIFEST)


async def test_a_server_without_tls_or_with_a_strange_certificate_is_not_trusted(client: RegistryClient) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no TLS\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = client._transport
    transport.plain = lambda host: False  # type: ignore[method-assign]
    async with server:
        answer = await client.manifest(parse_reference(f"{host}/x"))
    assert isinstance(answer, Unknown)
    assert answer.reason.code in ("registry-tls", "registry-unreachable")


async def test_memory_does_not_grow_with_a_blob(server: FaultRegistry, client: RegistryClient, tmp_path: Path) -> None:
    import tracemalloc

    data = os.urandom(1 << 20) * 64
    path = tmp_path / "source"
    path.write_bytes(data)
    wanted = describe(data, "x")
    del data

    async def drain(request: web.Request) -> web.StreamResponse:
        size = 0
        async for piece in request.content.iter_chunked(65536):
            size += len(piece)
        server.uploads["u0"] = bytearray()
        server.total = getattr(server, "total", 0) + size  # type: ignore[attr-defined]
        return web.Response(
            status=202,
            headers={"Location": "/v2/x/blobs/uploads/u0", "Range": f"0-{server.total - 1}"},  # type: ignore[attr-defined]
        )

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(wanted.size)})
        await response.prepare(request)
        with path.open("rb") as file:
            while block := file.read(65536):
                await response.write(block)
        return response

    server.faults["PATCH "] = drain
    server.faults["PUT "] = status(201)
    server.faults[f"GET {wanted.digest}"] = stream
    tracemalloc.start()
    try:
        assert await client.push_blob(ref(server), str(path), wanted) == wanted.size
        await client.fetch_blob(ref(server), wanted, str(tmp_path / "blob"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20, f"{peak >> 20} MiB for a blob of 64"
    assert (tmp_path / "blob").stat().st_size == wanted.size


def test_a_descriptor_tells_what_it_is_of() -> None:
    assert describe(b"{}", "x") == Descriptor(media_type="x", digest=digest(b"{}"), size=2)
