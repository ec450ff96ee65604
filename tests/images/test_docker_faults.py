"""An engine that is stopped, killed, restarted, pruned or full: nothing is lost, and each failure has a name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images import engines as docker_parts
from tests.support.roost_process import Roost, new_roost

from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import EngineFullError
from roost.daemon.engines.docker.values import DockerConfig
from roost.daemon.jobs.progress import Silent

SMALL = "300m"
"""Room for the base image and little else."""


@pytest.fixture
def engine_folder(docker_host: str) -> Iterator[Path]:
    """A private engine that a test may hurt, whatever engine the others use."""
    if shutil.which("dockerd") is None:
        docker_parts.missing("there is no dockerd")
    folder = Path(tempfile.mkdtemp(prefix="rdf", dir="/tmp"))
    yield folder
    docker_parts.clear(folder)


@pytest.fixture
def own_roost(engine_folder: Path) -> Iterator[Roost]:
    docker_parts.start(engine_folder)
    made = new_roost()
    made.config.write_text(f'[docker]\nhost = "{_host(engine_folder)}"\n')
    yield made
    made.end()


def _host(folder: Path) -> str:
    return f"unix://{folder}/d.sock"


def _image(folder: Path) -> str:
    return docker_parts.import_image(_host(folder), "base", docker_parts.BASE)


def _until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_an_engine_that_was_stopped_is_unreachable_and_works_again(own_roost: Roost, engine_folder: Path):
    image = _image(engine_folder)
    assert own_roost.ok("run", "--image", image, "--", "echo", "one") == "one\n"
    docker_parts.end(engine_folder)
    body = own_roost.failed(125, "run", "--image", image, "--", "echo", "two")
    assert (body["code"], body["retryable"]) == ("engine-unreachable", True)
    docker_parts.start(engine_folder)
    assert own_roost.ok("run", "--image", image, "--", "echo", "three") == "three\n"


def test_all_output_of_a_detached_run_is_kept_though_the_engine_s_logs_are_short(engine_folder: Path, own_roost: Roost):
    """A daemon that was killed reads it again from the first byte on."""
    docker_parts.end(engine_folder)
    docker_parts.start(engine_folder, "--log-opt=max-size=2k", "--log-opt=max-file=3", "--log-opt=compress=true")
    script = "seq 2000; while [ ! -e go ]; do sleep 0.1; done; echo last"
    run_id = own_roost.ok("run", "--detach", "--image", _image(engine_folder), "--", "sh", "-c", script).strip()
    _until(lambda: own_roost.ok("runs", "logs", run_id).endswith("2000\n"))
    pid = own_roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not Path(f"/proc/{pid}").exists())
    (own_roost.folder / "go").touch()
    _until(lambda: own_roost.json("runs", "show", run_id)["state"] == "succeeded")
    assert own_roost.ok("runs", "logs", run_id).split() == [*map(str, range(1, 2001)), "last"]


def test_output_after_an_engine_s_restart_is_kept_too(engine_folder: Path, own_roost: Roost):
    docker_parts.end(engine_folder)
    docker_parts.start(engine_folder, "--live-restore")
    script = "echo first; while [ ! -e go ]; do sleep 0.1; done; echo last; exit 4"
    run_id = own_roost.ok("run", "--detach", "--image", _image(engine_folder), "--", "sh", "-c", script).strip()
    _until(lambda: own_roost.ok("runs", "logs", run_id) == "first\n")
    docker_parts.end(engine_folder)
    docker_parts.start(engine_folder, "--live-restore")
    time.sleep(3)  # the daemon waits for the end alone by now
    (own_roost.folder / "go").touch()
    _until(lambda: own_roost.json("runs", "show", run_id)["state"] == "failed")
    assert own_roost.json("runs", "show", run_id)["exit_status"] == 4
    assert own_roost.ok("runs", "logs", run_id) == "first\nlast\n"


def test_an_image_that_was_pruned_since_is_planned_for_again(own_roost: Roost, engine_folder: Path):
    image = _image(engine_folder)
    own_roost.ok("run", "--image", image, "--", "true")
    client = docker.APIClient(base_url=_host(engine_folder))
    _until(lambda: not client.containers(all=True))
    client.remove_image(client.inspect_image(image)["Id"], force=True)
    client.close()
    [plan] = own_roost.json("plan", "--image", image)["plans"]
    assert plan["action"] == "pull-image"


def test_a_run_ends_as_it_ended_though_the_engine_was_restarted_meanwhile(own_roost: Roost, engine_folder: Path):
    """The command outlives its engine, which tells its status once it is back (``live-restore``)."""
    image = _image(engine_folder)
    docker_parts.end(engine_folder)
    docker_parts.start(engine_folder, "--live-restore")
    script = "echo ready; while [ ! -e go ]; do sleep 0.1; done; exit 7"
    process = own_roost.start("run", "--image", image, "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    docker_parts.end(engine_folder)
    docker_parts.start(engine_folder, "--live-restore")
    (own_roost.folder / "go").touch()
    assert process.wait(60) == 7
    [run] = own_roost.json("runs", "list")["runs"]
    assert (run["state"], run["exit_status"]) == ("failed", 7)


@pytest.fixture
def small_engine(engine_folder: Path) -> Path:
    """Its data lies on a file system with little room."""
    data = engine_folder / "data"
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(data)])
    if mounted.returncode != 0:
        docker_parts.missing("nothing can be mounted here")
    docker_parts.start(engine_folder)
    return engine_folder


async def test_a_full_disk_in_the_engine_is_named_and_the_next_build_works(small_engine: Path, tmp_path: Path):
    engine = DockerEngine(DockerConfig(host=_host(small_engine)), str(tmp_path))
    base = await engine.images.find(_image(small_engine))
    assert base is not None
    with pytest.raises(EngineFullError, match="full"):
        await engine.build_steps(base.id, ["RUN dd if=/dev/zero of=/big bs=1M count=400"], progress=Silent())
    made = await engine.build_steps(base.id, ["RUN echo small > /small"], progress=Silent())
    assert await engine.images.find(made) is not None
    engine.close()
