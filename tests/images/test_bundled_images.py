"""Bundles of environments with a base image: loaded into an engine of a machine without any network."""

from __future__ import annotations

import os
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


def test_images_are_loaded_without_a_registry(
    new_machine: Machine,
    client: docker.DockerClient,
    other_client: docker.DockerClient,
    containerd_docker_host: str,
    shared_base: str,
) -> None:
    """One on a base image, and one with docker steps on it, whose layers exist on the first machine only."""
    roost = new_machine(registries=None)
    write_definition(roost, shared_base, 'steps = ["RUN echo stepped > /etc/stepped"]')
    os.renames(roost.folder / "roost.toml", roost.folder / "steps/roost.toml")
    write_definition(roost, shared_base)
    exported = roost.json("cache", "bundle", "export", ".", "steps", "-o", "b.roost")
    assert [each["target"] for each in exported["environments"]] == ["docker", "docker"]
    built = [roost.json("build", "-f", each)["build"]["artifacts"][0] for each in (".", "steps")]
    config = roost.config.read_text().partition("[conda.mirrors]")[0]
    offline = OfflineRoost(roost.folder, f'{config}[docker]\nhost = "{containerd_docker_host}"\n')
    try:
        offline.ok("cache", "bundle", "import", "b.roost", "--expect", exported["digest"])
        offline.json("cache", "bundle", "import", "b.roost")
        made = [offline.json("build", "-f", each)["build"]["artifacts"][0] for each in (".", "steps")]
        assert [each["digest"] for each in made] == [each["digest"] for each in built], "the same on every machine"
        assert offline.ok("run", "--", "python", "-c", VERSION).split() == ["1.16.0", "/opt/roost/env"]
        assert offline.ok("run", "-f", "steps", "--", "cat", "/etc/stepped") == "stepped\n"
    finally:
        offline.end()
    forget(client, *(each["reference"] for each in built))
    forget(other_client, *(each["reference"] for each in made))
