"""From ``roost.toml`` to a container: the decision and its execution for images, with a real engine and channel."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import docker
import pytest
from image_machines import machine, write_numpy
from pip_index import PipIndex
from roost_process import Roost

VERSION = "import numpy, sys; print(numpy.__version__, sys.prefix)"
Machine = Callable[..., Roost]


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    yield index
    index.close()


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    made = docker.DockerClient(base_url=docker_host)
    yield made
    made.close()


@pytest.fixture
def new_machine(channel_url: str, pip_index: PipIndex, docker_host: str) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:

        def make(**options) -> Roost:
            return stack.enter_context(machine(channel_url, pip_index, docker_host, **options))

        yield make


def forget(client: docker.DockerClient, *names: str) -> None:
    for name in names:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.remove(name, force=True)


def test_a_definition_with_a_base_becomes_an_image_that_runs_and_is_reused(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    write_numpy(roost, base_image)
    [first] = roost.json("plan")["plans"]
    assert (first["target"], first["action"]) == ("docker", "build-image")
    assert [step["kind"] for step in first["steps"]] == ["solve", "base", "download", "layers", "load"]
    built = roost.json("build")["build"]
    [artifact] = built["artifacts"]
    assert (built["state"], built["generation"], artifact["kind"]) == ("succeeded", 1, "image")
    image = client.images.get(artifact["reference"])
    assert image.id == artifact["digest"]
    assert image.labels["org.roost.definition"] == built["definition_digest"]
    assert image.labels["org.roost.lock"] == built["lock_digest"]
    assert roost.ok("run", "--", "python", "-c", VERSION).split() == ["1.26.4", "/opt/roost/env"]
    [again] = roost.json("plan")["plans"]
    assert (again["action"], again["artifact"]["digest"]) == ("reuse-image", image.id)
    assert roost.json("build")["build"]["state"] == "not-needed"
    [run] = roost.json("runs", "list")["runs"]
    assert (run["lock_digest"], run["generation"]) == (built["lock_digest"], 1)
    forget(client, artifact["reference"])
