"""The Docker engine is the one that the caller names, whoever started the daemon; a run stays with its own."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import docker
import pytest
from tests.support.images import engines as docker_parts
from tests.support.roost_process import Roost, new_roost

ONLY_THERE = "roost-test/only-there:1"


@pytest.fixture(scope="module")
def other_host(short_module_folder: Path) -> Iterator[str]:
    """A second engine, with an image that the first one does not have."""
    docker_parts.start(short_module_folder, *docker_parts.WITHOUT_IPTABLES)
    host = f"unix://{short_module_folder}/d.sock"
    docker_parts.import_image(host, "base", ONLY_THERE)
    yield host
    docker_parts.clear(short_module_folder)


@pytest.fixture(scope="module")
def short_module_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="rdc", dir="/tmp"))
    yield folder
    docker_parts.clear(folder)


@pytest.fixture
def roost() -> Iterator[Roost]:
    """roost whose config names no engine."""
    made = new_roost()
    made.config.write_text("")
    yield made
    made.end()


def containers(host: str, roost: Roost) -> int:
    with contextlib.closing(docker.DockerClient(base_url=host)) as client:
        found = client.containers.list(all=True, filters={"label": "org.roost.run"})
        return sum(json.dumps(each.attrs).count(str(roost.folder)) > 0 for each in found)


def test_each_caller_has_the_engine_that_it_names(roost: Roost, docker_host: str, base_image: str, other_host: str):
    first, second = {"DOCKER_HOST": docker_host}, {"DOCKER_HOST": other_host}
    roost.ok("daemon", "start", variables={"DOCKER_HOST": "unix:///tmp/none-here.sock"})
    assert roost.ok("run", "--image", base_image, "--", "echo", "a", variables=first).strip() == "a"
    assert roost.ok("run", "--image", ONLY_THERE, "--", "echo", "b", variables=second).strip() == "b"
    assert roost.run("run", "--image", ONLY_THERE, "--", "true", variables=first).returncode != 0
    # once more, by the hot path of images that are known
    assert roost.ok("run", "--image", base_image, "--", "echo", "c", variables=first).strip() == "c"
    assert roost.ok("run", "--image", ONLY_THERE, "--", "echo", "d", variables=second).strip() == "d"
    gone = roost.failed(
        125, "run", "--image", base_image, "--", "true", variables={"DOCKER_HOST": "unix:///tmp/x.sock"}
    )
    assert gone["code"] == "engine-unreachable"
    assert "/tmp/x.sock" in gone["message"]


def test_a_context_of_the_caller_names_the_engine(roost: Roost, tmp_path: Path, other_host: str):
    folder = tmp_path / "contexts/meta" / sha256(b"there").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": "there", "Endpoints": {"docker": {"Host": other_host}}}))
    variables = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "there"}
    assert roost.ok("run", "--image", ONLY_THERE, "--", "echo", "b", variables=variables).strip() == "b"


def test_a_run_stays_with_its_engine_whoever_cancels_it_and_after_a_restart(
    roost: Roost, docker_host: str, base_image: str, other_host: str
):
    second = {"DOCKER_HOST": other_host}
    ids = []
    for _ in range(2):
        words = ("run", "--detach", "--image", ONLY_THERE, "--", "sleep", "600")
        ids.append(roost.ok(*words, variables=second).strip())
    wait_for(roost, ids[0], "running")
    wait_for(roost, ids[1], "running")
    roost.ok("runs", "cancel", ids[0], variables={"DOCKER_HOST": docker_host})
    wait_for(roost, ids[0], "cancelled")
    assert shown(roost, ids[1])["state"] == "running"
    roost.ok("daemon", "stop")
    roost.ok("daemon", "start")
    assert shown(roost, ids[1])["state"] == "running"
    time.sleep(1)  # a daemon that asked the wrong engine would call it lost
    assert shown(roost, ids[1])["state"] == "running"
    roost.ok("runs", "cancel", ids[1])
    wait_for(roost, ids[1], "cancelled")
    deadline = time.monotonic() + 30
    while containers(other_host, roost):
        assert time.monotonic() < deadline, "containers of runs that ended are removed"
        time.sleep(0.1)


def shown(roost: Roost, run: str) -> dict[str, object]:
    return next(each for each in roost.json("runs", "list")["runs"] if each["id"] == run)


def wait_for(roost: Roost, run: str, state: str) -> None:
    deadline = time.monotonic() + 60
    while (found := shown(roost, run))["state"] != state:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
