"""The caller's variables in an environment: those that would beat the lock do not reach a command, the others do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.installed import Installed
from tests.support.roost_process import Roost

from roost.daemon.launch.isolation import PYTHON_VARIABLES

SENTINEL = "sentinel"
SHOW = ("sh", "-c", "env | grep -E '^(PYTHON|__PYVENV)' | sort")


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    made = Installed(forks_daemon=True)
    assert made("build").returncode == 0
    yield made
    made.remove()


def _start(installed: Installed, way: str, environ: dict[str, str], command: tuple[str, ...]) -> str:
    """Standard output of ``command``."""
    if way == "detached":
        run = installed("run", "--detach", "--", *command, environ=environ).stdout.strip()
        return installed("runs", "logs", "-f", run).stdout
    if way == "rerun":
        installed("run", "--", *command)
        former = installed.json("runs", "list")["runs"][0]["id"]
        done = installed("runs", "rerun", former, environ=environ)
    elif way == "shell":
        environ = {**environ, "SHELL": "/bin/bash"}
        done = installed("shell", input=shlex.join(command) + "\n", environ=environ)
    elif way == "launch plan":
        assert installed("exec", "--", "true").returncode == 0
        assert installed.plans() != []
        done = installed("exec", "--", *command, environ=environ)
    else:
        socket = {"ROOST_SOCKET": str(installed.root / "roost.sock")}  # the launcher leaves it to the client then
        done = installed(way, "--", *command, environ=environ | socket)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("way", ["launch plan", "exec", "run", "detached", "rerun", "shell"])
def test_every_way_to_start_a_command_follows_the_table(installed: Installed, way: str) -> None:
    given = dict.fromkeys(PYTHON_VARIABLES, SENTINEL)
    printed = _start(installed, way, given, SHOW)
    got = dict(line.partition("=")[::2] for line in printed.split())
    expected = {name: SENTINEL for name, what in PYTHON_VARIABLES.items() if what in ("passes", "recorded")}
    assert got == {**expected, "PYTHONNOUSERSITE": "1"}


def test_the_python_path_is_recorded_with_the_run(installed: Installed) -> None:
    assert installed("run", "--", "true", environ={"PYTHONPATH": "/mine"}).returncode == 0
    assert installed("run", "--", "true").returncode == 0
    assert installed("run", "--detach", "--", "true", environ={"PYTHONPATH": "/detached"}).returncode == 0
    runs = installed.json("runs", "list")["runs"][:3]
    assert [run["python_path"] for run in runs] == ["/detached", None, "/mine"]
    assert installed("runs", "rerun", runs[2]["id"], environ={"PYTHONPATH": "/now"}).returncode == 0
    assert installed.json("runs", "list")["runs"][0]["python_path"] == "/now"
    assert "/mine" in installed("runs", "show", runs[2]["id"]).stdout


def test_var_wins_over_the_isolation(installed: Installed) -> None:
    options = ("--var", "PYTHONNOUSERSITE=", "--var", "PYTHONHOME=/mine")
    done = installed("run", *options, "--", *SHOW, environ={"PYTHONHOME": "/callers"})
    assert done.stdout.split() == ["PYTHONHOME=/mine", "PYTHONNOUSERSITE="]


@pytest.mark.parametrize("command", ["exec", "run"])
def test_the_user_site_does_not_beat_the_lock(conda_roost: Roost, tmp_path: Path, command: str) -> None:
    site = tmp_path / ".local/lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (site / "usercustomize.py").write_text("print('usercustomize')\n")
    (site / "mine.pth").write_text("import sys; print('pth')\n")
    (site / "colorsys.py").write_text("")
    conda_roost.variables["HOME"] = str(tmp_path)
    conda_roost.write("environment.yml", "channels: [conda-forge]\ndependencies: [python=3.11]\n")
    conda_roost.write("roost.toml", "[conda]\ndependencies = ['python=3.11']\n[variables]\nPYTHONNOUSERSITE = ''\n")
    show = ("--", "python", "-c", "import site; print(site.ENABLE_USER_SITE)")
    for _ in range(2):  # the second time by a launch plan
        assert conda_roost.ok(command, "-f", "environment.yml", *show) == "False\n"
    assert conda_roost.ok(command, "-f", "roost.toml", *show) == "pth\nusercustomize\nTrue\n"


def test_an_interpreter_of_the_user_is_left_as_it_is(installed: Installed) -> None:
    installed.work.joinpath("own.toml").write_text(f"[python]\nuser_managed = true\ninterpreter = '{sys.executable}'\n")
    done = installed("run", "-f", "own.toml", "--", *SHOW, environ={"PYTHONHOME": "/mine", "PYTHONPATH": "/path"})
    assert done.stdout.split() == ["PYTHONHOME=/mine", "PYTHONPATH=/path"]
