"""What others made of curated environments: their locks and images are looked up in the global registry."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import machine
from tests.support.images.prepared import lend_layers
from tests.support.images.registries import RegistryProcess, registry
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

DATED = 'name = "dated"\n{}\n[conda]\ndependencies = ["dated"]\n'
SHOW = ("cat", "/opt/roost/env/share/dated.txt")


@pytest.fixture
def place() -> Iterator[RegistryProcess]:
    """The global registry."""
    with registry() as made:
        yield made


@pytest.fixture
def older_channel(channel: Path) -> Iterator[Path]:
    """The channel's index before the newest ``dated`` came; the packages are the same files."""
    folder = Path(tempfile.mkdtemp(prefix="rch-", dir="/tmp"))
    for subdir in ("noarch", "linux-64"):
        (folder / subdir).mkdir()
        for file in (channel / subdir).iterdir():
            os.symlink(file, folder / subdir / file.name)
    index = folder / "noarch" / "repodata.json"
    content = json.loads(index.read_bytes())
    packages = content["packages.conda"]
    gone = [file for file, record in packages.items() if record["name"] == "dated" and record["version"] == "3.0"]
    assert gone
    for file in gone:
        del packages[file]
    index.unlink()
    index.write_text(json.dumps(content))
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def curator(channel: Path, index: PipIndex, place: RegistryProcess, docker_host: str | None = None) -> Iterator[Roost]:
    """Whoever keeps the catalogue works with the global registry as a workspace's."""
    text = f'[registries]\nworkspace = "{place.host}/team"\n'
    with machine(channel.as_uri(), index, docker_host, extra=text) as roost:
        yield roost


@contextlib.contextmanager
def user(channel: Path, index: PipIndex, place: RegistryProcess, docker_host: str | None = None) -> Iterator[Roost]:
    text = f'[registries]\ncatalogues = ["{place.host}/team"]\n'
    with machine(channel.as_uri(), index, docker_host, extra=text) as roost:
        yield roost


def published(roost: Roost, place: RegistryProcess, base: str = "") -> None:
    roost.write("roost.toml", DATED.format(base))
    roost.ok("env", "register")
    assert roost.json("curated", "publish", "dated", "--registry", f"{place.host}/team")["name"] == "Roost-dated"


def codes(plan: dict) -> list[str]:
    return [reason["code"] for reason in plan["reasons"]]


def tags(place: RegistryProcess) -> set[str]:
    return {str(path.relative_to(place.folder)) for path in (place.folder / "data").rglob("_manifests/tags/*")}


def test_the_lock_of_a_curated_one_is_the_global_registry_s(
    channel: Path, older_channel: Path, pip_index: PipIndex, place: RegistryProcess
) -> None:
    with curator(older_channel, pip_index, place) as first, user(channel, pip_index, place) as second:
        published(first, place)
        made = {name: _built(first, name) for name in ("dated", "Roost-Minimal")}
        before = tags(place)
        second.ok("curated", "sync")
        plan = second.json("plan", "-e", "Roost-dated")
        assert plan["lock_digest"] == made["dated"]
        assert codes(plan["plans"][0])[0] == "lock-shared-registry"
        assert _built(second, "Roost-dated") == made["dated"], "though a newer one is in its channel"
        assert _built(second, "Roost-Minimal") == made["Roost-Minimal"]
        assert tags(place) == before, "a catalogue is only read"
        second.ok("env", "clone", "Roost-dated", "mine")
        assert second.json("plan", "-e", "mine")["plans"][0]["action"] == "reuse-prefix"


def _built(roost: Roost, name: str) -> str:
    digest: str = roost.json("build", "-t", "local", "-e", name)["build"]["lock_digest"]
    return digest


def test_the_image_of_a_curated_one_is_pulled_from_the_global_registry(
    channel: Path,
    pip_index: PipIndex,
    place: RegistryProcess,
    docker_host: str,
    base_image: str,
    registry_with_bases: Path,
) -> None:
    lend_layers(registry_with_bases, place, "base")
    client = docker.DockerClient(base_url=docker_host)
    base = f"{place.host}/base"
    client.images.get(base_image).tag(base, "1")
    assert "error" not in client.images.push(base, "1")
    client.images.remove(f"{base}:1")
    with curator(channel, pip_index, place) as first, user(channel, pip_index, place, docker_host) as second:
        published(first, place, f'[base]\nimage = "{base}:1"')
        pushed = first.json("image", "push", "-e", "dated")["build"]["artifacts"][0]
        second.ok("curated", "sync")
        [plan] = second.json("plan", "-e", "Roost-dated")["plans"]
        assert (plan["target"], plan["action"]) == ("docker", "pull-image"), plan
        assert "image-in-catalogue" in codes(plan)
        assert plan["artifact"]["digest"] == pushed["digest"]
        assert second.ok("run", "-e", "Roost-dated", "--", *SHOW) == "3\n"
        run = second.json("runs", "list")["runs"][0]
        assert run["environment"] == {"name": "Roost-dated", "version": 1}
        client.images.remove(pushed["digest"], force=True)
    client.close()
