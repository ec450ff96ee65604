"""An engine with containerd's store of images, which calls them by their manifests and takes whole ones only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import machine, write_definition
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, clone

from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.ids import config_reference
from roost.daemon.engines.docker.values import DockerConfig
from roost.daemon.jobs.progress import Silent

BASE = "roost-test/base:bookworm"
SIX = ("run", "--", "python", "-c", "import six; print(six.__version__)")
Machine = Callable[..., Roost]


@pytest.fixture
def client(containerd_docker_host: str) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=containerd_docker_host)
    yield made
    made.close()


@pytest.fixture
def new_machine(channel_url: str, containerd_docker_host: str, conda_packages: Path) -> Iterator[Machine]:
    index = PipIndex()
    with contextlib.ExitStack() as stack:
        stack.callback(index.close)

        def make(
            registries: Registries | None = None, host: str = containerd_docker_host, *, bare: bool = False
        ) -> Roost:
            roost = stack.enter_context(machine(channel_url, index, host, registries))
            if not bare:
                clone(conda_packages, roost.root / "packages")
            return roost

        yield make


def forget(client: docker.DockerClient, *digests: str) -> None:
    """All names of the images: the last one takes each with it."""
    for image in client.images.list():
        if set(image.tags) & {config_reference(digest) for digest in digests}:
            client.images.remove(image.id, force=True)


async def test_an_image_is_known_by_its_config_whatever_the_engine_calls_it(
    containerd_docker_host: str, client: docker.DockerClient, tmp_path: Path
):
    engine = DockerEngine(DockerConfig(host=containerd_docker_host), str(tmp_path))
    assert (await engine.facts()).containerd
    image = await engine.images.find(BASE)
    assert image is not None
    assert image.id != client.images.get(BASE).id
    exported = await engine.images.export(image.id, str(tmp_path), image.diff_ids)
    assert sorted(exported.layers) == sorted(image.diff_ids), "the plain tars, though the store has them compressed"
    assert await engine.images.find(image.id) is not None
    assert (await engine.images.find(client.images.get(BASE).id) or image).id == image.id
    made = await engine.build_steps(image.id, ["RUN echo made > /made"], progress=Silent())
    above = await engine.images.find(made)
    assert above is not None
    assert (above.id, above.diff_ids[:1]) == (made, image.diff_ids)
    assert await engine.containers.find_in_image(made, ("/made",), ()) == "/made"
    forget(client, made)
    engine.close()


def test_an_environment_on_an_image_that_has_one_is_its_lock_alone(new_machine: Machine, client: docker.DockerClient):
    roost = new_machine()
    write_definition(roost, BASE)
    below = roost.json("build")["build"]["artifacts"][0]
    roost.write("Dockerfile", f"FROM {below['reference']}\n")
    packages = '[conda]\ndependencies = ["python=3.11", "greeting"]\n'
    roost.write("roost.toml", f'[base]\ndockerfile = "Dockerfile"\n{packages}')
    above = roost.json("build")["build"]["artifacts"][0]
    check = "import greeting, importlib.util as u; print(u.find_spec('six'))"
    assert roost.ok("run", "--", "python", "-c", check) == "None\n"
    forget(client, above["digest"], below["digest"])


def test_an_image_is_built_reused_and_comes_back_after_a_prune(new_machine: Machine, client: docker.DockerClient):
    roost = new_machine()
    write_definition(roost, BASE, 'steps = ["RUN date +%N > /made"]')
    first = roost.json("build")["build"]["artifacts"][0]
    assert roost.ok(*SIX) == "1.16.0\n"
    made = roost.ok("run", "--", "cat", "/made")
    [plan] = roost.json("plan")["plans"]
    assert (plan["action"], plan["artifact"]["digest"]) == ("reuse-image", first["digest"])
    forget(client, first["digest"])
    [plan] = roost.json("plan")["plans"]
    assert "image-missing" in [reason["code"] for reason in plan["reasons"]]
    assert roost.ok("run", "--", "cat", "/made") == made, "the steps did not run again"
    process = roost.start("run", "--", "sleep", "60")
    while not (holders := _held(roost, first["digest"])):
        assert process.poll() is None
    assert holders[0].startswith("container:")
    process.terminate()
    process.wait(30)
    forget(client, first["digest"])


def _held(roost: Roost, digest: str) -> list[str]:
    rows = [row for row in roost.json("cache", "df")["artifacts"] if row["kind"] == "image"]
    return [each for row in rows for each in row["protected_by"] if each.startswith("container:")]


@pytest.mark.long
def test_an_image_is_the_same_as_in_another_engine_and_is_pushed_and_pulled(
    new_machine: Machine,
    client: docker.DockerClient,
    docker_host: str,
    base_image: str,
    registries: Registries,
):
    name = f"{registries.catalogue.host}/base:1"
    client.images.get(BASE).tag(name)
    client.images.push(name)
    here, other = new_machine(registries), new_machine(registries)
    classic = new_machine(registries, docker_host, bare=True)  # it unpacks and compiles all by itself
    for roost in (here, classic, other):
        write_definition(roost, name)
    pushed = here.json("image", "push")["build"]["artifacts"][0]
    assert here.ok(*SIX) == "1.16.0\n"
    assert classic.json("build")["build"]["artifacts"][0]["digest"] == pushed["digest"]
    assert classic.ok(*SIX) == "1.16.0\n"
    forget(client, pushed["digest"])
    [plan] = other.json("plan")["plans"]
    assert (plan["action"], plan["artifact"]["digest"]) == ("pull-image", pushed["digest"])
    assert other.ok(*SIX) == "1.16.0\n"
    assert other.ok("run", "--image", name, "--", "echo", "as it is") == "as it is\n"
    forget(client, pushed["digest"])
