"""``exec`` and ``shell`` in images: a container for one command, of which nothing is recorded and nothing stays."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import tarfile
import time

import docker
from tests.support.roost_process import ROOST, Roost

from roost.daemon.engines.docker.labels import ROOT_LABEL, root_name


def _containers(client: docker.DockerClient, roost: Roost) -> set[str]:
    """Those of this test's root: others start theirs in the same engine."""
    label = f"{ROOT_LABEL}={root_name(str(roost.root))}"
    return {each["Id"] for each in client.api.containers(all=True, filters={"label": label})}


def _until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _read_until(terminal: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 4096)
    return seen


def test_a_command_is_as_if_it_ran_here_and_leaves_nothing(
    docker_roost: Roost, client: docker.DockerClient, python_image: str
):
    (docker_roost.folder / "sub").mkdir()
    script = docker_roost.write("sub/x.py", "import os, sys\nprint(os.getcwd(), sys.stdin.read())\nsys.exit(3)\n")
    call = ("exec", "-C", "sub", "--image", python_image, "--")
    done = docker_roost.run(*call, "python", "x.py", input="from here")
    assert (done.returncode, done.stdout) == (3, f"{script.parent} from here\n"), done.stderr
    done = docker_roost.run(*call, "nosuch")
    assert done.returncode == 127
    assert "nosuch" in done.stderr
    assert docker_roost.json("runs", "list")["runs"] == []
    _until(lambda: not _containers(client, docker_roost))


def test_a_killed_client_takes_its_container_along(docker_roost: Roost, client: docker.DockerClient, base_image: str):
    for number, ended in ((signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        command = ("exec", "-t", "docker", "--image", base_image, "--", "sh", "-c", "echo begun; sleep 1000 & wait")
        process = docker_roost.start(*command)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert len(_containers(client, docker_roost)) == 1
        process.send_signal(number)
        assert process.wait(30) == ended
        _until(lambda: not _containers(client, docker_roost))


def test_a_daemon_that_stops_leaves_no_command(docker_roost: Roost, client: docker.DockerClient, base_image: str):
    process = docker_roost.start("exec", "--image", base_image, "--", "sh", "-c", "echo begun; sleep 1000 & wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    docker_roost.ok("daemon", "stop")
    assert process.wait(30) > 0
    _until(lambda: not _containers(client, docker_roost))


def test_a_shell_has_a_terminal_and_the_working_folder(
    docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    docker_roost.write("data.txt", "")
    docker_roost.begin()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(docker_roost.folder)
        os.execve(ROOST, ["roost", "shell", "--image", base_image], {**docker_roost.environ, "TERM": "dumb"})
    _read_until(terminal, f"({base_image.rpartition('/')[2]})".encode())
    os.write(terminal, b"ls; tty; exit $((40+2))\n")
    assert b"data.txt" in _read_until(terminal, b"/dev/pts/")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    os.close(terminal)
    assert docker_roost.ok("shell", "--image", base_image, input="echo $((6*7))\n") == "42\n"
    _until(lambda: not _containers(client, docker_roost))


def test_an_image_without_a_shell_says_so(docker_roost: Roost, client: docker.DockerClient):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))
    client.api.import_image_from_data(content.getvalue(), repository="roost-shellless", tag="1")
    try:
        done = docker_roost.run("shell", "--image", "roost-shellless:1", stdin=subprocess.DEVNULL)
        assert done.returncode == 127
        assert "the image has no shell" in done.stderr
    finally:
        client.images.remove("roost-shellless:1", force=True)
