"""``--gpus`` as the engine gets it, and what it says where it has none to give."""

from __future__ import annotations

from pathlib import Path

import docker
import pytest
from tests.support.roost_process import Roost

from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import ContainerArgumentError
from roost.daemon.engines.docker.options import container_body
from roost.daemon.engines.docker.values import ContainerSpec, DockerConfig


def _spec(image: str, folder: Path, *arguments: str) -> ContainerSpec:
    return ContainerSpec(image=image, command=["true"], cwd=str(folder), user="0:0", arguments=arguments)


@pytest.mark.parametrize(
    ("arguments", "count", "ids"),
    [
        (("--gpus all",), -1, []),
        (("--gpus=2",), 2, []),
        (("--gpus", "device=0,2"), 0, ["0", "2"]),
        (("--gpus", '"device=GPU-1a2b"'), 0, ["GPU-1a2b"]),
    ],
)
async def test_the_engine_is_asked_for_gpus(
    arguments: tuple[str, ...], count: int, ids: list[str], docker_host: str, base_image: str, tmp_path: Path
):
    engine = DockerEngine(DockerConfig(host=docker_host), str(tmp_path))
    container = await engine.containers.create(_spec(base_image, tmp_path, *arguments))
    client = docker.APIClient(base_url=docker_host)
    [asked] = client.inspect_container(container)["HostConfig"]["DeviceRequests"]
    client.close()
    await engine.containers.remove(container)
    engine.close()
    assert (asked["Count"], asked["DeviceIDs"] or [], asked["Capabilities"]) == (count, ids, [["gpu"]])


def test_what_no_engine_could_be_asked_for_is_refused(tmp_path: Path):
    for wrong in ("capabilities=utility", "some"):
        with pytest.raises(ContainerArgumentError):
            container_body(_spec("any", tmp_path, f"--gpus={wrong}"))


def test_an_engine_without_gpus_is_told_as_such_and_the_run_ends_as_one_that_docker_could_not_start(
    docker_roost: Roost, docker_host: str, base_image: str
):
    text = f'[base]\nimage = "{base_image}"\n[python]\nuser_managed = true\ninterpreter = "/bin/sh"\n'
    docker_roost.write("roost.toml", text + '[container]\narguments = ["--gpus all"]\n')
    failed = docker_roost.run("run", "--json", "--", "true")
    client = docker.APIClient(base_url=docker_host)
    if "nvidia" in client.info()["Runtimes"]:
        pytest.skip("this engine has GPUs")
    assert failed.returncode == 125
    assert "can't provide GPUs" in failed.stdout + failed.stderr
    assert "NVIDIA's container toolkit" in failed.stdout + failed.stderr, "what would have to be there is named"
    [run] = docker_roost.json("runs", "list")["runs"]
    assert (run["state"], run["exit_status"]) == ("failed", 125)
    assert not client.containers(all=True, filters={"label": f"org.roost.run={run['id']}"})
    client.close()
