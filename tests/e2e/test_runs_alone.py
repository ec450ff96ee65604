"""Runs whose client, supervisor or daemon is away at the wrong moment: the record tells the truth all the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.store.disk.run_folders import open_supervisor

SLOW = (
    "import os, time, pathlib\nprint(os.getpid(), os.getppid(), flush=True)\n"
    "while not pathlib.Path('go').exists():\n"
    "    if not pathlib.Path('slow.py').exists(): raise SystemExit('the test is over')\n"
    "    time.sleep(0.02)\nprint('done')\n"
)
STOP_SECONDS = 30
"""For the daemon of these tests; more than a slow machine takes for a stop that waits for nothing."""


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def ready(roost: Roost, pip_index: PipIndex) -> Roost:
    """roost with an environment that is ready, and a script that runs until there is a file ``go``."""
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.write("slow.py", SLOW)
    roost.config.write_text(f"{roost.config.read_text()}[daemon]\nstop_timeout_seconds = {STOP_SECONDS}\n")
    roost.ok("build")
    return roost


def started(roost: Roost) -> tuple[str, int, int]:
    """A detached run that runs: its id, the command's pid and the supervisor's."""
    run_id = roost.json("run", "--detach", "--", "python", "slow.py")["id"]
    output = roost.root / "runs" / run_id / "output"
    wait_for(lambda: output.exists() and output.read_text().endswith("\n"))
    command, supervisor = map(int, output.read_text().split())
    return run_id, command, supervisor


def test_the_exit_file_is_there_before_the_daemon_is_told(ready: Roost) -> None:
    run_id, _, _ = started(ready)
    daemon = ready.daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    try:
        ready.write("go", "")
        exit_file = ready.root / "runs" / run_id / "exit"
        wait_for(exit_file.exists)
        assert json.loads(exit_file.read_text())["exit_status"] == 0
    finally:
        os.kill(daemon, signal.SIGCONT)
    wait_for(lambda: ready.json("runs", "show", run_id)["state"] == "succeeded")


def test_a_command_that_outlives_its_supervisor_is_running_until_it_ends(ready: Roost) -> None:
    run_id, command, supervisor = started(ready)
    os.kill(supervisor, signal.SIGKILL)
    time.sleep(0.2)
    assert ready.json("runs", "show", run_id)["state"] == "running"
    assert ready.failed(2, "runs", "cancel", run_id)["code"] == "run-over"
    os.kill(command, signal.SIGKILL)
    wait_for(lambda: ready.json("runs", "list")["runs"][0]["state"] == "lost")


def test_runs_go_on_over_a_graceful_stop_and_are_watched_again(ready: Roost) -> None:
    run_id, command, _ = started(ready)
    began = time.monotonic()
    ready.ok("daemon", "stop")
    assert time.monotonic() - began < STOP_SECONDS / 2
    assert Path(f"/proc/{command}").exists()
    assert ready.json("runs", "show", run_id)["state"] == "running"
    ready.ok("runs", "cancel", run_id)
    wait_for(lambda: ready.json("runs", "show", run_id)["state"] == "cancelled")


def test_a_pid_that_is_used_again_is_never_signalled(ready: Roost) -> None:
    run_id, command, supervisor = started(ready)
    ready.ok("daemon", "stop")
    os.kill(supervisor, signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        pid_file = ready.root / "runs" / run_id / "pid"
        _, born = pid_file.read_text().split()
        pid_file.write_text(f"{stranger.pid} {born}")
        assert open_supervisor(str(pid_file.parent)) is None
        assert ready.json("runs", "show", run_id)["state"] == "running"
        assert ready.failed(2, "runs", "cancel", run_id)["code"] == "run-over"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        os.kill(command, signal.SIGKILL)


def test_a_client_that_goes_before_it_began_leaves_no_run_preparing(ready: Roost) -> None:
    what: dict[str, Any] = {"what": {"cwd": str(ready.folder)}, "command": ["python", "-c", "pass"]}
    body = json.dumps(what)
    code = (
        "import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        "b = sys.argv[2].encode()\n"
        "h = b'POST /v1/runs HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n'\ns.sendall(h % len(b) + b)\n"
        "print(s.recv(100000).decode(), flush=True); time.sleep(60)"
    )
    client = subprocess.Popen(
        ["python3", "-c", code, str(ready.root / "roost.sock"), body], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout is not None
    assert " 200 " in client.stdout.readline()
    assert ready.json("runs", "list")["runs"][0]["state"] == "preparing"
    client.kill()
    client.communicate()
    wait_for(lambda: ready.json("runs", "list")["runs"][0]["state"] == "lost")


async def test_the_wire_says_busy_while_a_run_is_in_front_and_idle_after(ready: Roost) -> None:
    client = ready.start("run", "--", "python", "slow.py")
    wait_for(lambda: [run["state"] for run in ready.json("runs", "list")["runs"]] == ["running"])
    assert ready.json("daemon", "status")["idle"] is False
    ready.write("go", "")
    await asyncio.to_thread(client.wait)
    assert ready.json("daemon", "status")["idle"] is True


def test_a_stop_ends_builds_streams_and_runs_that_are_made_ready(ready: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("hangs", "1.0")
    pip_index.hanging.add("hangs-1.0-py3-none-any.whl")
    running, _, _ = started(ready)
    ready.write("requirements.txt", "hangs\n")
    build = ready.start("build", "--json")
    preparing = ready.json("run", "--detach", "--", "python", "-c", "pass")["id"]
    follower = ready.start("runs", "logs", "-f", running)
    events = ready.start("events", "-f", "--since", "0")
    for stream in (follower, events):  # one of which nothing has come yet is requested again, from the next daemon
        assert stream.stdout is not None
        assert stream.stdout.readline()
    wait_for(lambda: any(path.endswith("/hangs-1.0-py3-none-any.whl") for path in pip_index.asked))
    wait_for(lambda: ready.json("builds", "list")["builds"][0]["state"] in ("solving", "building"))
    began = time.monotonic()
    ready.ok("daemon", "stop")
    took = time.monotonic() - began
    out, _ = build.communicate(timeout=20)
    assert json.loads(out.strip().splitlines()[-1])["code"] in ("build-cancelled", "unreachable")
    for process in (follower, events):
        process.communicate(timeout=20)
    pip_index.hanging.clear()
    assert ready.json("builds", "list")["builds"][0]["state"] == "cancelled"
    assert ready.json("runs", "show", preparing)["state"] == "failed"
    assert ready.json("runs", "show", preparing)["error"]["code"] == "build-cancelled"
    assert took < STOP_SECONDS, "nothing had to be waited for to its limit"
    assert ready.json("build")["build"]["state"] == "succeeded"


def test_sockets_of_vanished_clients_are_no_interest(ready: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("hangs", "1.0")
    pip_index.hanging.add("hangs-1.0-py3-none-any.whl")
    ready.write("requirements.txt", "hangs\n")
    body = json.dumps({"what": {"cwd": str(ready.folder)}}).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(ready.root / "roost.sock"))
        head = b"POST /v1/builds HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.sendall(head + body)
        wait_for(lambda: any(path.endswith("/hangs-1.0-py3-none-any.whl") for path in pip_index.asked))
    wait_for(lambda: ready.json("builds", "list")["builds"][0]["state"] == "cancelled")
