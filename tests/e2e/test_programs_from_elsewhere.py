"""Commands that the environment does not have: roost's own venv is not on PATH, and another Python's are reported."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.installed import Installed

from roost.client.launch.activate import activated_environment, foreign_program_note

SHELLS = [path for path in ("/bin/dash", "/bin/bash") if os.path.exists(path)]
WAYS = ("plan", "exec", "run", "detached", "rerun")


@pytest.fixture(scope="module", params=SHELLS)
def roost(request: pytest.FixtureRequest) -> Iterator[Installed]:
    """roost in an active venv that has programs of its own, and a folder of programs behind it on PATH."""
    made = Installed(forks_daemon=True)
    launcher = made.bin / "roost"
    launcher.write_text(launcher.read_text().replace("#!/bin/sh", f"#!{request.param}", 1))
    (made.base / "pyvenv.cfg").touch()
    _program(made.bin / "pytest", "#!/bin/sh\necho own")
    elsewhere = made.base / "elsewhere"
    elsewhere.mkdir()
    _program(elsewhere / "pytest", f"#!{shutil.which('python3', path='/usr/bin')} -E\nprint('elsewhere')")
    _program(elsewhere / "long", "#!/bin/sh\n'''exec' \"/usr/bin/python3\" \"$0\" \"$@\"\n' '''\nprint('elsewhere')")
    _program(elsewhere / "portable", "#!/usr/bin/env python\nimport sys; print(sys.prefix)")
    _program(elsewhere / "script", "#!/bin/sh\necho script")
    _program(elsewhere / "unreadable", "#!/bin/sh\necho unreadable")
    (elsewhere / "python9.9").symlink_to("/bin/echo")
    (elsewhere / "barred").write_text("#!/bin/sh\n")
    made.environ["PATH"] = f"{made.bin}:{elsewhere}:/usr/bin:/bin"
    made.environ["VIRTUAL_ENV"] = str(made.base)
    assert made("build").returncode == 0
    yield made
    made.remove()


def _program(path: Path, text: str) -> None:
    path.write_text(text + "\n")
    path.chmod(0o755)


def _start(roost: Installed, way: str, *command: str, environ: dict[str, str] | None = None):
    environ = environ or {}
    if way == "plan":
        assert roost("exec", "--", "python", "-c", "").returncode == 0
        return roost("exec", "--", *command, environ=environ)
    if way == "exec":
        return roost("exec", "--", *command, environ={**environ, "ROOST_SOCKET": str(roost.root / "roost.sock")})
    if way == "detached":
        run = roost("run", "--detach", "--", *command, environ=environ).stdout.strip()
        output = roost("runs", "logs", "-f", run).stdout
        status = roost.json("runs", "show", run)["exit_status"]
        return subprocess.CompletedProcess(command, status, output, output)
    done = roost("run", "--", *command, environ=environ)
    if way == "rerun":
        return roost("runs", "rerun", roost.json("runs", "list")["runs"][0]["id"], environ=environ)
    return done


@pytest.mark.parametrize("way", WAYS)
def test_programs_of_the_venv_that_holds_roost_do_not_answer(roost: Installed, way: str) -> None:
    done = _start(roost, way, "pytest")
    assert done.returncode == 0
    assert "elsewhere\n" in done.stdout
    path = f"{roost.base}/elsewhere/pytest"
    assert f"roost: pytest is not in this environment; this is {path} of another Python\n  Name it" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_roost_itself_stays_reachable(roost: Installed, way: str) -> None:
    done = _start(roost, way, "sh", "-c", 'roost --version; echo "$PATH"')
    prefix_bin, own, *rest = done.stdout.splitlines()[-1].split(":")
    assert done.stdout.startswith("roost 0")
    assert (own, rest) == (f"{roost.root}/bin", [f"{roost.base}/elsewhere", "/usr/bin", "/bin"])
    assert prefix_bin.startswith(f"{roost.root}/prefixes/")
    assert os.listdir(f"{roost.root}/bin") == ["roost"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["long", "python9.9"])
def test_what_another_python_runs_is_reported(roost: Installed, way: str, name: str) -> None:
    done = _start(roost, way, name)
    assert f"{name} is not in this environment; this is {roost.base}/elsewhere/{name} of another" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_other_programs_are_not(roost: Installed, way: str) -> None:
    assert _start(roost, way, "script").stdout.endswith("script\n")
    assert "another Python" not in _start(roost, way, "script").stderr
    portable = _start(roost, way, "portable")
    assert "/prefixes/" in portable.stdout
    assert "another Python" not in portable.stderr + _start(roost, way, "ls").stderr
    by_path = _start(roost, way, f"{roost.base}/elsewhere/pytest")
    assert by_path.stdout.endswith("elsewhere\n")
    assert "another Python" not in by_path.stderr


@pytest.mark.parametrize("way", WAYS)
def test_missing_and_barred_programs_have_a_shells_status(roost: Installed, way: str) -> None:
    missing, barred = _start(roost, way, "nosuch"), _start(roost, way, "barred")
    assert (missing.returncode, barred.returncode) == (127, 126)
    assert "nosuch: no such command in the environment or on PATH" in missing.stderr
    assert "barred: found on PATH, but not executable" in barred.stderr


@pytest.mark.parametrize("way", WAYS)
def test_the_callers_active_environments_are_left(roost: Installed, way: str) -> None:
    active = {
        "CONDA_PREFIX": "/conda/env",
        "CONDA_DEFAULT_ENV": "env",
        "CONDA_SHLVL": "2",
        "CONDA_PREFIX_1": "/conda",
        "CONDA_PROMPT_MODIFIER": "(env) ",
        "GDAL_DATA": "/conda/env/share/gdal",
        "CFLAGS": "-O2 -isystem /conda/env/include",
        "PROJ_DATA": "/mine/proj",
        "LDFLAGS": "-L/conda/envelope/lib",
        "CONDA_EXE": "/conda/bin/conda",
    }
    done = _start(
        roost, way, "sh", "-c", "env | grep -E '^(CONDA|VIRTUAL|GDAL|PROJ|CFLAGS|LDFLAGS)' | sort", environ=active
    )
    *others, virtual = done.stdout.splitlines()
    assert others == ["CONDA_EXE=/conda/bin/conda", "LDFLAGS=-L/conda/envelope/lib", "PROJ_DATA=/mine/proj"]
    assert virtual.startswith(f"VIRTUAL_ENV={roost.root}/prefixes/")


@pytest.mark.parametrize("shell", ["/bin/bash", "/usr/bin/zsh", "/usr/bin/fish", "/bin/dash"])
def test_an_interactive_shell_is_without_roosts_programs_too(roost: Installed, shell: str) -> None:
    if not os.path.exists(shell):
        pytest.skip(f"{shell} is not on this machine")
    done = roost("shell", input="command -v pytest\nroost --version\n", environ={"SHELL": shell})
    assert f"{roost.base}/elsewhere/pytest\n" in done.stdout, done.stderr
    assert "roost 0" in done.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOST_HOME", str(tmp_path / "root"))
    return tmp_path


def _path_after(path: str) -> str:
    return activated_environment({"changes": [], "variables": {}}, {"PATH": path})["PATH"]


def _folder(path: Path, *names: str) -> Path:
    (path / "bin").mkdir(parents=True)
    for name in names:
        (path / name).touch()
    return path / "bin"


def test_only_the_bin_folder_of_a_venv_with_roost_goes(root: Path) -> None:
    venv = _folder(root / "venv", "pyvenv.cfg", "bin/roost-client", "bin/pip")
    others = [
        _folder(root / "local", "bin/roost-client", "bin/black"),
        _folder(root / "without", "pyvenv.cfg", "bin/pip"),
        _folder(root / "tool", "bin/roost"),
    ]
    for other in others:
        assert _path_after(f"{other}:/usr/bin") == f"{other}:/usr/bin"
    assert _path_after(f"/x:{venv}:/usr/bin") == f"/x:{root}/root/bin:/usr/bin"
    assert _path_after(f"{venv}") == f"{root}/root/bin"
    assert _path_after(f"/x::{venv}/:") == f"/x::{root}/root/bin:"
    assert _path_after("") == ""


def test_a_link_to_the_bin_folder_goes_too(root: Path) -> None:
    venv = _folder(root / "venv", "pyvenv.cfg", "bin/roost-client")
    (root / "link").symlink_to(venv)
    assert _path_after(f"{root}/link:/bin") == f"{root}/root/bin:/bin"


@pytest.mark.parametrize(
    ("line", "is_foreign"),
    [
        (f"#!{sys.executable}", True),
        ("#! /usr/bin/python3 -I", True),
        ("#!/opt/pypy/bin/pypy3", True),
        ("#!/usr/bin/env python3", False),
        ("#!/opt/python/bin/tool", False),
        ("#!/p/bin/python", False),
        ("#!", False),
        ("\x7fELF", False),
        ("", False),
    ],
)
def test_what_a_first_line_means(tmp_path: Path, line: str, is_foreign: bool) -> None:
    (tmp_path / "tool").write_text(line + "\n")
    assert bool(foreign_program_note("tool", str(tmp_path / "tool"), "/p")) is is_foreign


def test_a_shim_of_pyenv_is_of_another_python(tmp_path: Path) -> None:
    shims = tmp_path / ".pyenv/shims"
    shims.mkdir(parents=True)
    _program(shims / "pytest", "#!/usr/bin/env bash")
    assert foreign_program_note("pytest", str(shims / "pytest"), "/p") != ""
    assert foreign_program_note("pytest", str(tmp_path / "missing"), "/p") == ""


@pytest.mark.parametrize("way", WAYS)
def test_a_missing_command_is_named_visibly(roost: Installed, way: str) -> None:
    for name, shown in (("a\\033[31m", "a\\033[31m"), ("a\x1b[31m", "a\\x1b[31m"), ("a\u202eb", "a\\u202eb")):
        missing = _start(roost, way, name)
        assert missing.returncode == 127
        assert f"roost: {shown}: no such command in the environment or on PATH\n" in missing.stderr
