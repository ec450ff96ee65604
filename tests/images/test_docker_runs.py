"""``roost run --image REF``: a real container, as if the command ran here."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import docker
import pytest
from tests.support.roost_process import ROOST, Roost


def _containers(client: docker.DockerClient, run_id: str | None = None) -> list[str]:
    label = "org.roost.run" if run_id is None else f"org.roost.run={run_id}"
    return [each["Id"] for each in client.api.containers(all=True, filters={"label": label})]


def _until(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_command_runs_in_the_image_and_the_run_is_recorded(
    docker_roost: Roost, client: docker.DockerClient, python_image: str
):
    docker_roost.write("data.txt", "from the working folder")
    docker_roost.ok("daemon", "start")  # how long that takes is no matter here
    script = "import sys; print(open('data.txt').read()); print('to errors', file=sys.stderr); sys.exit(3)"
    done = docker_roost.run("run", "--image", python_image, "--", "python3", "-c", script)
    assert (done.returncode, done.stdout) == (3, "from the working folder\n"), done.stderr
    assert done.stderr == "to errors\n"
    [run] = docker_roost.json("runs", "list")["runs"]
    assert (run["state"], run["exit_status"], run["target"]) == ("failed", 3, "docker")
    assert run["interpreter"]["path"] == "/usr/bin/python3"
    _until(lambda: not _containers(client, run["id"]))


def test_the_plan_reuses_an_image_that_is_there(docker_roost: Roost, base_image: str):
    answer = docker_roost.json("plan", "--image", base_image)
    [plan] = answer["plans"]
    assert (plan["target"], plan["action"]) == ("docker", "reuse-image")
    assert plan["artifact"]["reference"] == base_image
    assert [reason["code"] for reason in plan["reasons"]] == ["user-managed", "image-ready"]


def test_the_plan_pulls_an_image_that_is_not_there(docker_roost: Roost):
    [plan] = docker_roost.json("plan", "--image", "127.0.0.1:1/none:1")["plans"]
    assert (plan["action"], plan["artifact"]) == ("pull-image", None)
    assert [step["kind"] for step in plan["steps"]] == ["pull"]


def test_python_and_scripts_mean_the_image_s_interpreter(docker_roost: Roost, python_image: str):
    docker_roost.write("show.py", "import sys; print(sys.executable, *sys.argv[1:])")
    for command in (["python", "show.py", "a"], ["show.py", "a"]):
        assert docker_roost.ok("run", "--image", python_image, "--", *command) == "/usr/bin/python3 a\n"


def test_standard_input_passes_through_to_its_end(docker_roost: Roost, base_image: str):
    data = "line\n" * 200_000
    done = docker_roost.run("run", "--image", base_image, "--", "cat", input=data)
    assert done.returncode == 0
    assert done.stdout == data


def test_files_belong_to_the_user_and_home_can_be_written(docker_roost: Roost, base_image: str):
    docker_roost.ok("run", "--image", base_image, "--", "sh", "-c", "id -u > made; id -g >> made; echo x > ~/file")
    made = docker_roost.folder / "made"
    assert made.read_text().split() == [str(os.getuid()), str(os.getgid())]
    assert made.stat().st_uid == os.getuid()


def test_variables_and_secrets_reach_the_command_and_nothing_else(
    docker_roost: Roost, base_image: str, python_image: str
):
    docker_roost.write(
        "roost.toml",
        f'[base]\nimage = "{base_image}"\n[python]\nuser_managed = true\ninterpreter = "/bin/sh"\n'
        '[variables]\nONE = "1"\nTWO = "2"\n'
        '[container]\nshm_size = "32m"\narguments = ["--hostname box", "--init-x"]\n',
    )
    body = docker_roost.failed(125, "run", "--", "true")
    assert body["code"] == "container-argument"
    path = docker_roost.folder / "roost.toml"
    path.write_text(path.read_text().replace(', "--init-x"', ""))
    shown = 'echo "$ONE $TWO $KEY $AMBIENT $(hostname)"; df -m /dev/shm | tail -1'
    variables = {"KEY": "hidden-value", "AMBIENT": "leaks"}
    words = ["run", "--var", "TWO=3", "--secret", "KEY", "--", "sh", "-c", shown]
    output = docker_roost.ok(*words, variables=variables).splitlines()
    assert output[0] == "1 3 hidden-value  box"
    assert output[1].split()[1] == "32"
    record = docker_roost.ok("runs", "list", "--json")
    assert "hidden-value" not in record
    assert json.loads(record)["runs"][0]["secrets"] == ["KEY"]
    for kept in [*docker_roost.root.glob("index.db*"), *docker_roost.root.rglob("*.log")]:
        assert b"hidden-value" not in kept.read_bytes()


def test_an_interpreter_that_is_not_in_the_image_is_refused(docker_roost: Roost, base_image: str):
    docker_roost.write(
        "roost.toml", f'[base]\nimage = "{base_image}"\n[python]\nuser_managed = true\ninterpreter = "/opt/python"\n'
    )
    body = docker_roost.failed(3, "plan")
    assert body["code"] == "interpreter-missing"
    assert "/opt/python" in body["message"]


def test_a_command_that_is_not_there_ends_as_in_a_shell(docker_roost: Roost, base_image: str):
    assert docker_roost.run("run", "--image", base_image, "--", "no-such-command").returncode == 127
    docker_roost.write("plain", "not executable")
    assert docker_roost.run("run", "--image", base_image, "--", "./plain").returncode == 126


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 5), (signal.SIGTERM, 6)])
def test_signals_reach_the_command(docker_roost: Roost, base_image: str, number: int, status: int):
    script = "trap 'exit 5' INT; trap 'exit 6' TERM; echo ready; while :; do sleep 0.1; done"
    process = docker_roost.start("run", "--image", base_image, "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    assert process.wait(20) == status


def test_a_client_that_is_killed_takes_its_container_along(
    docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    process = docker_roost.start("run", "--image", base_image, "--", "sh", "-c", "echo ready; sleep 100")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    [run] = docker_roost.json("runs", "list")["runs"]
    assert len(_containers(client, run["id"])) == 1
    process.kill()
    _until(lambda: not _containers(client, run["id"]))
    _until(lambda: docker_roost.json("runs", "show", run["id"])["state"] == "cancelled")


def test_at_a_terminal_the_command_has_one_of_the_same_size(docker_roost: Roost, base_image: str):
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(secondary)
    script = 'until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; stty size; read line; echo got $line; exit 4'
    process = subprocess.Popen(
        [ROOST, "run", "-q", "--image", base_image, "--", "sh", "-c", script],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        cwd=docker_roost.folder,
        env=docker_roost.environ,
    )
    docker_roost.started.append(process)
    _read_until(primary, b"33 77")
    os.write(primary, b"hello\r")
    _read_until(primary, b"got hello")
    assert process.wait(20) == 4
    assert termios.tcgetattr(secondary) == before
    os.close(primary)
    os.close(secondary)


def _read_until(descriptor: int, text: bytes) -> bytes:
    data = b""
    deadline = time.monotonic() + 30
    while text not in data:
        assert select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0], data
        data += os.read(descriptor, 1024)
    return data


def test_the_output_of_a_container_is_kept_on_request(docker_roost: Roost, base_image: str):
    script = "echo out; echo err >&2; exit 3"
    done = docker_roost.run("run", "-q", "--keep-output", "--image", base_image, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert sorted(docker_roost.ok("runs", "logs", "latest").split()) == ["err", "out"]
    assert docker_roost.json("runs", "show", "latest")["output_kept"] is True


def test_a_detached_run_outlives_the_daemon_and_keeps_its_output(
    docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    script = "echo first; while [ ! -e go ]; do sleep 0.1; done; echo last; exit 9"
    run_id = docker_roost.ok("run", "--detach", "--image", base_image, "--", "sh", "-c", script).strip()
    _until(lambda: docker_roost.ok("runs", "logs", run_id) == "first\n")
    pid = docker_roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not Path(f"/proc/{pid}").exists())
    assert docker_roost.json("runs", "show", run_id)["state"] == "running"
    (docker_roost.folder / "go").touch()
    _until(lambda: docker_roost.json("runs", "show", run_id)["state"] != "running")
    run = docker_roost.json("runs", "show", run_id)
    assert (run["state"], run["exit_status"]) == ("failed", 9)
    assert docker_roost.ok("runs", "logs", run_id) == "first\nlast\n"
    _until(lambda: not _containers(client, run_id))


def test_a_detached_run_can_be_cancelled(docker_roost: Roost, client: docker.DockerClient, base_image: str):
    run_id = docker_roost.ok("run", "--detach", "--image", base_image, "--", "sleep", "100").strip()
    _until(lambda: docker_roost.json("runs", "show", run_id)["state"] == "running")
    docker_roost.ok("runs", "cancel", run_id)
    _until(lambda: docker_roost.json("runs", "show", run_id)["state"] == "cancelled")
    _until(lambda: not _containers(client, run_id))


def test_a_run_whose_container_is_gone_is_lost(docker_roost: Roost, client: docker.DockerClient, base_image: str):
    run_id = docker_roost.ok("run", "--detach", "--image", base_image, "--", "sleep", "100").strip()
    _until(lambda: docker_roost.json("runs", "show", run_id)["state"] == "running")
    pid = docker_roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not Path(f"/proc/{pid}").exists())
    [container] = _containers(client, run_id)
    client.api.remove_container(container, force=True)
    _until(lambda: docker_roost.json("runs", "show", run_id)["state"] == "lost")


def test_a_daemon_killed_under_a_run_leaves_the_truth_and_no_container(
    docker_roost: Roost, client: docker.DockerClient, base_image: str
):
    script = "echo ready; while [ ! -e go ]; do sleep 0.1; done; exit 8"
    process = docker_roost.start("run", "--image", base_image, "--", "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    pid = docker_roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    (docker_roost.folder / "go").touch()
    assert process.wait(30) == 8
    [run] = docker_roost.json("runs", "list")["runs"]
    assert (run["state"], run["exit_status"]) == ("failed", 8)
    _until(lambda: not _containers(client, run["id"]))


def test_of_exec_in_a_container_nothing_is_recorded(docker_roost: Roost, base_image: str):
    assert docker_roost.ok("exec", "-t", "docker", "--image", base_image, "--", "echo", "here") == "here\n"
    assert docker_roost.json("runs", "list")["runs"] == []
    body = docker_roost.failed(125, "exec", "-t", "local", "--image", base_image, "--", "true")
    assert (body["code"], bool(body["hint"])) == ("image-needed", True)


def test_an_engine_that_is_away_is_told_as_such(docker_roost: Roost):
    docker_roost.config.write_text('[docker]\nhost = "unix:///tmp/no-engine-here.sock"\n')
    [plan] = docker_roost.json("plan", "--image", "roost-test/none:1")["plans"]
    assert "engine-unknown" in [reason["code"] for reason in plan["reasons"]]
    docker_roost.json("plan", "--image", "sha256:" + "0" * 64)
    body = docker_roost.failed(125, "run", "--image", "sha256:" + "0" * 64, "--", "true")
    assert (body["code"], body["retryable"], body["exit_status"]) == ("engine-unreachable", True, 125)


def test_a_run_in_an_image_as_it_is_runs_again_in_that_very_image(
    docker_roost: Roost, docker_host: str, base_image: str
):
    """By the recorded id: its tag may have moved since. Without the image the rerun is refused."""
    client = docker.APIClient(base_url=docker_host)
    repository, tag = "roost-test/again", docker_roost.root.name
    container = client.create_container(base_image, "true")["Id"]
    made = client.commit(container, repository, tag)["Id"]
    client.remove_container(container)
    assert docker_roost.ok("run", "--image", f"{repository}:{tag}", "--", "echo", "again") == "again\n"
    [run] = docker_roost.json("runs", "list")["runs"]
    assert run["interpreter"]["image"] == made
    client.tag(made, "roost-test/kept", tag)
    client.tag(base_image, repository, tag)
    assert docker_roost.ok("runs", "rerun", run["id"]) == "again\n"
    second = docker_roost.json("runs", "list")["runs"][0]
    assert second["id"] != run["id"]
    assert second["interpreter"]["image"] == made
    assert (second["generation"], second["lock_digest"]) == (1, run["lock_digest"])
    client.remove_image(f"{repository}:{tag}")
    client.remove_image(made, force=True)
    client.close()
    gone = docker_roost.failed(7, "runs", "rerun", run["id"])
    assert made in gone["message"]
