"""Runs whose end could not be learned, or not be written, when it came: the engine is asked again later."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest
import pytest_asyncio
from aiohttp import web

from roost.daemon.config.config import load_config
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.routes.table import build_app
from roost.daemon.runs import containers
from roost.daemon.server.keys import EVENTS
from roost.daemon.services import SERVICES, Services
from roost.model.errors import StoreFullError
from roost.store.store import Store

Post = Callable[[dict[str, Any]], Any]


@pytest_asyncio.fixture
async def work(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Services, Post]]:
    """The application in this process, so that a test can let it fail, and a way to start runs."""
    monkeypatch.setattr(containers, "AGAIN_SECONDS", 0.5)
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    Path(root, "config.toml").write_text(f'[docker]\nhost = "{docker_host}"\n')
    monkeypatch.setenv("ROOST_CONFIG", f"{root}/config.toml")
    store, lifecycle = await Store.open(root), Lifecycle(0)
    app = build_app(store, load_config(), lifecycle)
    runner = web.AppRunner(app)
    await runner.setup()
    await app[EVENTS].begin()
    await web.UnixSite(runner, f"{root}/s").start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(f"{root}/s")) as session:

        async def post(body: dict[str, Any]) -> Any:
            async with session.post("http://roost/v1/runs", json=body) as response:
                return (await response.json())["run"]["id"]

        yield app[SERVICES], post
    await lifecycle.run_hooks(5)
    await runner.cleanup()
    await store.close()
    await asyncio.to_thread(shutil.rmtree, root)


def _detached(image: str, folder: Path, script: str) -> dict[str, Any]:
    command = ["sh", "-c", script]
    what = {"cwd": str(folder), "command": command, "image": image}
    return {"what": what, "command": command, "target": "docker", "detach": True}


async def _until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


async def test_an_end_that_cant_be_written_is_asked_for_again(
    work: tuple[Services, Post],
    client: docker.DockerClient,
    base_image: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """The container stays until then: nobody else knows how the run ended."""
    (parts, post), there = work, []
    end = parts.runs.records.end

    async def full(run_id: str, outcome: Any) -> Any:
        there.append(await asyncio.to_thread(_containers, client, run_id))
        if len(there) < 3:
            raise StoreFullError("No space is left")
        return await end(run_id, outcome)

    monkeypatch.setattr(parts.runs.records, "end", full)
    run_id = await post(_detached(base_image, tmp_path, "echo said; exit 3"))

    async def over() -> bool:
        return (await parts.runs.get(run_id)).state == "failed"

    await _until(over)
    assert (await parts.runs.get(run_id)).exit_status == 3
    assert there == [1, 1, 1]
    assert (Path(parts.runs.records.folder(run_id)) / "output").read_text() == "said\n"

    async def gone() -> bool:
        return not await asyncio.to_thread(_containers, client, run_id)

    await _until(gone)


def _containers(client: docker.DockerClient, run_id: str) -> int:
    return len(client.containers.list(all=True, ignore_removed=True, filters={"label": f"org.roost.run={run_id}"}))


async def test_a_run_that_is_cancelled_in_the_moment_that_it_starts_ends(
    work: tuple[Services, Post], base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A container that is not running takes no signal."""
    parts, post = work
    engine = (await parts.engines.docker()).containers
    start = engine.start

    async def cancelled_first(container: str) -> None:
        [run_id] = parts.runs.containers._containers
        await parts.runs.containers.cancel(run_id)
        await asyncio.sleep(0.2)
        await start(container)

    monkeypatch.setattr(engine, "start", cancelled_first)
    run_id = await post(_detached(base_image, tmp_path, "sleep 100"))

    async def over() -> bool:
        return (await parts.runs.get(run_id)).state == "cancelled"

    await _until(over)
