"""Containers that nobody wants any more go: what a killed daemon left, and what could not be removed at first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest
from tests.support.roost_process import Roost

from roost.daemon.engines.docker import containers as docker_containers
from roost.daemon.engines.docker.containers import DockerContainers
from roost.daemon.engines.docker.engine import DockerEngine
from roost.daemon.engines.docker.errors import EngineError
from roost.daemon.engines.docker.labels import PROBE_LABEL, ROOT_LABEL, root_name
from roost.daemon.engines.docker.values import DockerConfig
from roost.daemon.runs import sweep as container_sweep
from roost.daemon.runs.sweep import ContainerSweep


@pytest.fixture
async def containers(docker_host: str, tmp_path: Path) -> AsyncIterator[DockerContainers]:
    labels = {ROOT_LABEL: root_name(str(tmp_path))}
    made = DockerEngine(DockerConfig(host=docker_host), str(tmp_path), labels)
    yield made.containers
    made.close()


def _sweep(containers: DockerContainers, root: Path, *wanted: str) -> ContainerSweep:
    async def engine() -> DockerContainers:
        return containers

    async def is_wanted(run_id: str) -> bool:
        return run_id in wanted

    return ContainerSweep(engine, str(root), is_wanted)


def _container(client: docker.DockerClient, image: str, root: str, **labels: str) -> str:
    named = {label.replace("_", "."): value for label, value in labels.items()}
    return str(client.containers.create(image, ["true"], labels={ROOT_LABEL: root_name(root), **named}).id)


async def test_what_another_daemon_of_the_root_left_is_removed_and_nothing_else(
    containers: DockerContainers, client: docker.DockerClient, base_image: str, tmp_path: Path
):
    left = [
        _container(client, base_image, str(tmp_path), org_roost_probe="another"),
        _container(client, base_image, str(tmp_path), org_roost_run="over"),
    ]
    kept = [
        _container(client, base_image, str(tmp_path), org_roost_probe=containers.probe_mark),
        _container(client, base_image, str(tmp_path), org_roost_run="open"),
        _container(client, base_image, "/another", org_roost_probe="another"),
    ]
    await _sweep(containers, tmp_path, "open").run()
    there = {each.id for each in await containers.find()}
    for container in kept:
        client.api.remove_container(container)
    assert there.isdisjoint(left)
    assert there.issuperset(kept)


async def test_what_could_not_be_removed_is_removed_later(
    containers: DockerContainers,
    client: docker.DockerClient,
    base_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(container_sweep, "AGAIN_SECONDS", 0.1)
    remove, failures = containers.remove, 3

    async def failing(container: str) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise EngineError("device or resource busy")
        await remove(container)

    monkeypatch.setattr(containers, "remove", failing)
    container = _container(client, base_image, str(tmp_path), org_roost_run="open")
    sweep = _sweep(containers, tmp_path, "open")
    await sweep.remove(container)
    assert container in {each.id for each in await containers.find()}
    deadline = time.monotonic() + 20
    while container in {each.id for each in await containers.find()}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await sweep.stop()


async def test_what_looks_into_an_image_carries_the_root_and_is_swept_where_it_stayed(
    containers: DockerContainers, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []
    is_file, mark = docker_containers.is_file_in_container, containers.probe_mark

    def looked(api: docker.APIClient, container: str, path: str) -> bool:
        labels = api.inspect_container(container)["Config"]["Labels"]
        assert labels == {ROOT_LABEL: root_name(str(tmp_path)), PROBE_LABEL: mark}
        seen.append(container)
        return is_file(api, container, path)

    def busy(*_: object, **__: object) -> None:
        raise docker.errors.APIError("device or resource busy")

    monkeypatch.setattr(docker_containers, "is_file_in_container", looked)
    with monkeypatch.context() as patch:
        patch.setattr(docker.APIClient, "remove_container", busy)
        assert await containers.find_in_image(base_image, ("/bin/sh",), ()) == "/bin/sh"
    assert seen[0] in {each.id for each in await containers.find()}
    await _sweep(containers, tmp_path).run()
    assert seen[0] not in {each.id for each in await containers.find()}


def test_a_daemon_removes_what_a_killed_one_left(docker_roost: Roost, client: docker.DockerClient, base_image: str):
    docker_roost.ok("run", "--image", base_image, "--", "true")
    root = docker_roost.json("daemon", "status")["root"]
    docker_roost.ok("daemon", "stop")
    _container(client, base_image, root, org_roost_probe="another")
    docker_roost.ok("run", "--image", base_image, "--", "true")
    deadline = time.monotonic() + 20
    while client.api.containers(all=True, filters={"label": f"{ROOT_LABEL}={root_name(root)}"}):
        assert time.monotonic() < deadline
        time.sleep(0.05)
