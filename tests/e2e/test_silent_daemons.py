"""A daemon that does not answer, or whose files were removed: clients name its process, and `daemon stop` ends it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.roost_process import Roost

pytestmark = [pytest.mark.starts_daemon, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]
API = "from roost.client import Environment, Workspace; dict(Environment.list(Workspace()))"
STUCK = """\
import asyncio, time
from roost.daemon.main import main
async def examine(*arguments):
    print("stuck", flush=True)
    await asyncio.to_thread(time.sleep, 600)
import roost.daemon.doctor.examination as examination
examination.examine = examine
main(["--start"])
"""
"""A daemon in which `doctor` blocks a thread for ever."""


def wait_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Whether the process is gone or a zombie: an init that reaps slowly leaves those."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.fixture
def pid(roost: Roost) -> Iterator[int]:
    """The process of a daemon that runs."""
    roost.ok("daemon", "start")
    found = roost.json("daemon", "status")["pid"]
    yield found
    if not has_ended(found):
        os.kill(found, signal.SIGCONT)


@pytest.fixture
def suspended(pid: int) -> int:
    os.kill(pid, signal.SIGSTOP)
    return pid


def test_the_status_of_a_suspended_daemon_says_so(roost: Roost, suspended: int) -> None:
    done = roost.run("daemon", "status")
    assert done.returncode == 5
    assert f"does not answer: process {suspended}, suspended" in done.stdout
    body = roost.failed(5, "daemon", "status")
    assert (body["running"], body["answers"], body["pid"]) == (True, False, suspended)


@pytest.mark.parametrize("command", [("env", "list"), ("exec", "--", "true"), ("runs", "list", "--json")])
def test_a_command_names_the_process_and_waits_on(roost: Roost, suspended: int, command: tuple[str, ...]) -> None:
    roost.write("requirements.txt", "")
    process = roost.start(*command)
    assert process.stderr is not None
    line = process.stderr.readline()
    assert f"the roost daemon (process {suspended}), which is suspended, does not answer; waiting …" in line
    assert "`roost daemon stop` ends it" in line
    assert process.poll() is None
    os.kill(suspended, signal.SIGCONT)
    process.communicate(timeout=60)
    if command[0] != "exec":  # which has no environment to run in
        assert process.returncode == 0


def test_the_python_api_names_the_process_and_waits_on(roost: Roost, suspended: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", API], env=roost.environ, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert f"(process {suspended}), which is suspended, does not answer" in process.stderr.readline()
    os.kill(suspended, signal.SIGCONT)
    assert process.wait(30) == 0
    process.stderr.close()


def test_stop_ends_a_suspended_daemon(roost: Roost, suspended: int) -> None:
    assert roost.json("daemon", "stop") == {"stopped": True, "pid": suspended, "signal": "SIGTERM"}
    assert has_ended(suspended)
    assert roost.json("daemon", "stop") == {"stopped": False}
    roost.ok("env", "list")


def test_stop_ends_a_daemon_with_a_stuck_thread(roost: Roost) -> None:
    roost.config.write_text(roost.config.read_text() + "[daemon]\nstop_timeout_seconds = 1\n")
    output = roost.folder / "output"
    with output.open("w") as stream:
        process = subprocess.Popen([sys.executable, "-c", STUCK], env=roost.environ, stdout=stream)
    wait_until(lambda: roost.run("daemon", "status").returncode == 0)
    waiting = [roost.start("doctor") for _ in range(40)]
    wait_until(lambda: output.read_text().count("stuck") == 40)
    for client in waiting:
        client.send_signal(signal.SIGSTOP)  # each would start a daemon when this one ends
    assert roost.json("daemon", "stop") == {"stopped": True, "pid": process.pid, "signal": None}
    assert process.wait(1) == 0
    for client in waiting:
        client.kill()


def test_a_removed_socket_is_bound_again(roost: Roost, pid: int) -> None:
    socket = roost.root / "roost.sock"
    socket.unlink()
    roost.ok("env", "list")
    assert roost.json("daemon", "status")["pid"] == pid
    wait_until(socket.exists)
    assert socket.stat().st_mode & 0o777 == 0o600


def test_a_socket_outside_the_root_is_bound_again(roost: Roost, tmp_path: Path) -> None:
    folder = roost.folder / "sockets"
    folder.mkdir(mode=0o700)
    roost.variables["ROOST_SOCKET"] = str(folder / "s")
    roost.ok("daemon", "start")
    pid = roost.json("daemon", "status")["pid"]
    shutil.rmtree(folder)
    wait_until(lambda: (folder / "s").exists())
    assert roost.json("daemon", "status")["pid"] == pid
    (folder / "s").unlink()
    wait_until(lambda: (folder / "s").exists())
    assert roost.json("daemon", "status")["pid"] == pid


def test_removed_folders_and_lock_are_created_again(roost: Roost, pid: int) -> None:
    names = ("prefixes", "stage", "launch", "runs", "logs", "trash")
    for name in names:
        shutil.rmtree(roost.root / name)
    (roost.root / "lock").unlink()
    wait_until(lambda: (roost.root / "lock").exists() and all((roost.root / name).is_dir() for name in names))
    wait_until(lambda: (roost.root / "lock").read_text().startswith(f"{pid}\n"))
    wait_until(lambda: "was removed" in roost.ok("daemon", "logs"))
    assert roost.json("daemon", "status")["pid"] == pid
    second = subprocess.run(
        [sys.executable, "-m", "roost.daemon.main"], env=roost.environ, capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert f"process {pid}" in second.stderr


def test_a_suspended_daemon_without_socket_and_lock_is_named(roost: Roost, suspended: int) -> None:
    (roost.root / "roost.sock").unlink()
    (roost.root / "lock").unlink()
    body = roost.failed(5, "env", "list")
    assert f"(process {suspended}) holds {roost.root}, but its socket" in body["message"]
    assert "roost daemon stop" in body["hint"]
    assert roost.failed(5, "daemon", "status")["pid"] == suspended
    assert roost.json("daemon", "stop") == {"stopped": True, "pid": suspended, "signal": "SIGTERM"}
    assert has_ended(suspended)


@pytest.mark.parametrize("part", ["index.db", "."])
def test_without_index_or_root_the_daemon_ends(roost: Roost, pid: int, part: str) -> None:
    roost.write("roost.toml", "name = 'train'\n")
    roost.ok("env", "register")
    path = roost.root / part
    while path.exists():  # a slow removal of the whole root may be overtaken by a repair
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    wait_until(lambda: has_ended(pid))
    assert ("train" in roost.ok("env", "list")) == (part == "index.db"), "the index was still open"
    assert roost.json("daemon", "status")["pid"] != pid
