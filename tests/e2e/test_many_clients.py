"""Many who want the same new environment at once: one solve, one build, all answers right; and who may leave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

pytestmark = pytest.mark.starts_daemon

CONNECTIONS = 1000
PROCESSES = 40


async def build_over_socket(session: aiohttp.ClientSession, what: dict[str, str]) -> dict[str, object]:
    async with session.post("http://roost/v1/builds", json={"what": what}) as response:
        lines = [line async for line in response.content]
    last: dict[str, object] = json.loads(lines[-1])
    return last


async def many_connections(socket: str, what: dict[str, str]) -> list[dict[str, object]]:
    connector = aiohttp.UnixConnector(socket, limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=200)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        return await asyncio.gather(*(build_over_socket(session, what) for _ in range(CONNECTIONS)))


@pytest.fixture
def many_files() -> Iterator[None]:
    """A thousand connections need more descriptors than most shells allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if wanted < 2 * CONNECTIONS and not os.environ.get("ROOST_TEST_REQUIRE_ALL"):
        pytest.skip(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_connections_and_forty_processes_cause_one_build(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("daemon", "start")
    socket = roost.json("daemon", "status")["socket"]
    with ThreadPoolExecutor(PROCESSES) as pool:
        code = "import greet; print(greet.value)"
        processes = [pool.submit(roost.ok, "exec", "--", "python", "-c", code) for _ in range(PROCESSES)]
        answers = asyncio.run(many_connections(socket, {"cwd": str(roost.folder)}))
        printed = [process.result().strip() for process in processes]
    assert printed == ["1.0"] * PROCESSES
    results = [answer["result"] for answer in answers]
    states = {result["state"] for result in results}  # type: ignore[index]
    assert states <= {"succeeded", "joined", "not-needed"}
    assert len({(result["lock_digest"], result["generation"]) for result in results}) == 1  # type: ignore[index]
    assert len(roost.json("builds", "list")["builds"]) == 1
    assert len([p for p in (roost.root / "prefixes").iterdir() if p.is_dir()]) == 1
    # One solve and one install look at a wheel a few times (its length, its metadata, all of it); forty would show.
    assert sum(count for path, count in pip_index.asked.items() if path.endswith(".whl")) < 10


def slow_wheel(index: PipIndex) -> None:
    """A wheel whose download hangs until the index is told to let go."""
    name, content = wheel_bytes("slow", "1.0")
    index.add("slow", (name, content))
    index.hanging.add(name)


def begin(roost: Roost) -> subprocess.Popen[str]:
    return roost.start("build", start_new_session=True)


def wait_for_builds(roost: Roost, state: str, seconds: float = 30.0) -> dict[str, object]:
    deadline = time.monotonic() + seconds
    while True:
        builds = roost.json("builds", "list")["builds"]
        if builds and builds[0]["state"] == state:
            found: dict[str, object] = builds[0]
            return found
        assert time.monotonic() < deadline, builds
        time.sleep(0.05)


def wait_for_download(index: PipIndex) -> None:
    deadline = time.monotonic() + 30
    while not any(path.endswith(".whl") for path in index.asked):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_of_one_of_two_leaves_the_build_and_of_the_last_cancels_it(roost: Roost, pip_index: PipIndex) -> None:
    slow_wheel(pip_index)
    roost.write("requirements.txt", "slow\n")
    first = begin(roost)
    wait_for_download(pip_index)
    second = begin(roost)
    assert second.stderr is not None
    while "build" not in second.stderr.readline() and "pip" not in second.stderr.readline():
        assert second.poll() is None
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    build = roost.json("builds", "list")["builds"][0]
    assert build["state"] in ("solving", "building")
    second.send_signal(signal.SIGINT)
    assert second.wait(30) == 130
    ended = wait_for_builds(roost, "cancelled")
    assert ended["id"] == build["id"]
    assert not [p for p in (roost.root / "prefixes").iterdir() if p.is_dir()]
    assert uv_processes(roost) == []
    pip_index.hanging.clear()
    pip_index.let_go.set()
    assert roost.json("build")["build"]["state"] == "succeeded"


def test_cancelling_by_id_ends_it_for_everybody(roost: Roost, pip_index: PipIndex) -> None:
    slow_wheel(pip_index)
    roost.write("requirements.txt", "slow\n")
    waiting = begin(roost)
    wait_for_download(pip_index)
    roost.ok("builds", "cancel", roost.json("builds", "list")["builds"][0]["id"])
    assert waiting.wait(30) == 130
    assert wait_for_builds(roost, "cancelled")["error"]["code"] == "build-cancelled"  # type: ignore[index]


def uv_processes(roost: Roost) -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in lines if "/uv " in line and str(roost.root) in line]
