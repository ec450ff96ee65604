"""Venvs that are remembered: the same as uv's but for their names, and forgotten when a Python or uv changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roost.daemon.engines.uv.venvs.answers import read_answer, write_command
from roost.daemon.engines.uv.venvs.known import KnownVenvs
from roost.daemon.engines.uv.venvs.template import read_template

NAME = "0123abcd-aaaabbbb"
OTHER = "89abcdef-ccccdddd"


def make_venv(prefix: Path) -> Path:
    (prefix / "bin").mkdir(parents=True)
    (prefix / "lib/python3.11/site-packages").mkdir(parents=True)
    (prefix / "lib").chmod(0o750)
    (prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (prefix / "bin/activate").write_text(f"VIRTUAL_ENV='{prefix}'\n")
    (prefix / "bin/activate").chmod(0o640)
    (prefix / "bin/python").symlink_to(sys.executable)
    (prefix / "lib64").symlink_to("lib")
    return prefix


def tree(prefix: Path) -> dict[str, object]:
    return {
        str(path.relative_to(prefix)): os.readlink(path)
        if path.is_symlink()
        else (path.stat().st_mode, path.read_text().replace(prefix.name, "NAME") if path.is_file() else None)
        for path in prefix.rglob("*")
    }


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python that says which venv it is asked in, and counts."""
    path = tmp_path / "python"
    path.write_text(
        f'#!/bin/sh\necho asked >>{tmp_path}/asked\nprintf \'{{"result":"success","prefix":"%s"}}\' "$VENV"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def known(tmp_path: Path) -> KnownVenvs:
    (tmp_path / "uv").write_text("uv")
    return KnownVenvs(str(tmp_path / "uv"))


def test_another_venv_differs_by_its_name(tmp_path: Path, python: Path, known: KnownVenvs) -> None:
    first, second = make_venv(tmp_path / NAME), tmp_path / OTHER
    second.mkdir()
    assert not known.write(str(second), str(python))
    known.learn(str(first), str(python))
    assert known.write(str(second), str(python))
    assert tree(second) == tree(first)
    assert f"/{OTHER}'" in (second / "bin/activate").read_text()


@pytest.mark.parametrize("changed", ["python", "uv"])
def test_another_python_or_uv_is_not_known(tmp_path: Path, python: Path, known: KnownVenvs, changed: str) -> None:
    known.learn(str(make_venv(tmp_path / NAME)), str(python))
    shutil.copy(tmp_path / changed, tmp_path / "new")
    os.replace(tmp_path / "new", tmp_path / changed)
    (tmp_path / OTHER).mkdir()
    assert not known.write(str(tmp_path / OTHER), str(python))
    assert list((tmp_path / OTHER).iterdir()) == []


@pytest.mark.parametrize("odd", ["link", "large", "pipe"])
def test_what_is_no_plain_venv_is_not_copied(tmp_path: Path, odd: str) -> None:
    prefix = make_venv(tmp_path / NAME)
    if odd == "link":
        (prefix / "own").symlink_to(prefix / "lib")
    elif odd == "large":
        (prefix / "large").write_bytes(b"\0" * (1 << 21))
    else:
        os.mkfifo(prefix / "pipe")
    assert read_template(str(prefix)) is None


def ask(command: str, venv: Path, *words: str) -> str:
    done = subprocess.run([command, *words], env={**os.environ, "VENV": str(venv)}, capture_output=True, text=True)
    assert done.returncode == 0
    return done.stdout


def test_a_python_is_asked_once(tmp_path: Path, python: Path, known: KnownVenvs) -> None:
    question = ("-I", "-B", "-c", "from python.get_interpreter_info import main; main()")
    for name in (NAME, OTHER):
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        command = known.write_command(str(folder), str(tmp_path / name), str(python))
        assert json.loads(ask(command, tmp_path / name, *question))["prefix"] == str(tmp_path / name)
        known.learn_answer(str(folder), str(tmp_path / name), str(python))
    assert (tmp_path / "asked").read_text() == "asked\n"
    ask(command, tmp_path / OTHER, "-c", "anything else")
    assert (tmp_path / "asked").read_text() == "asked\nasked\n"


@pytest.mark.parametrize(
    "text", ["", "{", '{"result":"error","prefix":"/NAME"}', '{"result":"success"}', '["/NAME"]', "{}"]
)
def test_an_answer_that_is_not_understood_is_not_given_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "answer.json").write_text(text.replace("NAME", NAME))
    assert read_answer(str(tmp_path), f"/{NAME}") is None


def test_the_status_of_a_python_that_fails_is_passed_on(tmp_path: Path) -> None:
    command = write_command(str(tmp_path), f"/{NAME}", "/bin/false", None)
    assert subprocess.run([command, "get_interpreter_info"]).returncode == 1
