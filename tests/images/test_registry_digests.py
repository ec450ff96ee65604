"""What is fetched is checked by the algorithm that its digest names, and by no other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.images.fault_registry import FaultRegistry, digest

from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.errors import BlobDigestError
from roost.daemon.engines.registry.values import FetchedManifest, RegistryConfig
from roost.daemon.oci.answers import Answer, Unknown, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, Descriptor
from roost.daemon.oci.references import Reference, parse_reference

CONFIG = {"mediaType": "application/json", "digest": digest(b"{}"), "size": 2}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": []}).encode()
OTHER = MANIFEST + b" "


def long_digest(data: bytes) -> str:
    return "sha512:" + hashlib.sha512(data).hexdigest()


@pytest.fixture
async def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryClient]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    made = RegistryClient(RegistryConfig(retries=0, timeout=3.0))
    yield made
    await made.close()


def ref(server: FaultRegistry, wanted: str) -> Reference:
    return parse_reference(f"{server.host}/x:one").with_digest(wanted)


def sends(server: FaultRegistry, data: bytes, said: str | None) -> None:
    """Whatever manifest is asked for."""

    async def answer(request: web.Request) -> web.Response:
        headers = {"Content-Type": OCI_MANIFEST} | ({"Docker-Content-Digest": said} if said is not None else {})
        return web.Response(body=data, headers=headers)

    server.faults["GET "] = answer


def refused(answer: Answer[FetchedManifest]) -> bool:
    return isinstance(answer, Unknown) and answer.reason.code == "digest-mismatch"


@pytest.mark.parametrize("named", [digest, long_digest])
@pytest.mark.parametrize("said", [digest(MANIFEST), long_digest(MANIFEST), "", None])
async def test_a_manifest_is_what_its_digest_says(
    server: FaultRegistry, client: RegistryClient, named: Callable[[bytes], str], said: str | None
) -> None:
    sends(server, MANIFEST, said)
    found = await client.manifest(ref(server, named(MANIFEST)))
    assert isinstance(found, Yes)
    assert (found.value.digest, found.value.data) == (named(MANIFEST), MANIFEST)
    sends(server, OTHER, said and (digest(OTHER) if said.startswith("sha256") else long_digest(OTHER)))
    assert refused(await client.manifest(ref(server, named(MANIFEST))))


@pytest.mark.parametrize("said", [digest(OTHER), long_digest(OTHER), "sha384:00", "nonsense"])
async def test_a_registry_that_says_another_digest_than_it_sends_is_not_believed(
    server: FaultRegistry, client: RegistryClient, said: str
) -> None:
    sends(server, MANIFEST, said)
    for each in (parse_reference(f"{server.host}/x:one"), ref(server, digest(MANIFEST))):
        assert refused(await client.manifest(each))


async def test_a_manifest_by_tag_has_the_digest_that_its_registry_goes_by(
    server: FaultRegistry, client: RegistryClient
) -> None:
    sends(server, MANIFEST, long_digest(MANIFEST))
    reference = parse_reference(f"{server.host}/x:one")
    found = await client.manifest(reference)
    assert isinstance(found, Yes)
    assert found.value.digest == long_digest(MANIFEST)
    assert await client.push_manifest(reference, MANIFEST, OCI_MANIFEST) == digest(MANIFEST)


@pytest.mark.parametrize("named", [digest, long_digest])
async def test_a_small_blob_is_what_its_digest_says(
    server: FaultRegistry, client: RegistryClient, named: Callable[[bytes], str]
) -> None:
    wanted = Descriptor(media_type="x", digest=named(b"content"), size=7)
    reference = parse_reference(f"{server.host}/x:one")
    server.blobs[wanted.digest] = b"content"
    assert await client.read_blob(reference, wanted, 100) == b"content"
    server.blobs[wanted.digest] = b"another"
    with pytest.raises(BlobDigestError):
        await client.read_blob(reference, wanted, 100)
