"""What the tests of the conda engine share: an engine on the local channels, locks, and a channel over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web
from tests.support.forked_daemons import start_workers
from tests.support.forked_workers import use_forked_workers

from roost.daemon.engines.conda.channels import CondaConfig
from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.workers.pool import WorkerPool
from roost.model.locks.lock import CondaPackage, CondaPython, Lock

FORGE = "https://conda.anaconda.org/conda-forge"
SECOND = "https://conda.anaconda.org/second"


def engine(folder: Path, channels_folder: Path, **settings: Any) -> CondaEngine:
    """An engine with an empty cache in ``folder`` whose conda-forge and second are the local channels."""
    mirrors = {name: [(channels_folder / name).as_uri()] for name in ("conda-forge", "second")}
    config = CondaConfig(**{"mirrors": mirrors, **settings})
    with ThreadPoolExecutor(1) as thread:  # making one reads the disk: the daemon does it in a thread as well
        return thread.submit(
            CondaEngine, str(folder / "cache"), str(folder / "bytecode"), config, open_workers(folder)
        ).result()


_POOLS: list[tuple[WorkerPool, asyncio.AbstractEventLoop | None, str]] = []
"""Each with the event loop and the test that opened it; no loop if a thread did."""


_RESETS: list[Callable[[], None]] = []
STARTS = "ROOST_TEST_STARTS_WORKERS"
"""Set where workers are the subject of a test: they are started as always."""


def open_workers(folder: Path) -> WorkerPool:
    """Workers of a test, which ends them by :func:`close_workers`: nobody can once its event loop is closed. They are
    forks (``tests.support.forked_workers``)."""
    if "PYTEST_CURRENT_TEST" in os.environ and STARTS not in os.environ and not _RESETS:
        _RESETS.append(use_forked_workers(start_workers()))
    left = [test for _, loop, test in _POOLS if loop is not None and loop.is_closed()]
    assert not left, f"{left} left workers behind"
    pool = WorkerPool(str(folder / "workers"))
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    _POOLS.append((pool, loop, os.environ.get("PYTEST_CURRENT_TEST", "")))
    return pool


async def close_workers() -> None:
    while _RESETS:
        _RESETS.pop()()
    while _POOLS:
        await _POOLS.pop()[0].close()


async def solve(
    conda: CondaEngine, *specs: str, channels: Sequence[str] = ("conda-forge",), **more: Any
) -> list[CondaPackage]:
    options: dict[str, Any] = {"platform": "linux-64", "system": {}, **more}
    return await conda.solve(channels=channels, specs=specs, **options)


def named(packages: Sequence[CondaPackage]) -> dict[str, str]:
    return {package.name: package.version for package in packages}


def lock_of(packages: Sequence[CondaPackage]) -> Lock:
    return Lock(platform="linux-64", provider=CondaPython(), conda=tuple(packages))


def run(prefix: Path, *command: str, **options: Any) -> str:
    """Output of a command of the prefix, without anything ambient."""
    done = subprocess.run(
        [str(prefix / "bin" / command[0]), *command[1:]],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def wait_until(condition: Callable[[], object]) -> None:
    """Until ``condition`` holds, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


class HttpChannel:
    """The local channels over HTTP, with faults on command: ``fault`` maps a part of a path to what happens there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.fault: dict[str, str] = {}
        self.requests: list[web.Request] = []
        self.released = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        path = self.folder / request.match_info["path"].removeprefix("t/").removeprefix("tok-en/")
        kind = next((kind for part, kind in self.fault.items() if part in request.path), "")
        if not path.is_file():
            return web.Response(status=404)
        if kind == "refuse":
            return web.Response(status=403)
        if kind == "hang":
            await self.released.wait()
        data = path.read_bytes()
        if kind == "lie":
            data = data[:-1] + bytes([data[-1] ^ 1])
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await self._send(request, response, data, kind)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, data: bytes, kind: str) -> None:
        if request.method == "HEAD":
            return
        if kind in ("truncate", "stall"):
            await response.write(data[: len(data) // 2])
            if kind == "stall":
                await self.released.wait()
            assert request.transport is not None
            request.transport.close()
            return
        with contextlib.suppress(ConnectionError):
            await response.write(data)


@contextlib.asynccontextmanager
async def http_channel(folder: Path) -> AsyncIterator[HttpChannel]:
    """Serve ``folder`` on a free port of this machine."""
    channel = HttpChannel(folder)
    app = web.Application()
    app.router.add_get("/{path:.*}", channel.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    channel.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield channel
    finally:
        channel.released.set()
        await runner.cleanup()
