"""The registry client against real registries: what it pushes is there, and each question has its one true answer."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.images.registries import Registries, RegistryProcess, free_port, registry

from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.errors import BlobDigestError, BlobMissingError, RegistryError
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.answers import No, Unknown, Yes
from roost.daemon.oci.manifests import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, describe
from roost.daemon.oci.references import Reference, parse_reference

# htpasswd -B of "secret"
SECRET = "$2y$04$IME7Jjb31qSvsOR8TPpPbeZ0A6WLN4QPOsn7GGKLHZQn3oVKx/UMq"


@pytest.fixture
async def client() -> AsyncIterator[RegistryClient]:
    made = RegistryClient(RegistryConfig(chunk=1 << 20, retries=1))
    yield made
    await made.close()


def at(process: RegistryProcess, name: str) -> Reference:
    return parse_reference(f"{process.host}/{name}")


def manifest(*layers: Descriptor, config: Descriptor) -> bytes:
    def entry(each: Descriptor) -> dict[str, object]:
        return {"mediaType": each.media_type, "digest": each.digest, "size": each.size}

    content = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": entry(config),
        "layers": list(map(entry, layers)),
    }
    return json.dumps(content).encode()


async def test_an_image_goes_there_and_back(client: RegistryClient, registries: Registries, tmp_path: Path) -> None:
    ref = at(registries.workspace, "team/image:one")
    blob = os.urandom(3 << 20 | 17)
    source = tmp_path / "layer"
    source.write_bytes(blob)
    layer, config = describe(blob, OCI_LAYER_GZIP), describe(b"{}", "application/vnd.oci.image.config.v1+json")
    assert await client.manifest(ref) == No()
    assert await client.has_blob(ref, layer.digest) == No()
    assert await client.push_blob(ref, str(source), layer) == len(blob)
    assert await client.push_blob(ref, str(source), layer) == 0
    assert await client.push_blob(ref, b"{}", config) == 2
    assert await client.has_blob(ref, layer.digest) == Yes(len(blob))
    data = manifest(layer, config=config)
    digest = await client.push_manifest(ref, data, OCI_MANIFEST)
    found = await client.manifest(ref)
    assert isinstance(found, Yes)
    assert (found.value.digest, found.value.data, found.value.media_type) == (digest, data, OCI_MANIFEST)
    assert await client.manifest(ref.with_digest(digest)) == found
    target = tmp_path / "fetched"
    await client.fetch_blob(ref, layer, str(target))
    assert target.read_bytes() == blob
    assert not (tmp_path / "fetched.partial").exists()


async def test_a_blob_is_mounted_from_another_repository_and_not_sent(
    client: RegistryClient, registries: Registries
) -> None:
    blob = os.urandom(100_000)
    layer = describe(blob, OCI_LAYER_GZIP)
    assert await client.push_blob(at(registries.workspace, "base"), blob, layer) == len(blob)
    assert await client.push_blob(at(registries.workspace, "team/a"), blob, layer, mount_from="base") == 0
    assert await client.has_blob(at(registries.workspace, "team/a"), layer.digest) == Yes(len(blob))
    # what is not there to be mounted is sent
    other = describe(b"other", OCI_LAYER_GZIP)
    assert await client.push_blob(at(registries.workspace, "team/a"), b"other", other, mount_from="base") == 5


async def test_an_index_is_led_to_the_platform_asked_for(client: RegistryClient, registries: Registries) -> None:
    ref = at(registries.workspace, "multi:latest")
    config = describe(b"{}", "application/vnd.oci.image.config.v1+json")
    await client.push_blob(ref, b"{}", config)
    entries = []
    for architecture in ("amd64", "arm64"):
        data = manifest(config=config)[:-1] + f', "annotations": {{"for": "{architecture}"}}}}'.encode()
        digest = await client.push_manifest(ref.with_tag(architecture), data, OCI_MANIFEST)
        platform = {"os": "linux", "architecture": architecture}
        entries.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": len(data), "platform": platform})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    await client.push_manifest(ref, index, OCI_INDEX)
    found = await client.manifest(ref, platform="linux/arm64/v8")
    assert isinstance(found, Yes)
    assert b"arm64" in found.value.data
    absent = await client.manifest(ref, platform="linux/s390x")
    assert isinstance(absent, No)
    assert absent.reason is not None
    assert absent.reason.code == "platform-missing"


async def test_mirrors_are_asked_in_place_of_the_host_and_never_written_to(registries: Registries) -> None:
    mirror, dead = registries.catalogue, f"127.0.0.1:{free_port()}"
    client = RegistryClient(RegistryConfig(mirrors={"example.org": (dead, f"{mirror.host}/copies")}, retries=0))
    try:
        blob = describe(b"{}", "application/json")
        await client.push_blob(at(mirror, "copies/team/a"), b"{}", blob)
        ref = parse_reference("example.org/team/a")
        assert await client.has_blob(ref, blob.digest) == Yes(2)
        absent = await client.has_blob(ref, "sha256:" + "0" * 64)
        assert isinstance(absent, Unknown), "one mirror says no, and of the other nothing is known"
        with pytest.raises(BlobMissingError):
            await client.fetch_blob(ref, describe(b"none", "x"), "/tmp/never")
    finally:
        await client.close()


async def test_a_password_comes_from_docker_s_config_or_helper_each_time(
    client: RegistryClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(users={"somebody": SECRET}) as locked:
        ref, blob = at(locked, "team/a"), describe(b"{}", "x")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        denied = await client.has_blob(ref, blob.digest)
        assert isinstance(denied, Unknown)
        assert denied.reason.code == "registry-denied"
        with pytest.raises(RegistryError):
            await client.push_blob(ref, b"{}", blob)
        pair = base64.b64encode(b"somebody:secret").decode()
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"auths": {locked.host: {"auth": pair}}}))
        assert await client.push_blob(ref, b"{}", blob) == 2
        assert await client.has_blob(ref, blob.digest) == Yes(2)
        config.write_text("{}")
        assert isinstance(await client.has_blob(ref, blob.digest), Unknown), "nothing is remembered"
        _helper(tmp_path, monkeypatch, locked.host)
        config.write_text(json.dumps({"credHelpers": {locked.host: "roost-test"}}))
        assert await client.has_blob(ref, blob.digest) == Yes(2)
        config.write_text(json.dumps({"credHelpers": {locked.host: "not-there"}}))
        failed = await client.has_blob(ref, blob.digest)
        assert isinstance(failed, Unknown)
        assert failed.reason.code == "registry-credentials"


def _helper(folder: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """A real credential helper: a program on PATH that speaks Docker's protocol."""
    answer = json.dumps({"ServerURL": host, "Username": "somebody", "Secret": "secret"})
    program = folder / "docker-credential-roost-test"
    program.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


async def test_a_registry_that_is_down_is_unknown_and_its_content_is_there_again_afterwards(
    client: RegistryClient, registries: Registries
) -> None:
    ref, blob = at(registries.workspace, "team/a"), describe(b"content", "x")
    await client.push_blob(ref, b"content", blob)
    registries.workspace.stop()
    down = await client.manifest(ref)
    assert isinstance(down, Unknown)
    assert down.reason.code == "registry-unreachable"
    with pytest.raises(RegistryError):
        await client.push_blob(ref, b"more", describe(b"more", "x"))
    registries.workspace.start()
    assert await client.has_blob(ref, blob.digest) == Yes(7)


async def test_what_has_another_digest_is_not_taken_by_the_registry(
    client: RegistryClient, registries: Registries
) -> None:
    ref = at(registries.workspace, "team/a")
    wrong = Descriptor(media_type="x", digest="sha256:" + "1" * 64, size=4)
    with pytest.raises(BlobDigestError):
        await client.push_blob(ref, b"four", wrong)
    with pytest.raises(BlobDigestError):
        await client.push_blob(ref, b"five!", wrong)
    assert await client.has_blob(ref, wrong.digest) == No()


async def test_a_probe_tells_what_may_be_done(client: RegistryClient, registries: Registries) -> None:
    probe = await client.probe(at(registries.workspace, "team/locks"))
    assert (probe.read, probe.write) == (Yes(None), Yes(None))
    nobody = await client.probe(parse_reference(f"127.0.0.1:{free_port()}/team/locks"))
    assert isinstance(nobody.read, Unknown)
    assert isinstance(nobody.write, Unknown)
