"""Bundles of environments with a base image: loaded into an engine of a machine without any network."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from tests.support.images.machines import Machine, forget, write_definition
from tests.support.offline import OfflineRoost

VERSION = "import six, sys; print(six.__version__, sys.prefix)"


@pytest.fixture
def other_client(containerd_docker_host: str) -> Iterator[docker.DockerClient]:
    """The other machine's engine: an image store that accepts complete images only."""
    made = docker.DockerClient(base_url=containerd_docker_host)
    yield made
    made.close()


def test_an_image_is_loaded_without_a_registry(
    new_machine: Machine,
    client: docker.DockerClient,
    other_client: docker.DockerClient,
    containerd_docker_host: str,
    shared_base: str,
) -> None:
    roost = new_machine(registries=None)
    write_definition(roost, shared_base)
    exported = roost.json("cache", "bundle", "export", "-o", "b.roost")
    assert [each["target"] for each in exported["environments"]] == ["docker"]
    built = roost.json("build")["build"]["artifacts"][0]
    config = roost.config.read_text().partition("[conda.mirrors]")[0]
    offline = OfflineRoost(roost.folder, f'{config}[docker]\nhost = "{containerd_docker_host}"\n')
    try:
        offline.ok("cache", "bundle", "import", "b.roost", "--expect", exported["digest"])
        offline.json("cache", "bundle", "import", "b.roost")
        made = offline.json("build")["build"]["artifacts"][0]
        assert made["digest"] == built["digest"], "the same image on every machine"
        assert offline.ok("run", "--", "python", "-c", VERSION).split() == ["1.16.0", "/opt/roost/env"]
    finally:
        offline.end()
    forget(client, built["reference"])
    forget(other_client, made["reference"])
