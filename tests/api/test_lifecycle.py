"""Starting, racing, serving and stopping, with real processes; most are forks of one that has imported the daemon."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unprivileged


@pytest.mark.starts_daemon
def test_sigterm_stops_it_in_order_and_takes_the_socket_away(daemons: Any) -> None:
    daemon = daemons.start()
    assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(daemon.root).st_mode) == 0o700
    assert daemon.stop() == 0
    assert not os.path.exists(daemon.socket)
    assert "Stopped" in Path(daemon.root, "logs", "daemon.log").read_text()


def test_shutdown_over_the_socket_answers_first(daemons: Any) -> None:
    daemon = daemons.start()
    assert daemon.ask("/v1/shutdown", "POST") == {"stopping": True, "pid": daemon.process.pid}
    assert daemon.process.wait(20) == 0


def test_shutdown_if_idle_stops_an_idle_one(daemons: Any) -> None:
    daemon = daemons.start()
    assert daemon.ask("/v1/version")["idle"] is True
    assert daemon.ask("/v1/shutdown", "POST", {"if_idle": True})["stopping"] is True
    assert daemon.process.wait(20) == 0


@pytest.mark.starts_daemon
def test_eight_starts_at_once_make_one_daemon(daemons: Any) -> None:
    processes = [daemons.spawn("--start") for _ in range(8)]
    deadline = time.monotonic() + 40
    while sum(p.poll() is None for p in processes) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    losers = [p for p in processes if p.poll() is not None]
    assert len(losers) == 7
    assert {p.returncode for p in losers} == {0}
    assert all(p.communicate() == ("", "") for p in losers)
    [winner] = [p for p in processes if p.poll() is None]
    daemon = type("Found", (), {"socket": f"{daemons.root}/roost.sock"})
    from_socket = _version_when_ready(daemon.socket)
    assert from_socket["pid"] == winner.pid


def _version_when_ready(path: str) -> dict[str, Any]:
    for _ in range(400):
        try:
            return json.loads(
                _raw(path, b"GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").split(b"\r\n\r\n")[1]
            )
        except OSError:
            time.sleep(0.05)
    raise AssertionError("no answer")


def _raw(path: str, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(path)
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(1.5)
"""


def test_a_start_while_another_is_on_its_way_out_takes_over(daemons: Any) -> None:
    command = [sys.executable, "-c", HOLD, f"{daemons.root}/lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        daemon = daemons.start("--start")
        assert daemon.ask("/v1/version")["pid"] == daemon.process.pid


@pytest.mark.starts_daemon
def test_a_thousand_connections_at_once_are_served(daemons: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        daemon = daemons.start("--start")
        answers = asyncio.run(_ask_all(daemon.socket, 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 1000


async def _ask_all(path: str, count: int) -> list[bytes]:
    """All are connected before the first asks."""
    streams = await asyncio.gather(*(asyncio.open_unix_connection(path) for _ in range(count)))
    for _, writer in streams:
        writer.write(b"GET /v1/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answers = [(await reader.read())[:17] for reader, _ in streams]
    for _, writer in streams:
        writer.close()
    return answers


def test_a_second_daemon_by_hand_says_who_has_the_root(daemons: Any) -> None:
    first = daemons.start()
    second = daemons.spawn()
    assert second.wait(30) == 5
    error = json.loads(second.communicate()[1].strip().splitlines()[-1])
    assert error["code"] == "root-in-use"
    assert error["exit_status"] == 5
    assert str(first.process.pid) in error["message"]
    assert first.ask("/v1/version")["pid"] == first.process.pid


def test_a_socket_left_behind_is_replaced(daemons: Any) -> None:
    daemon = daemons.start()
    daemon.process.kill()
    daemon.process.wait()
    assert os.path.exists(daemon.socket)
    again = daemons.start()
    assert again.ask("/v1/version")["pid"] == again.process.pid


def test_a_file_in_the_sockets_place_is_left_alone(daemons: Any) -> None:
    Path(daemons.root, "roost.sock").write_text("mine")
    process = daemons.spawn("--start")
    assert process.wait(30) == 5
    assert json.loads(process.communicate()[1])["code"] == "socket-path"
    assert Path(daemons.root, "roost.sock").read_text() == "mine"


def test_a_folder_that_others_can_enter_is_refused_and_left_alone(daemons: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    process = daemons.spawn("--start", ROOST_SOCKET=f"/tmp/{tmp_path.name}.d/s")
    folder = Path(f"/tmp/{tmp_path.name}.d")
    try:
        assert process.poll() is None  # it makes a missing folder itself, private
        process.kill()
        process.communicate()
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        refused = daemons.spawn("--start", ROOST_SOCKET=f"{folder}/s")
        assert refused.wait(30) == 5
        assert json.loads(refused.communicate()[1])["code"] == "socket-path"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_socket_path_that_is_too_long_is_refused(daemons: Any) -> None:
    process = daemons.spawn("--start", ROOST_SOCKET="/tmp/" + "s" * 100)
    assert process.wait(30) == 5
    error = json.loads(process.communicate()[1])
    assert error["code"] == "socket-path"
    assert "ROOST_SOCKET" in error["hint"]


def test_a_root_of_an_unknown_format_is_refused_in_one_line(daemons: Any) -> None:
    Path(daemons.root, "format").write_text("999\n")
    process = daemons.spawn("--start")
    assert process.wait(30) == 5
    [line] = process.communicate()[1].strip().splitlines()
    assert json.loads(line)["code"] == "root-format"


def test_a_wrong_config_is_refused_with_its_line(daemons: Any) -> None:
    config = Path(f"{daemons.root}.toml")
    config.write_text('[conda]\nchannels = ["a"]\nchanels = []\n')
    process = daemons.spawn("--start")
    assert process.wait(30) == 5
    error = json.loads(process.communicate()[1])
    assert error["code"] == "config-invalid"
    assert error["location"] == {"path": str(config), "line": 3, "column": None}
    assert "channels" in error["hint"]


def test_it_ends_when_idle(daemons: Any) -> None:
    Path(f"{daemons.root}.toml").write_text("[daemon]\nidle_exit_seconds = 0.5\n")
    daemon = daemons.start("--start")
    assert daemon.process.wait(20) == 0
    assert "Stopping: idle" in Path(daemon.root, "logs", "daemon.log").read_text()


def test_an_open_stream_keeps_it_alive(daemons: Any) -> None:
    Path(f"{daemons.root}.toml").write_text("[daemon]\nidle_exit_seconds = 1.5\n")
    daemon = daemons.start("--start")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(daemon.socket)
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(20).startswith(b"HTTP/1.1 200")
        time.sleep(2.5)
        assert daemon.process.poll() is None
        assert daemon.ask("/v1/version")["idle"] is False
    assert daemon.process.wait(20) == 0


def test_stopping_ends_open_streams(daemons: Any) -> None:
    Path(f"{daemons.root}.toml").write_text("[daemon]\nstop_timeout_seconds = 60\n")
    daemon = daemons.start("--start")
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(daemon.socket)
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        received.append(stream.recv(65536))
        reader = threading.Thread(target=lambda: received.append(stream.recv(65536)))
        reader.start()
        assert daemon.stop() == 0  # within 20 s, and so not by the time-out
        reader.join()
    assert received[-1].endswith(b"0\r\n\r\n")  # the last chunk: an end, not a loss


def test_sigkill_then_start_serves_again(daemons: Any) -> None:
    for _ in range(2):
        daemon = daemons.start()
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    assert daemons.start().ask("/v1/version")["protocol"] == 1


def test_the_starters_variables_do_not_stay(daemons: Any) -> None:
    daemon = daemons.start(
        "--start",
        CONDA_PREFIX="/x",
        PIP_INDEX_URL="http://x",
        UV_CACHE_DIR="/x",
        PYTHONPATH="/nowhere",
        https_proxy="p",
        DOCKER_HOST="unix:///x",
    )
    log = Path(daemon.root, "logs", "daemon.log").read_text()
    for name in ("CONDA_PREFIX", "PIP_INDEX_URL", "UV_CACHE_DIR", "PYTHONPATH", "https_proxy", "DOCKER_HOST"):
        assert name in log


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not here")
def test_socket_activation(daemons: Any) -> None:
    path = f"{daemons.root}/a.sock"
    environ = {**os.environ, "ROOST_HOME": daemons.root, "ROOST_SOCKET": path}
    command = ["systemd-socket-activate", "-l", path, "-E", "ROOST_HOME", "-E", "ROOST_SOCKET", "-E", "PATH"]
    process = subprocess.Popen(
        [*command, sys.executable, "-m", "roost.daemon.main"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        version = _version_when_ready(path)
        assert version["pid"] == process.pid  # it replaces itself by the daemon
        variables = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"LISTEN_FDS=1" in variables  # as it was started; what children get is tested in test_sockets
        process.terminate()
        assert process.wait(20) == 0
        assert os.path.exists(path)  # systemd's, not ours to take away
    finally:
        process.kill()
        process.wait()


def test_systemd_is_told_when_it_is_ready(daemons: Any) -> None:
    address = f"{daemons.root}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(30)
        daemon = daemons.start("--start", NOTIFY_SOCKET=address)
        assert listener.recv(100) == b"READY=1"
        daemon.stop()
        assert listener.recv(100) == b"STOPPING=1"


def test_a_root_that_is_too_long_is_refused_with_the_limit(daemons: Any) -> None:
    process = daemons.spawn("--start", ROOST_HOME=f"{daemons.root}/{'r' * 200}")
    assert process.wait(30) == 5
    error = json.loads(process.communicate()[1])
    assert error["code"] == "root-too-long"
    assert "ROOST_HOME" in error["hint"]


def test_a_named_socket_elsewhere(daemons: Any) -> None:
    named = tempfile.mkdtemp(prefix="r", dir="/tmp")
    try:
        daemon = daemons.start("--start", ROOST_SOCKET=f"{named}/s")
        assert daemon.ask("/v1/version")["root"] == daemons.root
        assert daemon.stop() == 0
        assert os.listdir(named) == []
    finally:
        shutil.rmtree(named)


def test_a_request_that_is_under_way_is_answered_before_the_end(daemons: Any) -> None:
    daemon = daemons.start("--start")
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(20)
        stream.connect(daemon.socket)
        stream.sendall(b"GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n")
        stream.recv(65536)  # the connection is taken
        stream.sendall(b"GET /v1/doctor HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.03)  # uv and the interpreters are being asked
        daemon.process.terminate()
        answer = stream.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert daemon.process.wait(20) == 0


def test_a_client_on_another_socket_is_told_where_the_daemon_serves(daemons) -> None:
    folder = Path(f"{daemons.root}/s")
    folder.mkdir(mode=0o700)
    daemons.start(ROOST_SOCKET=f"{folder}/x.sock")
    loser = daemons.spawn("--start")
    _, said = loser.communicate(timeout=30)
    body = json.loads(said.strip().splitlines()[-1])
    assert (loser.returncode, body["code"]) == (5, "socket-elsewhere")
    assert f"ROOST_SOCKET={folder}/x.sock" in body["hint"]
