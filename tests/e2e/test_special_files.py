"""Pipes and endless devices in the place of files: refused at once, wherever a request names or refers to one.

A thread that waits for a pipe's writer can't be cancelled, so that a few such requests would stop the whole daemon.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
REPEATS = 8
"""More than the threads that the daemon has for blocking calls on two cores (six)."""
MEMORY_BYTES = 300 * 10**6
KINDS: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "zero": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def make_special(request: pytest.FixtureRequest, roost: Roost) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = roost.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        KINDS[getattr(request, "param", "pipe")](path)
        return path

    return make


def ask_often(roost: Roost, *command: str) -> list[str]:
    """Run a command several times at once; what each printed, all of which must end."""
    started = [roost.start(*command) for _ in range(REPEATS)]
    texts = []
    for process in started:
        out, err = process.communicate(timeout=120)
        texts.append(f"{process.returncode} {out}{err}")
    return texts


def check_daemon(roost: Roost) -> None:
    """The daemon answers requests that need a thread, and did not grow."""
    roost.ok("env", "list")
    roost.write("good/requirements.txt", "")
    roost.ok("digest", "-f", "good/requirements.txt")
    pid = roost.json("daemon", "status")["pid"]
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert peak is not None
    assert int(peak[1]) * 1024 < MEMORY_BYTES


@pytest.mark.parametrize("make_special", KINDS, indirect=True)
def test_a_script_without_an_end_has_no_metadata(roost: Roost, make_special: Callable[[str], Path]) -> None:
    make_special("x.py")
    for text in ask_often(roost, "exec", "--", "python", "x.py"):
        assert "There is no environment file" in text
    check_daemon(roost)


@pytest.mark.parametrize("make_special", KINDS, indirect=True)
@pytest.mark.parametrize("name", ["environment.yml", "requirements.txt", "conda-lock.yml", "explicit.txt", "x.py"])
def test_a_definition_is_refused_with_its_name(roost: Roost, make_special: Callable[[str], Path], name: str) -> None:
    make_special(name)
    for text in ask_often(roost, "digest", "-f", name):
        assert text.startswith("3 ")
        assert f"{name}: it is not a regular file" in text or "not a regular file" in text
    check_daemon(roost)


@pytest.mark.parametrize(
    "line",
    ["-r special", "-c special", "./special-1.0-py3-none-any.whl", "-e ./project", "./special-1.0.tar.gz"],
)
def test_what_a_requirement_refers_to_is_refused(
    roost: Roost, make_special: Callable[[str], Path], pip_index: PipIndex, line: str
) -> None:
    name = line.split()[-1].removeprefix("./")
    make_special(f"{name}/pyproject.toml" if name == "project" else name)
    roost.write("requirements.txt", f"{line}\n")
    for text in ask_often(roost, "build", "--json"):
        assert not text.startswith("0 ")
    check_daemon(roost)


@pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore"])
def test_a_build_context_is_not_waited_for(roost: Roost, make_special: Callable[[str], Path], name: str) -> None:
    roost.write("context/file.txt", "content")
    if name != "Dockerfile":
        roost.write("context/Dockerfile", "FROM debian:12-slim\n")
    make_special(f"context/{name}")
    ask_often(roost, "digest", "-f", "context")
    check_daemon(roost)


def test_special_files_in_a_context_are_left_out(roost: Roost) -> None:
    roost.write("context/Dockerfile", "FROM debian:12-slim\n")
    before = roost.ok("digest", "-f", "context")
    os.mkfifo(roost.folder / "context/pipe")
    assert roost.ok("digest", "-f", "context") == before


@pytest.mark.parametrize("name", ["given.tar.gz", "given.zip", "azureml_environment.json"])
def test_what_is_imported_is_refused(roost: Roost, make_special: Callable[[str], Path], name: str) -> None:
    make_special(name)
    for text in ask_often(roost, "env", "import", name):
        assert not text.startswith("0 ")
    check_daemon(roost)


def test_a_wheel_to_store_is_refused(roost: Roost, make_special: Callable[[str], Path]) -> None:
    make_special("special-1.0-py3-none-any.whl")
    for text in ask_often(roost, "env", "add-wheel", "special-1.0-py3-none-any.whl"):
        assert "it is not a regular file" in text
    check_daemon(roost)


@pytest.mark.parametrize("setting", ["network.netrc", "conda.auth_file"])
def test_files_of_credentials_are_not_waited_for(
    roost: Roost, make_special: Callable[[str], Path], pip_index: PipIndex, setting: str
) -> None:
    path = make_special("credentials")
    table, key = setting.split(".")
    before = roost.config.read_text() if roost.config.exists() else ""
    roost.config.write_text(f"{before}\n[{table}]\n{key} = {json.dumps(str(path))}\n")
    pip_index.wheel("demo", "1.0")
    roost.write("requirements.txt", "demo\n")
    ask_often(roost, "plan", "--solve", "--json")
    check_daemon(roost)


def test_a_config_is_refused(roost: Roost, make_special: Callable[[str], Path]) -> None:
    roost.ok("env", "list")
    roost.config.unlink(missing_ok=True)
    roost.config.symlink_to(make_special("config.toml"))
    for text in ask_often(roost, "doctor"):
        assert "regular file" in text
    roost.config.unlink()
    roost.config.touch()
    check_daemon(roost)


def test_the_list_of_conda_environments_is_skipped(roost: Roost, make_special: Callable[[str], Path]) -> None:
    special = make_special("environments.txt")
    (roost.folder / ".conda").mkdir()
    special.rename(roost.folder / ".conda/environments.txt")
    roost.variables["HOME"] = str(roost.folder)
    for text in ask_often(roost, "env", "import", "--prefix", "absent"):
        assert not text.startswith("0 ")
    check_daemon(roost)
