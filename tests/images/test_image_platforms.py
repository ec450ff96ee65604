"""Images for another platform: assembled and pushed without an engine, and refused by engines that can't run them."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from tests.support.images.machines import machine
from tests.support.images.registries import Registries, RegistryProcess, registry
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.manifests import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, describe
from roost.daemon.oci.references import parse_reference
from roost.daemon.oci.target_platforms import can_run

DEFINITION = """name = "far"
[base]
image = "{base}"
platform = "linux/arm64"
[conda]
dependencies = ["python=3.11", "dated"]
[pip]
requirements = ["greet"]
"""
Machine = Callable[[str | None], Roost]


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0")
    yield index
    index.close()


@pytest.fixture
def new_machine(channel_url: str, pip_index: PipIndex, registries: Registries) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:
        yield lambda host: stack.enter_context(machine(channel_url, pip_index, host, registries=registries))


def entry(each: Descriptor) -> dict[str, object]:
    return {"mediaType": each.media_type, "digest": each.digest, "size": each.size}


def arm_layer() -> tuple[bytes, str]:
    """A layer with one file, and its diff_id."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo("etc/far")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"far\n"))
    return gzip.compress(archive.getvalue(), mtime=0), "sha256:" + hashlib.sha256(archive.getvalue()).hexdigest()


@pytest.fixture
async def arm_base(registries: Registries) -> str:
    """A base image for arm64 in the global registry."""
    client = RegistryClient(RegistryConfig())
    reference = parse_reference(f"{registries.catalogue.host}/far:1")
    layer, diff_id = arm_layer()
    run = {"Env": ["PATH=/usr/bin:/bin"]}
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    config = json.dumps({"architecture": "arm64", "os": "linux", "config": run, "rootfs": rootfs}).encode()
    content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": entry(describe(config, OCI_CONFIG))}
    content["layers"] = [entry(describe(layer, OCI_LAYER_GZIP))]
    await client.push_blob(reference, layer, describe(layer, OCI_LAYER_GZIP))
    await client.push_blob(reference, config, describe(config, OCI_CONFIG))
    await client.push_manifest(reference, json.dumps(content).encode(), OCI_MANIFEST)
    await client.close()
    return str(reference)


def blob(registry: RegistryProcess, digest: str) -> bytes:
    name = digest.removeprefix("sha256:")
    return (registry.folder / f"data/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data").read_bytes()


def files_of(registry: RegistryProcess, layers: list[dict[str, Any]]) -> set[str]:
    found: set[str] = set()
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(blob(registry, layer["digest"]))) as tar:
            found |= set(tar.getnames())
    return found


async def test_an_image_for_another_platform_is_made_and_pushed_without_an_engine(
    new_machine: Machine, arm_base: str, registries: Registries, channel_url: str
):
    pushed = []
    for _ in range(2):
        roost = new_machine(None)
        roost.write("roost.toml", DEFINITION.format(base=arm_base))
        pushed.append(roost.json("image", "push")["build"]["artifacts"][0])
        shown = roost.json("image", "show")
        assert (shown["platform"], shown["exists_in_registry"]) == ("linux-aarch64", True)
    assert pushed[0] == pushed[1]
    workspace = registries.workspace
    manifest = json.loads(blob(workspace, pushed[0]["manifest_digest"]))
    assert manifest["config"]["digest"] == pushed[0]["digest"]
    config = json.loads(blob(workspace, pushed[0]["digest"]))
    assert (config["os"], config["architecture"]) == ("linux", "arm64")
    layers = manifest["layers"]
    diff_ids = ["sha256:" + hashlib.sha256(gzip.decompress(blob(workspace, x["digest"]))).hexdigest() for x in layers]
    assert config["rootfs"]["diff_ids"] == diff_ids
    names = files_of(workspace, layers)
    assert {"etc/far", "opt/roost/env/lib/readme.txt", "opt/roost/env/share/dated.txt"} <= names
    assert "opt/roost/env/lib/python3.11/site-packages/greet.py" in names


async def test_two_roots_that_share_nothing_make_the_same_image_for_another_platform(
    new_machine: Machine, arm_base: str, channel_url: str, pip_index: PipIndex
):
    """Each with a workspace of its own, so that neither takes the other's."""
    digests = []
    for _ in range(2):
        with registry() as own, machine(channel_url, pip_index, None) as roost:
            roost.config.write_text(roost.config.read_text() + f'[registries]\nworkspace = "{own.host}/team"\n')
            roost.write("roost.toml", DEFINITION.format(base=arm_base))
            artifact = roost.json("image", "push")["build"]["artifacts"][0]
            digests.append((artifact["digest"], artifact["manifest_digest"]))
    assert digests[0] == digests[1]


async def test_an_engine_that_can_not_run_another_platforms_image_says_so(
    new_machine: Machine, arm_base: str, docker_host: str
):
    if can_run("linux/arm64", "linux/amd64"):
        pytest.skip("this machine emulates arm64")
    roost = new_machine(docker_host)
    roost.write("roost.toml", DEFINITION.format(base=arm_base))
    [artifact] = roost.json("build")["build"]["artifacts"]
    refused = roost.failed(125, "run", "--", "python", "-c", "pass")
    assert refused["code"] == "image-platform"
    assert "linux/arm64" in refused["message"]
    assert "linux/amd64" in refused["message"]
    plain = roost.failed(125, "run", "--image", artifact["reference"], "--", "true")
    assert plain["code"] == "image-platform"
    with contextlib.closing(docker.DockerClient(base_url=docker_host)) as client:
        assert client.images.get(artifact["reference"]).attrs["Architecture"] == "arm64"
        assert client.containers.list(all=True, ignore_removed=True, filters={"ancestor": artifact["reference"]}) == []
        client.images.remove(artifact["reference"], force=True)


async def test_what_the_engine_has_of_another_platform_is_not_what_a_tag_means_here(
    new_machine: Machine, arm_base: str, docker_host: str, base_image: str
):
    if can_run("linux/arm64", "linux/amd64"):
        pytest.skip("this machine emulates arm64")
    repository, _, tag = arm_base.rpartition(":")
    roost = new_machine(docker_host)
    with contextlib.closing(docker.DockerClient(base_url=docker_host)) as client:
        other = client.images.pull(repository, tag, platform="linux/arm64")
        refused = roost.failed(125, "run", "--image", arm_base, "--", "true")
        assert refused["code"] == "image-platform"
        roost.write("roost.toml", f'[base]\nimage = "{arm_base}"\nplatform = "linux/aarch64"\n')
        assert roost.json("plan")["plans"][0]["action"] == "reuse-image", "the same under another name"
        client.images.remove(other.id, force=True)
        assert roost.json("build")["build"]["artifacts"][0]["digest"] == other.id
        client.images.get(base_image).tag(repository, tag)
        assert "error" not in client.images.push(repository, tag)
        client.images.remove(arm_base)
        client.images.get(other.id).tag(repository, tag)
        assert roost.ok("run", "--image", arm_base, "--", "uname", "-s") == "Linux\n"
        client.images.remove(other.id, force=True)


@pytest.mark.parametrize(
    ("image", "engine", "runs"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/386", "linux/amd64", True),
        ("linux/arm/v7", "linux/arm64", True),
        ("windows/amd64", "linux/amd64", False),
        ("linux/nonesuch", "linux/amd64", False),
    ],
)
def test_what_runs_where(image: str, engine: str, runs: bool):
    assert can_run(image, engine) is runs
