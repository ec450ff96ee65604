"""A base image's Python variables do not beat the lock: neither in `docker run` of the image nor in a run."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from tests.support.images.machines import Machine, forget, of_this_test, write_definition

SHOW = "import os, site, six; print(six.__version__, os.environ.get('PYTHONPATH'), site.ENABLE_USER_SITE)"


@pytest.fixture
def hostile_base(client: docker.DockerClient, base_image: str) -> Iterator[str]:
    """The base image with a module of the lock, and variables that put it before the lock's."""
    container = client.containers.create(base_image, ["sh", "-c", "mkdir /old && echo __version__ = 0 >/old/six.py"])
    try:
        container.start()
        container.wait()
        changes = ["ENV PYTHONPATH=/old", "ENV PYTHONHOME=/old", "ENV PYTHONEXECUTABLE=/old/python", "ENV KEPT=1"]
        image = container.commit(f"hostile-{of_this_test()}", "1", changes=changes)
    finally:
        container.remove(force=True)
    yield image.tags[0]
    forget(client, image.tags[0])  # by name: images that were made on it may still be there


def _variables(client: docker.DockerClient, reference: str) -> dict[str, str]:
    lines = client.images.get(reference).attrs["Config"]["Env"]
    return dict(line.partition("=")[::2] for line in lines)


def test_variables_of_the_base_are_cleared_in_the_image_itself(
    new_machine: Machine, client: docker.DockerClient, hostile_base: str
) -> None:
    roost = new_machine()
    write_definition(roost, hostile_base)
    [artifact] = roost.json("build")["build"]["artifacts"]
    variables = _variables(client, artifact["reference"])
    assert variables["KEPT"] == "1"
    assert not variables.keys() & {"PYTHONPATH", "PYTHONHOME", "PYTHONEXECUTABLE"}
    plain = client.containers.run(artifact["reference"], ["python", "-c", SHOW], remove=True)
    assert plain.decode().split()[:2] == ["1.16.0", "None"]
    assert roost.ok("run", "--", "python", "-c", SHOW).split() == ["1.16.0", "None", "False"]
    assert roost.ok("run", "--var", "PYTHONNOUSERSITE=", "--", "python", "-c", SHOW).split()[2] == "True"
    forget(client, artifact["reference"])


def test_what_the_definitions_own_steps_set_stays(
    new_machine: Machine, client: docker.DockerClient, hostile_base: str
) -> None:
    roost = new_machine()
    write_definition(roost, hostile_base, f'steps = ["RUN true # {of_this_test()}", "ENV PYTHONPATH=/mine"]')
    [artifact] = roost.json("build")["build"]["artifacts"]
    variables = _variables(client, artifact["reference"])
    assert variables["PYTHONPATH"] == "/mine"
    assert "PYTHONHOME" not in variables
    assert roost.ok("run", "--", "python", "-c", SHOW).split() == ["1.16.0", "/mine", "False"]
    forget(client, artifact["reference"])


def test_an_image_of_the_user_keeps_its_variables(
    new_machine: Machine, client: docker.DockerClient, hostile_base: str
) -> None:
    roost = new_machine()
    show = "echo $PYTHONPATH-$PYTHONNOUSERSITE-$PYTHONHOME"
    printed = roost.ok("run", "--image", hostile_base, "--", "sh", "-c", show)
    assert printed == "/old--/old\n"
