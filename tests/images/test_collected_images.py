"""Garbage collection with a real engine and a real registry: images, and layers that registries have too.

One root, with one daemon, for all of these tests but the last. Each has images on a base of its own, since no other
test may need what is removed here.
"""

from __future__ import annotations

import contextlib
import io
import sqlite3
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.transport import UnixHTTPAdapter
from tests.support.images import engines as docker_parts
from tests.support.images import prepared
from tests.support.images.machines import Machine, machine
from tests.support.images.registries import Registries, registry
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.daemon.engines.docker.labels import ROOT_LABEL, root_name

LAZY = "import sys; print('ready', flush=True); sys.stdin.readline(); import six; print(six.__version__, flush=True)"
VERSION = ("python", "-c", "import six; print(six.__version__)")
DEFINITION = """name = "{name}"
[base]
image = "{base}"
[conda]
dependencies = ["python=3.11", "{package}"]
"""


class Box:
    """A root, and what of it the engine and the index have."""

    def __init__(self, roost: Roost, client: docker.DockerClient, registries: Registries) -> None:
        self.roost, self.client, self.registries = roost, client, registries
        self.settings = roost.config.read_text()
        self.bases: list[str] = []

    def new_base(self, *, tagged: bool = True) -> str:
        """An image of nobody else; its name, or its id without a name."""
        word = uuid.uuid4().hex[:12]
        text = f"FROM {docker_parts.BASE}\nLABEL collected={word}\n".encode()
        image = self.build_on(text, f"collected-{word}:1" if tagged else None)
        return f"collected-{word}:1" if tagged else image

    def build_on(self, dockerfile: bytes, tag: str | None) -> str:
        """Build an image as a user does; its id."""
        image, _ = self.client.images.build(fileobj=io.BytesIO(dockerfile), tag=tag, rm=True)
        self.bases.insert(0, image.id)
        return str(image.id)

    def define(self, base: str, package: str = "six=1.16") -> Path:
        """A folder with a definition on this base."""
        folder = self.roost.folder / uuid.uuid4().hex[:8]
        name = f"collected-{folder.name}"
        self.roost.write(f"{folder.name}/roost.toml", DEFINITION.format(name=name, base=base, package=package))
        return folder

    def build(self, folder: Path) -> dict[str, Any]:
        return self.roost.json("build", cwd=folder)["build"]["artifacts"][0]

    def has(self, reference: str) -> bool:
        with contextlib.suppress(docker.errors.NotFound):
            return bool(self.client.images.get(reference).id)
        return False

    def containers(self, image: str) -> list[str]:
        """Ids of the containers of an image and of what was built on it."""
        return [each["Id"] for each in self.client.api.containers(all=True, filters={"ancestor": image})]

    def age(self, *ids: str) -> None:
        """Have the time pass for which what was just used stays; the first of ``ids`` was used first."""
        with contextlib.closing(sqlite3.connect(self.roost.root / "index.db", timeout=60)) as connection, connection:
            connection.execute("UPDATE artifacts SET last_used = '2020-01-01T00:00:00.000000Z' WHERE kind = 'image'")
            for number, each in enumerate(ids, 2):
                moment = f"2020-01-{number:02}T00:00:00.000000Z"
                connection.execute("UPDATE artifacts SET last_used = ? WHERE id = ?", (moment, each))

    def collect(self, *options: str) -> Any:
        return self.roost.json("cache", "gc", *options)

    def rows(self) -> set[str]:
        """Ids of the images in the index."""
        return {row["id"] for row in self.roost.json("cache", "df")["artifacts"] if row["kind"] == "image"}

    def lease(self, method: str, name: str, body: object = None) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://roost", UnixHTTPAdapter(f"http+unix://{self.roost.root}/roost.sock", 60))
            answer = session.request(method, f"http://roost/v1/leases/{name}", json=body)
            assert answer.status_code == 200, answer.text

    def end(self) -> None:
        for base in self.bases:
            with contextlib.suppress(docker.errors.APIError):
                self.client.images.remove(base, force=True)


@pytest.fixture(scope="module")
def box(channel_url: str, docker_host: str, base_image: str, prepared_root: Path) -> Iterator[Box]:
    with contextlib.ExitStack() as stack:
        both = Registries(stack.enter_context(registry()), stack.enter_context(registry()))
        index = PipIndex()
        stack.callback(index.close)
        client = stack.enter_context(contextlib.closing(docker.DockerClient(base_url=docker_host)))
        made = machine(channel_url, index, docker_host, registries=both, prepared=prepared_root)
        box = Box(stack.enter_context(made), client, both)
        stack.callback(box.end)
        yield box
        box.age()
        box.collect("--all")


def removed(view: Any) -> list[str]:
    """Ids of the images that a collection removed."""
    return [step["id"] for step in view["steps"] if step["kind"] == "image" and step["state"] == "removed"]


def reason(view: Any, image: str) -> str:
    """Why an image stays."""
    [text] = [each["reason"] for each in view["kept"] if each["id"] == image]
    return str(text)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_image_with_a_container_stays_and_comes_back_without_a_solve(box: Box):
    folder = box.define(box.new_base())
    image = box.build(folder)
    run = box.roost.start("run", "--", "python", "-c", LAZY, cwd=folder, stdin=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    [container] = box.containers(image["digest"])
    box.age()
    view = box.collect("--all")
    assert removed(view) == []
    assert f"used by container {container[:12]}" in reason(view, image["id"])
    out, errors = run.communicate("\n", timeout=60)
    assert (run.returncode, out) == (0, "1.16.0\n"), errors
    wait_for(lambda: box.containers(image["digest"]) == [])

    stopped = box.client.containers.create(image["digest"], ["true"], labels={ROOT_LABEL: root_name("/another")})
    box.age()
    view = box.collect("--all")
    assert reason(view, image["id"]) == f"used by container {stopped.id[:12]}"
    assert box.has(image["reference"])
    stopped.remove()

    view = box.collect("--all")
    assert removed(view) == [image["id"]]
    assert view["freed_image_bytes"] == image["bytes"]
    assert not box.has(image["digest"])
    assert image["id"] not in box.rows()
    [plan] = box.roost.json("plan", cwd=folder)["plans"]
    assert "solve" not in [step["kind"] for step in plan["steps"]]
    assert box.roost.ok("run", "-t", "docker", "--", *VERSION, cwd=folder) == "1.16.0\n"
    assert box.client.images.get(image["reference"]).id == image["digest"]


def test_pins_leases_and_the_latest_use_decide_which_images_stay(box: Box):
    folders = [box.define(box.new_base()) for _ in range(2)]
    first, second = (box.build(folder) for folder in folders)
    box.age()
    box.roost.ok("cache", "pin", first["id"])
    box.lease("PUT", "kernel", {"subject": second["id"], "holder": "kernel"})
    view = box.collect("--all")
    assert {first["id"], second["id"]}.isdisjoint(removed(view))
    assert reason(view, first["id"]) == "pinned"
    assert reason(view, second["id"]) == "protected by lease kernel"
    box.roost.ok("cache", "unpin", first["id"])
    box.lease("DELETE", "kernel")

    box.age(first["id"], second["id"])
    bound = box.collect("--dry-run")["image_bytes"] - 1
    box.roost.config.write_text(f"{box.settings}[cache]\nimage_bytes = {bound}\n")
    assert [step["id"] for step in box.collect("--dry-run")["steps"] if step["kind"] == "image"] == [first["id"]]
    assert box.roost.ok("run", "--", *VERSION, cwd=folders[0]) == "1.16.0\n"
    view = box.collect()
    box.roost.config.write_text(box.settings)
    assert removed(view) == [second["id"]], "the other one was used later"
    assert (box.has(first["digest"]), box.has(second["digest"])) == (True, False)


def test_an_engine_that_does_not_answer_keeps_its_images_and_the_rest_goes(box: Box, docker_host: str):
    image = box.build(box.define(box.new_base()))
    box.age()
    (box.roost.root / "trash" / "left.1").mkdir()
    (box.roost.root / "trash" / "left.1" / "file").write_text("x" * 5000)
    box.roost.config.write_text(box.settings.replace(docker_host, "unix:///tmp/no-engine.sock"))
    try:
        view = box.collect("--all")
    finally:
        box.roost.config.write_text(box.settings)
    assert removed(view) == []
    assert "the engine does not answer" in reason(view, image["id"])
    assert view["freed_bytes"] > 0
    assert list((box.roost.root / "layers").iterdir()) == []
    assert box.has(image["reference"])
    assert image["id"] in box.rows()
    assert "the engine does not answer" not in box.roost.ok("cache", "gc", "--dry-run", "--explain")


def test_what_others_named_built_or_brought_is_not_destroyed(box: Box):
    base = box.new_base()
    folder = box.define(base)
    image = box.build(folder)
    named = box.client.images.get(image["digest"])
    named.tag("collected-mine", folder.name)
    box.age()
    [step] = [step for step in box.collect("--all")["steps"] if step["id"] == image["id"]]
    assert (step["state"], image["id"] in box.rows()) == ("removed", False)
    assert box.client.images.get(f"collected-mine:{folder.name}").tags == [f"collected-mine:{folder.name}"]

    assert box.build(folder)["digest"] == image["digest"]
    text = f"FROM {image['reference']}\nLABEL mine=1\n".encode()
    child = box.build_on(text, f"collected-child:{folder.name}")
    box.client.images.remove(f"collected-mine:{folder.name}")
    box.age()
    box.collect("--all")
    assert not box.has(image["reference"])
    said = box.client.containers.run(child, ["/opt/roost/env/bin/python", *VERSION[1:]], remove=True)
    assert said == b"1.16.0\n"
    box.client.images.remove(child, force=True)

    again = box.build(folder)
    box.client.images.get(base).tag(*again["reference"].split(":"))
    box.age()
    box.collect("--all")
    assert set(box.client.images.get(base).tags) == {base, again["reference"]}
    box.client.images.remove(again["reference"])

    unnamed = box.new_base(tagged=False)
    for reference in (base, unnamed):
        assert box.roost.ok("run", "--image", reference, "--", "echo", "hello") == "hello\n"
    wait_for(lambda: box.containers(unnamed) == [])
    box.age()
    box.collect("--all")
    assert box.has(base)
    assert box.has(unnamed)


def test_layers_that_a_registry_has_go_first_and_come_back_the_same(box: Box, registry_with_bases: Path):
    repository = f"{box.registries.catalogue.host}/base"
    prepared.lend_layers(registry_with_bases, box.registries.catalogue, "base")
    box.client.images.get(box.new_base()).tag(repository, "own")
    assert "error" not in box.client.images.push(repository, "own")
    base = f"{repository}:own"
    shared, own = box.define(base), box.define(base, "greeting")
    pushed = box.roost.json("image", "push", cwd=shared)["build"]["artifacts"][0]
    image = box.build(shared)
    assert image["digest"] == pushed["digest"]
    box.build(own)
    box.age()
    view = box.collect("--all")
    kinds = [step["kind"] for step in view["steps"] if step["kind"] in ("shared-layer", "layer")]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"shared-layer", "layer"}
    assert list((box.roost.root / "layers").iterdir()) == []
    assert not box.has(image["digest"])
    pulled = box.roost.json("image", "pull", cwd=shared)["build"]["artifacts"][0]
    assert (pulled["digest"], box.has(pulled["digest"])) == (pushed["digest"], True)
    again = box.roost.json("image", "push", cwd=shared)["build"]["artifacts"][0]
    assert again == pushed


def test_an_image_is_built_and_run_while_collections_follow_each_other(box: Box):
    is_over, views = threading.Event(), []

    def collect() -> None:
        while not is_over.is_set():
            views.append(box.collect("--all"))

    collecting = threading.Thread(target=collect)
    collecting.start()
    try:
        folder = box.define(box.new_base())
        first = box.build(folder)
        assert box.roost.ok("run", "--", *VERSION, cwd=folder) == "1.16.0\n"
        wait_for(lambda: len(views) > 1)
    finally:
        is_over.set()
        collecting.join(120)
    assert box.build(folder)["digest"] == first["digest"]


def test_a_purge_removes_the_images_of_roost_and_no_others(new_machine: Machine, box: Box, client: docker.DockerClient):
    roost, base = new_machine(), box.new_base()
    roost.write(
        "roost.toml", DEFINITION.format(name=f"collected-{uuid.uuid4().hex[:8]}", base=base, package="six=1.16")
    )
    image = roost.json("build")["build"]["artifacts"][0]
    roost.ok("cache", "pin", image["id"])
    answer = roost.json("cache", "purge", "--images", "--yes")
    assert answer == {"root": str(roost.root), "left": [], "images": [image["reference"]], "images_left": []}
    assert not box.has(image["digest"])
    assert base in client.images.get(base).tags
    assert not roost.root.exists()
