"""Environments for which roost installs nothing: by file and by name, what runs record, and what is refused."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from tests.support.roost_process import Roost

WHERE = "import sys; print(sys.executable)"


@pytest.fixture
def tools(roost: Roost) -> Path:
    """A Python of the user's own, ``tools/bin/python``, as a virtual environment has it."""
    folder = roost.folder / "tools"
    (folder / "bin").mkdir(parents=True)
    home = Path(os.path.realpath(sys.executable))
    (folder / "bin" / "python").symlink_to(home)
    (folder / "pyvenv.cfg").write_text(f"home = {home.parent}\n")
    return folder


def write(roost: Roost, interpreter: object, more: str = "") -> None:
    roost.write("roost.toml", f'name = "own"\n[python]\nuser_managed = true\ninterpreter = "{interpreter}"\n{more}')


def test_a_registered_one_is_used_by_name_and_the_run_records_its_python(roost: Roost, tools: Path) -> None:
    python = tools / "bin" / "python"
    write(roost, python, '[variables]\nCOLOUR = "red"\n')
    assert roost.ok("env", "register") == "own:1\n"
    (roost.folder / "roost.toml").unlink()
    assert roost.ok("run", "-e", "own", "--", "python", "-c", WHERE) == f"{python}\n"
    assert roost.ok("exec", "-e", "own:1", "--", "python", "-c", "import os; print(os.environ['COLOUR'])") == "red\n"
    run = roost.json("runs", "list")["runs"][0]
    assert (run["environment"], run["lock_digest"], run["artifact"]) == ({"name": "own", "version": 1}, None, None)
    assert {name: run["interpreter"][name] for name in ("path", "version", "mtime")} == {
        "path": str(python),
        "version": ".".join(map(str, sys.version_info[:3])),
        "mtime": python.stat().st_mtime,
    }
    told = roost.ok("runs", "show", run["id"])
    stamp = datetime.fromtimestamp(python.stat().st_mtime, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"path={python}" in told
    assert f"mtime={stamp}" in told
    assert not [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()], "nothing was installed"


def test_all_say_that_roost_installs_nothing(roost: Roost, tools: Path) -> None:
    write(roost, tools / "bin" / "python")
    roost.ok("env", "register")
    shown = roost.json("env", "show", "own")
    assert (shown["kind"], shown["generations"]) == ("user-managed", [])
    assert shown["definition"]["python"]["user_managed"] is True
    told = roost.ok("env", "show", "own")
    assert "own:1  (user-managed, latest)" in told
    assert f"roost installs nothing, and uses {tools}/bin/python as it is" in told
    assert roost.json("env", "list")["environments"][0]["kind"] == "user-managed"
    assert "lock        none: roost installs nothing" in roost.ok("plan", "-e", "own")
    assert f"{tools}/bin/python" in roost.ok("build", "-e", "own")
    assert roost.json("build", "-e", "own")["build"]["state"] == "not-needed"


@pytest.mark.parametrize("words", [("exec", "-e", "own"), ("run", "-e", "own"), ("run",)])
def test_only_that_the_interpreter_exists_is_checked(roost: Roost, tools: Path, words: tuple[str, ...]) -> None:
    write(roost, tools / "bin" / "python", '[conda]\ndependencies = ["no-such-package"]\n')
    roost.ok("env", "register")
    assert roost.ok(*words, "--", "python", "-c", WHERE) == f"{tools}/bin/python\n"
    shutil.rmtree(tools / "bin")
    body = roost.failed(125, *words, "--", "python", "-c", "pass")
    assert body["code"] == "interpreter-missing"
    assert f"{tools}/bin/python" in body["message"]


def test_another_interpreter_is_another_version_with_the_same_definition(roost: Roost, tools: Path) -> None:
    write(roost, tools / "bin" / "python")
    roost.ok("env", "register")
    shutil.copytree(tools, roost.folder / "others", symlinks=True)
    write(roost, roost.folder / "others" / "bin" / "python")
    assert roost.ok("env", "register") == "own:2\n"
    first, second = (roost.json("env", "show", f"own:{number}") for number in (1, 2))
    assert first["definition_digest"] == second["definition_digest"], "what is not built is no part of it"
    assert first["settings_digest"] != second["settings_digest"]
    for number, folder in ((1, "tools"), (2, "others")):
        done = roost.ok("run", "-e", f"own:{number}", "--", "python", "-c", WHERE)
        assert done == f"{roost.folder / folder}/bin/python\n"


def test_a_relative_path_lies_beside_the_file_wherever_it_is_used_from(roost: Roost, tools: Path) -> None:
    write(roost, "tools/bin/python")
    below = roost.folder / "below"
    below.mkdir()
    for cwd in (roost.folder, below):
        assert roost.ok("run", "--", "python", "-c", WHERE, cwd=cwd) == f"{tools}/bin/python\n"
    assert roost.ok("run", "-e", "own", "--", "python", "-c", WHERE, cwd=Path("/tmp")) == f"{tools}/bin/python\n"
    assert len(roost.json("env", "versions", "own")["versions"]) == 1
    write(roost, "./tools/../tools/bin/python")
    assert roost.ok("env", "register") == "own:1 (was registered already)\n"


def test_a_clone_stays_user_managed_and_an_edit_may_change_that(roost: Roost, tools: Path) -> None:
    write(roost, tools / "bin" / "python")
    roost.ok("env", "register")
    roost.ok("env", "clone", "own", "mine")
    assert roost.json("env", "show", "mine")["kind"] == "user-managed"
    editor = roost.write("editor", """#!/bin/sh\nsed -i 's/^user_managed = true/user_managed = false/' "$1"\n""")
    editor.chmod(0o700)
    assert roost.ok("env", "edit", "mine", variables={"EDITOR": str(editor), "VISUAL": ""}) == "mine:2\n"
    assert roost.json("env", "show", "mine")["kind"] == "system-managed"
