"""What docker steps and Dockerfiles made: pushed when it is made, taken by others, back from the registry when lost."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.machines import Machine, machine, of_this_test
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost


@pytest.fixture
def new_machine(channel_url: str, docker_host: str, registries: Registries, prepared_root: Path) -> Iterator[Machine]:
    with contextlib.ExitStack() as stack:
        index = PipIndex()
        stack.callback(index.close)

        def make(*, workspace: bool = True) -> Roost:
            shared = registries if workspace else None
            return stack.enter_context(machine(channel_url, index, docker_host, shared, prepared=prepared_root))

        yield make


def forget(client: docker.DockerClient, roost: Roost, *, layers: bool = False) -> None:
    """As a user who prunes everything, and with ``layers`` roost's own as well; no other test's images go with it."""
    for image in roost.json("image", "list")["images"]:
        with contextlib.suppress(docker.errors.APIError):
            labels = client.images.get(image["digest"]).labels
            below = labels.get("org.roost.base", image["digest"])
            client.images.remove(image["digest"], force=True)
            name = f"roost/base:{below.removeprefix('sha256:')}"
            if "org.roost.steps" in labels:
                client.images.remove(labels["org.roost.steps"])
            elif client.images.get(name).tags == [name]:  # what a Dockerfile made
                client.images.remove(name)
    if layers:
        shutil.rmtree(roost.root / "layers")
        (roost.root / "layers").mkdir()


def step() -> str:
    return f"RUN date +%N > /made # {of_this_test()}"


def write(roost: Roost, kind: str, base: str) -> None:
    if kind == "steps":
        roost.write("roost.toml", f'[base]\nimage = "{base}"\nsteps = ["{step()}"]\n')
    elif kind == "dockerfile":
        roost.write("Dockerfile", f"FROM {base}\n{step()}\n")
        roost.write("roost.toml", '[base]\ndockerfile = "Dockerfile"\n')
    else:
        roost.write("context/Dockerfile", f"FROM {base}\nCOPY word /word\n{step()}\n")
        roost.write("context/word", "hello")
        roost.write("roost.toml", '[base]\ncontext = "context"\n')


def made(roost: Roost, *options: str) -> str:
    return roost.ok("run", *options, "--", "cat", "/made").strip()


def codes(result: dict) -> list[str]:
    return [reason["code"] for reason in result["reasons"]]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["steps", "dockerfile", "context"])
def test_what_steps_made_is_pushed_taken_by_others_and_comes_back(
    kind: str, new_machine: Machine, client: docker.DockerClient, base_image: str, registries: Registries
):
    first, second = new_machine(), new_machine()
    for roost in (first, second):
        write(roost, kind, base_image)
    built = first.json("build")["build"]
    assert "steps-pushed" in codes(built)
    said = made(first)
    forget(client, first, layers=True)
    registries.workspace.stop()
    unknown = first.failed(6, "build")
    assert unknown["code"] == "registry-unknown", "it may have it: that is no reason to run the steps again"
    registries.workspace.start()
    [plan] = first.json("plan")["plans"]
    assert "steps-gone" not in codes(plan)
    assert made(first) == said, "from the registry"
    again = first.json("build")["build"]
    assert (again["generation"], again["artifacts"][0]["digest"]) == (1, built["artifacts"][0]["digest"])
    forget(client, first)
    taken = second.json("build")["build"]
    assert "steps-shared" in codes(taken)
    assert made(second) == said
    rebuilt = second.json("build", "--rebuild")["build"]
    assert (rebuilt["generation"], "steps-pushed" in codes(rebuilt)) == (2, True)
    other = made(second)
    assert other != said
    third = new_machine()
    write(third, kind, base_image)
    assert made(third) == said, "a rebuild is for those who ask"
    forget(client, second, layers=True)
    assert made(second) == other
    forget(client, second)


def test_without_a_registry_the_loss_is_told_with_the_way_out(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    roost = new_machine(workspace=False)
    write(roost, "dockerfile", base_image)
    said = made(roost)
    forget(client, roost)
    [plan] = roost.json("plan")["plans"]
    told = next(reason["message"] for reason in plan["reasons"] if reason["code"] == "steps-gone")
    assert "workspace registry" in told
    gone = roost.failed(125, "run", "--generation", "1", "--", "cat", "/made")
    assert gone["code"] == "generation-gone"
    assert "[registries] workspace" in gone["hint"]
    assert made(roost) != said
    assert roost.json("build")["build"]["generation"] == 2
    forget(client, roost)


def test_a_registry_that_is_down_stops_no_steps(
    new_machine: Machine, client: docker.DockerClient, base_image: str, registries: Registries
):
    registries.workspace.stop()
    roost = new_machine()
    write(roost, "steps", base_image)
    assert "steps-not-pushed" in codes(roost.json("build")["build"])
    said = made(roost)
    registries.workspace.start()
    forget(client, roost)
    assert "steps-pushed" in codes(roost.json("build")["build"]), "at the next build that has to do with them"
    forget(client, roost)
    other = new_machine()
    write(other, "steps", base_image)
    assert "steps-shared" in codes(other.json("build")["build"])
    assert made(other) == said
    forget(client, other)


@pytest.mark.long
def test_a_generation_that_was_a_prefix_first_takes_what_others_made_with_the_steps(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    first, second, third = new_machine(), new_machine(), new_machine()
    for roost in (first, second, third):
        text = f'[base]\nimage = "{base_image}"\nsteps = ["{step()}", "RUN echo prefix"]\n'
        roost.write("roost.toml", text + '[conda]\ndependencies = ["dated=1"]\n')
    for roost in (first, second):
        assert roost.json("build", "-t", "local", "--ignore-image")["build"]["generation"] == 1
    assert "steps-pushed" in codes(first.json("build")["build"])
    said = made(first)
    forget(client, first)
    taken = second.json("build")["build"]
    assert (taken["generation"], "steps-shared" in codes(taken)) == (1, True)
    assert made(second) == said
    forget(client, second)
    assert "steps-shared" in codes(third.json("build")["build"]), "the first one's was offered to all"
    assert made(third) == said
    forget(client, third)


def test_a_dockerfile_that_leads_out_of_its_context_is_refused(
    new_machine: Machine, client: docker.DockerClient, base_image: str
):
    """Its text would count in no digest."""
    roost = new_machine(workspace=False)
    write(roost, "context", base_image)
    dockerfile = roost.folder / "context/Dockerfile"
    dockerfile.rename(roost.folder / "elsewhere")
    dockerfile.symlink_to("../elsewhere")
    refused = roost.failed(3, "build")
    assert (refused["code"], "../elsewhere" in refused["message"]) == ("definition-invalid", True)
    (roost.folder / "elsewhere").rename(roost.folder / "context/other")
    dockerfile.unlink()
    dockerfile.symlink_to("other")
    assert made(roost)
    forget(client, roost)
