"""The real application: in this process with a detector of blocking calls, or as a daemon of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from blockbuster import blockbuster_ctx
from tests.support.forked_daemons import ForkedDaemon, spawn_daemon

from roost.daemon.config.config import Config
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.routes.table import build_app
from roost.daemon.server.keys import EVENTS
from roost.daemon.server.peers import create_peer_check
from roost.daemon.server.sockets import bind_socket
from roost.store.disk.file_ops import remove_tree
from roost.store.store import Store


@pytest.fixture
def short_root() -> Iterator[str]:
    """A root on a path short enough for a socket."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield folder
    remove_tree(str(folder))


@dataclass
class Served:
    """The application in this process, and a client of it."""

    path: str
    app: web.Application
    lifecycle: Lifecycle
    store: Store
    session: aiohttp.ClientSession
    runner: web.AppRunner

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        return await self.request("GET", path, **options)

    async def request(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.session.request(method, f"http://roost{path}", **options) as response:
            return response.status, await response.json(content_type=None)


@pytest.fixture
def config() -> Config:
    """The settings of `served`; a test may define its own."""
    return Config()


@pytest_asyncio.fixture
async def served(short_root: str, config: Config) -> AsyncIterator[Served]:
    """The real application on a Unix socket; a blocking call in the event loop fails the request and so the test."""
    path = f"{short_root}/roost.sock"
    with blockbuster_ctx(["roost.daemon", "roost.store"]) as detector:
        detector.functions["os.path.abspath"].deactivate()  # of an absolute path it asks the system nothing
        store = await Store.open(short_root)
        lifecycle = Lifecycle(0)
        app = build_app(store, config, lifecycle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await runner.setup()
        await app[EVENTS].begin()
        listener = await asyncio.to_thread(bind_socket, path, own_folder=True)
        loop = asyncio.get_running_loop()
        assert runner.server is not None
        server = await loop.create_unix_server(create_peer_check(runner.server), sock=listener)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            yield Served(path, app, lifecycle, store, session, runner)
        server.close()
        await lifecycle.run_hooks(5)
        await runner.cleanup()
        await store.close()


@dataclass
class Daemon:
    """`roostd` as a process of its own."""

    process: subprocess.Popen[str] | ForkedDaemon
    root: str
    socket: str

    def ask(self, path: str, method: str = "GET", data: object = None, headers: dict[str, str] | None = None) -> Any:
        return asyncio.run(ask(self.socket, path, method, data, headers))[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


async def ask(
    socket: str, path: str, method: str = "GET", data: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """One request to the daemon at ``socket``."""
    connector = aiohttp.UnixConnector(socket)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.request(method, f"http://roost{path}", json=data, headers=headers) as response,
    ):
        return response.status, json.loads(await response.text())


@dataclass
class Daemons:
    """Starts daemons, and ends all of them. Those of a test that is marked ``starts_daemon`` are no forks."""

    root: str
    forks: bool
    started: list[subprocess.Popen[str] | ForkedDaemon] = field(default_factory=list)

    def spawn(self, *arguments: str, **variables: str) -> subprocess.Popen[str] | ForkedDaemon:
        """Start one and do not wait for it."""
        environ = {**os.environ, "ROOST_HOME": self.root, "ROOST_CONFIG": f"{self.root}.toml", **variables}
        Path(environ["ROOST_CONFIG"]).touch()
        process: subprocess.Popen[str] | ForkedDaemon
        if self.forks:
            process = spawn_daemon(arguments, environ)
        else:
            command = [sys.executable, "-m", "roost.daemon.main", *arguments]
            process = subprocess.Popen(
                command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        self.started.append(process)
        return process

    def start(self, *arguments: str, **variables: str) -> Daemon:
        """Start one and wait until it serves."""
        process = self.spawn(*arguments, **variables)
        daemon = Daemon(process, self.root, variables.get("ROOST_SOCKET", f"{self.root}/roost.sock"))
        wait_until_served(daemon.socket, process)
        return daemon

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def wait_until_served(socket: str, process: subprocess.Popen[str] | ForkedDaemon | None = None) -> Any:
    """Until the version is told; fails with what the daemon said where it ended first."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            pytest.fail(f"the daemon ended with {process.returncode}: {process.communicate()}")
        try:
            return asyncio.run(ask(socket, "/v1/version"))[1]
        except OSError:
            time.sleep(0.05)
    return pytest.fail("the daemon does not answer")


@pytest.fixture
def daemons(short_root: str, request: pytest.FixtureRequest) -> Iterator[Daemons]:
    """Daemons on a fresh root."""
    starter = Daemons(short_root, forks="starts_daemon" not in request.keywords)
    yield starter
    starter.end()
    Path(f"{short_root}.toml").unlink(missing_ok=True)
