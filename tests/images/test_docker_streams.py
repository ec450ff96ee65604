"""The standard streams of a command in a container: what reads slowly, is closed, in the background, or broken off."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.roost_process import ROOST, Roost


@pytest.fixture
def words(docker_roost: Roost, base_image: str) -> list[str]:
    """The words before a command, whose image is known, so that the next run is a warm one."""
    found = ["run", "-q", "-t", "docker", "--image", base_image, "--"]
    docker_roost.ok(*found, "true")
    return found


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 5), (signal.SIGTERM, 6)])
def test_signals_reach_a_command_that_does_not_read_its_input(
    docker_roost: Roost, words: list[str], number: int, status: int
):
    script = "trap 'exit 5' INT; trap 'exit 6' TERM; echo ready; while :; do sleep 0.1; done"
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        process = docker_roost.start(*words, "sh", "-c", script, stdin=yes.stdout)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)  # the pipes in between are full by now
        process.send_signal(number)
        assert process.wait(20) == status
        yes.kill()


def test_a_client_that_goes_is_noticed_though_its_input_is_not_read(
    docker_roost: Roost, client: docker.DockerClient, words: list[str]
):
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        process = docker_roost.start(*words, "sh", "-c", "echo ready; sleep 100", stdin=yes.stdout)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(1)
        process.kill()
        yes.kill()
    run = docker_roost.json("runs", "list")["runs"][0]
    _until(
        lambda: (
            not client.containers.list(all=True, ignore_removed=True, filters={"label": f"org.roost.run={run['id']}"})
        )
    )
    _until(lambda: docker_roost.json("runs", "show", run["id"])["state"] == "cancelled")


def test_signals_reach_the_command_while_nobody_reads_what_it_prints(docker_roost: Roost, words: list[str]):
    script = "trap 'touch told; exit 6' TERM; (yes &); touch going; while :; do sleep 0.1; done"
    process = docker_roost.start(*words, "sh", "-c", script)
    _until((docker_roost.folder / "going").exists)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _until((docker_roost.folder / "told").exists)
    process.communicate(timeout=30)
    assert process.returncode == 6


def test_input_and_output_are_whole_when_both_are_large(docker_roost: Roost, words: list[str]):
    data = os.urandom(3 << 20).hex()
    done = docker_roost.run(*words, "tee", "/dev/stderr", input=data)
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == (data, data)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_other_stream(docker_roost: Roost, words: list[str], closed: str):
    script = 'cat; echo said; echo complained >&2; echo "$(ls -l /proc/self/fd | wc -l)" > seen; exit 7'
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}', ROOST, *words, "sh", "-c", script]
    done = subprocess.run(
        shell, cwd=docker_roost.folder, env=docker_roost.environ, input="", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 7
    assert (done.stdout, done.stderr) == (
        "" if ">&-" in closed.replace("2>&-", "") else "said\n",
        "" if "2>&-" in closed else "complained\n",
    )


def test_a_reader_that_goes_ends_the_command_and_nothing_is_said(
    docker_roost: Roost, client: docker.DockerClient, words: list[str]
):
    process = docker_roost.start(*words, "yes")
    assert process.stdout is not None
    assert process.stdout.readline() == "y\n"
    process.stdout.close()
    assert process.wait(30) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    run = docker_roost.json("runs", "list")["runs"][0]
    _until(lambda: docker_roost.json("runs", "show", run["id"])["state"] == "cancelled")


def test_output_on_a_full_disk_is_told(docker_roost: Roost, words: list[str]):
    with open("/dev/full", "w") as full:
        process = docker_roost.start(*words, "echo", "much", stdout=full)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 125
    assert errors == "roost: The output can't be written: No space left on device.\n  " + (
        "Free some space, or redirect it.\n"
    )


@contextlib.contextmanager
def _session(roost: Roost, *command: str) -> Iterator[int]:
    """``command`` as the leader of a terminal's session; the terminal's other end."""
    pid, descriptor = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        os.chdir(roost.folder)
        os.execve(command[0], command, roost.environ)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _said(descriptor: int, text: bytes) -> bytes:
    data, deadline = b"", time.monotonic() + 30
    while text not in data:
        assert select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0], data
        data += os.read(descriptor, 4096)
    return data


def test_every_key_reaches_the_command_at_a_terminal(docker_roost: Roost, words: list[str]):
    """Ctrl-P, and Ctrl-P Ctrl-Q, by which docker's own client would leave."""
    script = "stty raw -echo; echo ready; head -c 4 | od -An -tx1; echo over"
    with _session(docker_roost, ROOST, *words, "sh", "-c", script) as terminal:
        _said(terminal, b"ready")
        os.write(terminal, b"\x10")
        os.write(terminal, b"\x10\x11a")
        assert b"10 10 11 61" in _said(terminal, b"over")


def test_a_run_in_the_background_goes_on_whatever_is_typed(docker_roost: Roost, words: list[str], tmp_path: Path):
    """As ``roost run … &`` in an interactive shell, with its output at the terminal or elsewhere."""
    shell = (sys.executable, "-c", JOBS, ROOST, *words, "sh", "-c", "sleep 2; echo ended > $0; exit 3")
    for place in ("at", "apart"):
        with _session(docker_roost, *shell, place) as terminal:
            _said(terminal, b"begun")
            time.sleep(1)
            os.write(terminal, b"typed\r")
            assert b"status 3" in _said(terminal, b"status")
        assert (docker_roost.folder / place).read_text() == "ended\n"


JOBS = """import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    if sys.argv[-1] == "apart":
        log = os.open("log", os.O_CREAT | os.O_WRONLY)
        os.dup2(log, 1), os.dup2(log, 2)
    os.execv(sys.argv[1], sys.argv[1:])
os.write(1, b"begun")
_, status = os.waitpid(pid, os.WUNTRACED)
os.write(1, b"stopped status" if os.WIFSTOPPED(status) else b"status %d" % os.waitstatus_to_exitcode(status))
"""


def _until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
