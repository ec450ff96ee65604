"""An image that is taken as it is, by the digest that its tag named first: kept, pulled again, pushed, followed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images.registries import Registries, RegistryProcess, free_port
from tests.support.roost_process import Roost, new_roost

from roost.daemon.oci.references import is_loopback

Machine = Callable[..., Roost]


@pytest.fixture
def new_machine(docker_host: str, registries: Registries) -> Iterator[Machine]:
    made: list[Roost] = []

    def make(*, engine: bool = True, workspace: bool = True, policy: str = "pin") -> Roost:
        roost = new_roost()
        host = docker_host if engine else "unix:///tmp/no-engine.sock"
        text = f'[docker]\nhost = "{host}"\nbase_policy = "{policy}"\n'
        roost.config.write_text(
            text + (f'[registries]\nworkspace = "{registries.workspace.host}/team"\n' if workspace else "")
        )
        made.append(roost)
        return roost

    yield make
    for roost in made:
        roost.end()


class Shelf:
    """A repository of the global registry, whose tag ``1`` moves. The images in it are made for the test alone."""

    def __init__(self, client: docker.DockerClient, host: str, base: str) -> None:
        self.reference = f"{host}/tools:1"
        self._client = client
        self._base = base
        self._made: list[str] = []

    def put(self, word: str) -> str:
        """Push an image that says ``word``; its id. The engine does not have it afterwards."""
        client = self._client
        container = client.containers.create(self._base, ["sh", "-c", f"echo {word} > /word"])
        container.start()
        container.wait()
        repository, _, tag = self.reference.rpartition(":")
        made = str(container.commit(repository, tag).id)
        container.remove()
        self._made.append(made)
        assert "error" not in client.images.push(repository, tag)
        self.forget(made)
        return made

    def forget(self, image: str) -> None:
        """As a user who prunes."""
        with contextlib.suppress(docker.errors.ImageNotFound):
            self._client.images.remove(image, force=True)

    def clear(self) -> None:
        for image in self._made:
            self.forget(image)


@pytest.fixture
def shelf(client: docker.DockerClient, registries: Registries, base_image: str, known_layers: None) -> Iterator[Shelf]:
    made = Shelf(client, registries.catalogue.host, base_image)
    yield made
    made.clear()


def codes(plan: dict) -> list[str]:
    return [reason["code"] for reason in plan["reasons"]]


def said(roost: Roost, shelf: Shelf, *options: str) -> str:
    return roost.ok("run", *options, "--image", shelf.reference, "--", "cat", "/word").strip()


def test_a_tag_is_pinned_to_what_it_named_first_and_that_is_pulled_again_by_digest(new_machine: Machine, shelf: Shelf):
    roost = new_machine(workspace=False)
    first = shelf.put("first")
    assert said(roost, shelf) == "first"
    [run] = roost.json("runs", "list")["runs"]
    assert run["generation"] == 1
    assert run["interpreter"]["image"] == first
    other = shelf.put("second")
    [plan] = roost.json("plan", "--image", shelf.reference)["plans"]
    assert (plan["action"], plan["artifact"]["digest"]) == ("reuse-image", first)
    assert "definition-known" in codes(plan)
    shelf.forget(first)
    [plan] = roost.json("plan", "--image", shelf.reference)["plans"]
    assert plan["action"] == "pull-image"
    assert said(roost, shelf) == "first", "the recorded digest, not the moved tag"
    rebuilt = roost.json("build", "--rebuild", "--image", shelf.reference)["build"]
    assert (rebuilt["generation"], rebuilt["artifacts"][0]["digest"]) == (2, other)
    assert said(roost, shelf) == "second"
    shelf.forget(first)
    assert said(roost, shelf, "--generation", "1") == "first"
    shelf.forget(first)
    assert roost.ok("runs", "rerun", run["id"]).strip() == "first"
    assert [row["digest"] for row in roost.json("image", "list")["images"]] == [other, first]


def test_the_policies_warn_and_follow(new_machine: Machine, shelf: Shelf):
    roost = new_machine(workspace=False, policy="warn")
    first = shelf.put("first")
    assert said(roost, shelf) == "first"
    second = shelf.put("second")
    [plan] = roost.json("plan", "--image", shelf.reference)["plans"]
    assert "base-moved" in codes(plan)
    assert plan["artifact"]["digest"] == first
    assert said(roost, shelf) == "first"
    roost.config.write_text(roost.config.read_text().replace("warn", "follow"))
    [plan] = roost.json("plan", "--image", shelf.reference)["plans"]
    assert (plan["action"], "base-moved" in codes(plan)) == ("pull-image", True)
    assert said(roost, shelf) == "second"
    [run] = roost.json("runs", "list")["runs"][:1]
    assert (run["generation"], run["interpreter"]["image"]) == (2, second)
    assert said(roost, shelf, "--generation", "1") == "first"


def test_it_is_pushed_by_digest_without_an_engine_and_another_machine_takes_it_from_there(
    new_machine: Machine, shelf: Shelf, registries: Registries
):
    first = shelf.put("first")
    pusher, other = new_machine(engine=False), new_machine()
    for roost in (pusher, other):
        roost.write("roost.toml", f'[base]\nimage = "{shelf.reference}"\n')
    [pushed] = pusher.json("image", "push")["build"]["artifacts"]
    assert pushed["digest"] == first
    assert pushed["reference"].startswith(f"{registries.workspace.host}/team/images:")
    assert pusher.json("image", "show")["exists_in_registry"] is True
    shelf.put("second")
    registries.catalogue.stop()
    [plan] = other.json("plan")["plans"]
    assert (plan["action"], "image-in-registry" in codes(plan)) == ("pull-image", True)
    assert other.ok("run", "--", "cat", "/word") == "first\n", "the first one's, though the tag moved"
    shelf.forget(first)
    assert other.ok("run", "--", "cat", "/word") == "first\n"
    registries.catalogue.start()


class Outside(RegistryProcess):
    """A registry over plain http that is not on loopback, where Docker would expect TLS."""

    @property
    def host(self) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
            return f"{probe.getsockname()[0]}:{self.port}"

    def _config(self) -> str:
        return super()._config().replace(f"addr: {self.host}", f"addr: 0.0.0.0:{self.port}")


@pytest.fixture
def outside(registries: Registries, tmp_path: Path) -> Iterator[Outside]:
    """The global registry under another address."""
    (tmp_path / "data").symlink_to(registries.catalogue.folder / "data")
    made = Outside(tmp_path, free_port())
    try:
        assert not is_loopback(made.host)
    except OSError:
        pytest.skip("this machine has no address but loopback's")
    made.start()
    yield made
    made.stop()


def test_what_the_engine_can_not_fetch_is_fetched_as_roost_is_told(
    new_machine: Machine, shelf: Shelf, registries: Registries, outside: Outside
):
    first = shelf.put("first")
    mirrored, plain = new_machine(workspace=False), new_machine(workspace=False)
    mirrored.config.write_text(
        f'{mirrored.config.read_text()}[registries.mirrors]\n"tools.invalid" = ["{registries.catalogue.host}"]\n'
    )
    assert mirrored.ok("run", "--image", "tools.invalid/tools:1", "--", "cat", "/word") == "first\n"
    shelf.forget(first)
    assert mirrored.ok("run", "--image", "tools.invalid/tools:1", "--", "cat", "/word") == "first\n"
    shelf.forget(first)
    plain.config.write_text(f'{plain.config.read_text()}[registries]\ninsecure = ["{outside.host}"]\n')
    assert plain.ok("run", "--image", f"{outside.host}/tools:1", "--", "cat", "/word") == "first\n"
    missing = plain.failed(125, "run", "--image", f"{outside.host}/none:1", "--", "true")
    assert missing["code"] == "base-missing"


def test_a_workspace_that_the_engine_does_not_list_as_insecure_is_pulled_from(
    new_machine: Machine, shelf: Shelf, outside: Outside, client: docker.DockerClient
):
    first = shelf.put("first")
    roost = new_machine(workspace=False)
    settings = f'[registries]\nworkspace = "{outside.host}/team"\ninsecure = ["{outside.host}"]\n'
    roost.config.write_text(f"{roost.config.read_text()}{settings}")
    roost.write("roost.toml", f'[base]\nimage = "{shelf.reference}"\nsteps = ["RUN date +%N > /made"]\n')
    built = roost.json("image", "push")["build"]["artifacts"][0]["digest"]
    said = roost.ok("run", "--", "cat", "/made")
    steps = client.images.get(built).labels["org.roost.steps"]
    client.images.remove(built, force=True)
    [plan] = roost.json("plan")["plans"]
    assert plan["action"] == "pull-image"
    assert roost.ok("run", "--", "cat", "/made") == said
    for image in (built, steps, first):
        shelf.forget(image)


def test_an_image_of_the_engine_alone_is_pinned_pushed_and_its_loss_is_told(
    new_machine: Machine, client: docker.DockerClient, base_image: str, registries: Registries
):
    roost = new_machine()
    name = f"roost-test/alone:{roost.root.name}"
    repository, _, tag = name.partition(":")

    def made(word: str) -> str:
        container = client.containers.create(base_image, ["sh", "-c", f"echo {word} > /word"])
        container.start()
        container.wait()
        image = str(container.commit(repository, tag).id)
        container.remove()
        return image

    first = made("first")
    registries.workspace.stop()
    [plan] = roost.json("plan", "--image", name)["plans"]
    assert codes(plan)[-2:] == ["image-ready", "registry-unknown"], "it may know an earlier one of that name"
    registries.workspace.start()
    assert roost.ok("run", "--image", name, "--", "cat", "/word") == "first\n"
    second = made("second")
    [plan] = roost.json("plan", "--image", name)["plans"]
    assert plan["artifact"]["digest"] == first
    [told] = [reason["message"] for reason in plan["reasons"] if reason["code"] == "base-moved"]
    assert "registry has, or else the engine's" in told, "told, for it costs nothing"
    assert roost.ok("run", "--image", name, "--", "cat", "/word") == "first\n"
    client.images.remove(first, force=True)
    lost = roost.failed(125, "run", "--image", name, "--", "cat", "/word")
    assert lost["code"] == "base-missing"
    assert "--rebuild" in lost["hint"]
    assert roost.json("build", "--rebuild", "--image", name)["build"]["generation"] == 2
    [pushed] = roost.json("image", "push", "--image", name)["build"]["artifacts"]
    assert pushed["digest"] == second
    client.images.remove(second, force=True)
    assert roost.ok("run", "--image", name, "--", "cat", "/word") == "second\n", "from the workspace"
    client.images.remove(second, force=True)


def test_where_an_image_is_that_is_taken_as_it_is_and_where_that_is_not_known(
    new_machine: Machine, shelf: Shelf, registries: Registries
):
    roost = new_machine()
    roost.write("roost.toml", f'[base]\nimage = "{shelf.reference}"\n')
    shelf.put("first")
    assert roost.ok("run", "--", "cat", "/word") == "first\n"

    def where() -> tuple[bool | None, bool | None]:
        shown = roost.json("image", "show")
        return shown["exists_in_registry"], shown["exists_in_engine"]

    assert where() == (False, True)
    roost.json("image", "push")
    assert where() == (True, True)
    registries.workspace.stop()
    assert where() == (None, True)
    text = roost.config.read_text()
    roost.config.write_text(text.replace(text.split('"')[1], "unix:///tmp/no-engine.sock"))
    assert where() == (None, None)
    registries.workspace.start()
    assert where() == (True, None)
