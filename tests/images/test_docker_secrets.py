"""A secret of a run in a container: the engine has it as long as the container lives, and nobody after that."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from tests.support.roost_process import Roost
from tests.support.trees import find_holding

SECRET = "hunter2-in-a-container"
WAIT = "echo ready; while [ ! -e go ]; do sleep 0.1; done; echo ${KEY%-in*} >> out"


def _start(roost: Roost, image: str, *options: str) -> subprocess.Popen[str]:
    roost.variables["KEY"] = SECRET
    process = roost.start("run", "--image", image, "--secret", "KEY", *options, "--", "sh", "-c", WAIT)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def _containers(host: str) -> list[str]:
    client = docker.APIClient(base_url=host)
    listed = [each["Id"] for each in client.containers(all=True, filters={"label": "org.roost.run"})]
    found = [each for each in listed if f"KEY={SECRET}" in _variables(client, each)]
    client.close()
    return found


def _variables(client: docker.APIClient, container: str) -> list[str]:
    try:
        return list(client.inspect_container(container)["Config"]["Env"] or [])
    except docker.errors.NotFound:  # removed meanwhile
        return []


@pytest.mark.parametrize("way", ["ended", "client killed", "daemon killed", "detached and daemon killed"])
def test_nothing_holds_a_secret_when_its_run_is_over(way: str, docker_roost: Roost, docker_host: str, base_image: str):
    detached = way.startswith("detached")
    process = _start(docker_roost, base_image, *(("--detach",) if detached else ()))
    _until(lambda: len(_containers(docker_host)) == 1)
    if "daemon killed" in way:
        pid = docker_roost.daemon_pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    if way == "client killed":
        process.kill()
    (docker_roost.folder / "go").touch()
    process.wait(30)
    if way != "client killed":
        _until((docker_roost.folder / "out").exists)
        assert (docker_roost.folder / "out").read_text() == "hunter2\n"
    docker_roost.ok("runs", "list")
    _until(lambda: not _containers(docker_host))
    folder = Path(docker_host.removeprefix("unix://")).parent
    private = [folder] if folder.name.startswith("rdk-") else []
    _until(lambda: not find_holding(SECRET, *(each / "data/containers" for each in private)))
    assert not find_holding(SECRET, docker_roost.root, *(each / "x" for each in private))
    assert not [each for each in private if SECRET in (each / "log").read_text(errors="replace")]
