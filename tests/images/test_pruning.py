"""Users prune: what only an engine has outlives the usual prune, and a build outlives any."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import Machine
from tests.support.roost_process import Roost

PACKAGES = "[conda]\ndependencies = ['python=3.11']\n"


def dockerfile(roost: Roost, base: str, more: str = "") -> str:
    """Write one whose images nobody else has; the label that tells them."""
    label = f"test={uuid.uuid4().hex}"
    roost.write("Dockerfile", f"FROM {base}\nLABEL {label}\nRUN date +%N > /made\n")
    roost.write("roost.toml", f'[base]\ndockerfile = "Dockerfile"\n{more}')
    return label


def remove(client: docker.DockerClient, label: str) -> None:
    """All of them; one that others were made from goes after those."""
    while images := client.images.list(filters={"label": label}, all=True):
        for image in images:
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(image.id, force=True)


def made(roost: Roost, *options: str) -> str:
    return roost.ok("run", *options, "--", "cat", "/made")


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.long
def test_what_a_dockerfile_made_outlives_a_prune_of_what_has_no_name(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine()
    label = dockerfile(roost, base_image, PACKAGES)
    built = roost.json("build")["build"]
    said = made(roost)
    client.images.remove(built["artifacts"][0]["reference"], force=True)
    client.images.prune(filters={"dangling": True, "label": label})
    assert made(roost) == said
    again = roost.json("build")["build"]
    assert (again["generation"], again["artifacts"][0]["digest"]) == (1, built["artifacts"][0]["digest"])
    remove(client, label)


def test_a_build_whose_images_are_pruned_under_its_hands_makes_them_once_more(
    new_machine: Machine, client: docker.DockerClient, base_image: str, short_folder: Path
):
    roost = new_machine()
    label = dockerfile(roost, base_image, PACKAGES)
    hold, trace = short_folder / "hold", short_folder / "trace"
    hold.touch()
    roost.variables |= {"ROOST_FAILPOINT_HOLD": f"image.assembled={hold}", "ROOST_FAILPOINT_TRACE": str(trace)}
    building = roost.start("build")
    until(lambda: trace.exists() and "point image.assembled\n" in trace.read_text())
    lost = {image.id for image in client.images.list(filters={"label": label}, all=True)}
    assert lost
    remove(client, label)
    hold.unlink()
    _, said = building.communicate(timeout=120)
    assert building.returncode == 0, said
    assert "pruned during the build" in said
    assert made(roost)
    assert roost.json("build")["build"]["generation"] == 1
    assert not lost & {image.id for image in client.images.list(filters={"label": label}, all=True)}
    remove(client, label)
