"""Many different new environments at once: a few are solved at a time, the others wait in order and know it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

ENVIRONMENTS = int(os.environ.get("ROOST_TEST_ENVIRONMENTS", "64"))
"""``tests.soak`` asks for 300."""
SOLVES = 2


@pytest.fixture
def bounded(roost: Roost, pip_index: PipIndex) -> Roost:
    roost.config.write_text(roost.config.read_text() + f"[builds]\nsolves = {SOLVES}\nconcurrency = 1\n")
    for number in range(ENVIRONMENTS):
        pip_index.wheel("toy", f"1.{number}")
    return roost


@contextlib.contextmanager
def watched_processes(root: Path, words: str) -> Iterator[Callable[[], int]]:
    """How many processes at once of the daemon of ``root`` had ``words`` in their command line while the block ran.

    The daemon's own processes are looked at only: reading all of ``/proc`` so often would take a processor for itself.
    """
    most, stop = 0, threading.Event()
    daemon = Path("/proc", (root / "lock").read_text().partition("\n")[0])

    def list_processes() -> list[Path]:
        """Without what these fork, before its exec."""
        found: list[str] = []
        for path in daemon.glob("task/*/children"):
            with contextlib.suppress(OSError):
                found += path.read_text().split()
        return [Path("/proc", pid, "cmdline") for pid in found]

    def is_wanted(path: Path) -> bool:
        try:
            return words in path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return False

    def look() -> None:
        nonlocal most
        while not stop.is_set():
            found = [path for path in list_processes() if is_wanted(path)]
            # One may have ended while others were looked at, and another begun: those that are still there were there
            # at the same time.
            most = max(most, sum(is_wanted(path) for path in found))
            time.sleep(0.002)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield lambda: most
    finally:
        stop.set()
        thread.join()


def definition(roost: Roost, number: int) -> dict[str, str]:
    """Each is solved for; most of them lead to the same lock, since it is not installing that is in question."""
    sign = "==" if number % 8 == 0 else ">="
    path = roost.write(f"{number}/roost.toml", f'[pip]\nrequirements = ["toy{sign}1.{number}"]\n')
    return {"cwd": str(path.parent)}


async def build(
    session: aiohttp.ClientSession, what: dict[str, str], messages: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The messages of a build, which are in ``messages`` as they arrive."""
    messages = [] if messages is None else messages
    async with session.post("http://roost/v1/builds", json={"what": what}) as response:
        async for line in response.content:
            messages.append(json.loads(line))
    return messages


@contextlib.asynccontextmanager
async def connected(roost: Roost):
    socket = (await asyncio.to_thread(roost.json, "daemon", "status"))["socket"]
    timeout = aiohttp.ClientTimeout(total=600)
    connector = aiohttp.UnixConnector(socket, limit=ENVIRONMENTS + 10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


def waits(messages: list[dict[str, Any]]) -> list[int]:
    """How many were ahead at each beginning of the step ``wait``."""
    return [each["total"] for each in messages if each.get("step") == "wait" and each.get("state") == "started"]


@pytest.mark.long
async def test_many_different_environments_at_once_are_all_built_a_few_at_a_time(bounded: Roost):
    selectors = [definition(bounded, number) for number in range(ENVIRONMENTS)]
    await asyncio.to_thread(bounded.ok, "daemon", "start")
    with watched_processes(bounded.root, " pip compile ") as most:
        async with connected(bounded) as session:
            streams = await asyncio.gather(*(build(session, what) for what in selectors))
    last = [messages[-1] for messages in streams]
    assert [each.get("error") for each in last] == [None] * ENVIRONMENTS
    assert len({each["result"]["definition_digest"] for each in last}) == ENVIRONMENTS
    assert len({each["result"]["lock_digest"] for each in last}) >= ENVIRONMENTS // 8
    assert 1 <= most() <= SOLVES
    ahead = [number for messages in streams for number in waits(messages)]
    assert max(ahead) > ENVIRONMENTS // 2, "the last ones know how many are before them"


async def test_who_leaves_while_he_waits_is_not_solved_for_and_holds_nobody_up(bounded: Roost, pip_index: PipIndex):
    page = "/simple/slow/"
    pip_index.wheel("slow", "1.0")
    pip_index.wheel("slow-too", "1.0")
    pip_index.hanging |= {page, "/simple/slow-too/"}
    slow = [
        {"cwd": str(bounded.write(f"s{name}/roost.toml", f'[pip]\nrequirements = ["{name}"]\n').parent)}
        for name in ("slow", "slow-too")
    ]
    await asyncio.to_thread(bounded.ok, "daemon", "start")
    async with connected(bounded) as session:
        holding = [asyncio.create_task(build(session, what)) for what in slow]
        await until(lambda: sum("/slow" in path for path in pip_index.asked) >= SOLVES)
        said_to: tuple[list[dict[str, Any]], ...] = ([], [])
        leaving = asyncio.create_task(build(session, definition(bounded, 1), said_to[0]))
        await until(lambda: bool(waits(said_to[0])))
        staying = asyncio.create_task(build(session, definition(bounded, 2), said_to[1]))
        await until(lambda: bool(waits(said_to[1])))
        assert len(open_builds(bounded)) == 4
        leaving.cancel()
        await until(lambda: len(open_builds(bounded)) == 3)
        pip_index.hanging.clear()
        pip_index.let_go.set()
        messages = await staying
        await asyncio.gather(*holding)
    assert messages[-1]["result"]["state"] == "succeeded"
    assert waits(messages)[0] == 3, "two are being solved, and one that left later was before it"
    states = sorted(each["state"] for each in (await asyncio.to_thread(bounded.json, "builds", "list"))["builds"])
    assert states == ["cancelled", "succeeded", "succeeded", "succeeded"]
    assert not any("toy-1.1-" in path for path in pip_index.asked)


def open_builds(roost: Roost) -> list[dict[str, Any]]:
    return [each for each in roost.json("builds", "list")["builds"] if not each["ended"]]


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_more_clients_than_descriptors_wait_and_are_all_answered(roost: Roost, pip_index: PipIndex):
    """A daemon that may open 256 files, and 400 clients that keep their connections."""
    pip_index.wheel("toy", "1.0")
    roost.write("requirements.txt", "toy\n")
    few = (256, 256)
    process = roost.start("daemon", "start", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, few))
    assert await asyncio.to_thread(process.wait) == 0
    async with connected(roost) as session:
        assert session.connector is not None
        session.connector._limit = 400
        streams = await asyncio.gather(*(build(session, {"cwd": str(roost.folder)}) for _ in range(400)))
    assert {messages[-1]["result"]["state"] for messages in streams} <= {"succeeded", "joined", "not-needed"}
    assert "connections are open" in (roost.root / "logs/daemon.log").read_text()
