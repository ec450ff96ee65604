"""Automatic names of environments: of scripts, of projects with one folder name, of clones; one daemon for all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.roost_process import Roost

OWN = f'[python]\nuser_managed = true\ninterpreter = "{sys.executable}"\n'
PRINT = ("python", "-c", "import os; print(os.environ['ROOST_ENVIRONMENT'])")


def git(folder: Path, *words: str) -> None:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", *words], cwd=folder, check=True, env=environ, capture_output=True)


def environment(roost: Roost, folder: str, more: str = "") -> tuple[str, str]:
    """The name and version that a run in ``folder`` gets, and what is said of it."""
    roost.write(f"{folder}/roost.toml", OWN + more)
    done = roost.run("run", "--", *PRINT, cwd=roost.folder / folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), "".join(line for line in done.stderr.splitlines(True) if "using" not in line)


def test_an_automatic_name_belongs_to_one_origin(roost: Roost) -> None:
    base = roost.folder
    # 1. Two folders of one name; another's name is reported once, and a version is counted in each.
    assert environment(roost, "a/train") == ("train:1", "")
    name, said = environment(roost, "b/train")
    assert name == "b-train:1"
    assert f"The environment is named b-train, since train is that of the folder {base}/a/train" in said
    assert environment(roost, "b/train", "[variables]\nA = '1'\n") == ("b-train:2", "")
    assert environment(roost, "a/train", "[variables]\nA = '2'\n") == ("train:2", "")

    # 2. A name that a file states is a choice.
    roost.write("c/y/roost.toml", 'name = "train"\n' + OWN)
    assert roost.ok("run", "--", *PRINT, cwd=base / "c" / "y") == "train:1\n"

    # 3. A folder that gets a remote keeps its name, and so do a clone of it, under another name, and a moved one.
    git(base / "a" / "train", "init", "-q")
    git(base / "a" / "train", "remote", "add", "origin", "git@h.example:o/train.git")
    assert environment(roost, "a/train") == ("train:1", "")
    (base / "d").mkdir()
    git(base / "d", "init", "-q", "clone")
    git(base / "d" / "clone", "remote", "add", "origin", "https://h.example/o/train")
    assert environment(roost, "d/clone") == ("train:1", "")
    (base / "d" / "clone").rename(base / "d" / "moved")
    assert environment(roost, "d/moved", "[variables]\nA = '3'\n") == ("train:3", "")

    # 4. A folder without a repository that was moved takes its name along, if nothing else changed.
    environment(roost, "e/one/model")
    (base / "e" / "one").rename(base / "e" / "two")
    assert environment(roost, "e/two/model") == ("model:1", "")
    (base / "e" / "two").rename(base / "e" / "three")
    assert environment(roost, "e/three/model", "[variables]\nB = '1'\n")[0] == "model:2"

    # 5. What is registered by hand under the automatic name belongs to the folder; other views have the name too.
    roost.write("f/hand/roost.toml", OWN)
    assert roost.ok("env", "register", cwd=base / "f" / "hand") == "hand:1\n"
    assert environment(roost, "f/hand", "[variables]\nB = '2'\n") == ("hand:2", "")
    assert environment(roost, "g/hand")[0] == "g-hand:1"
    assert "g-hand:1" in roost.ok("env", "diff", "roost.toml", cwd=base / "g" / "hand")


def test_a_script_has_an_environment_of_its_own_name(roost: Roost) -> None:
    roost.write("proj/roost.toml", OWN)
    text = "# /// script\n# dependencies = []\n# ///\nimport os\nprint(os.environ['ROOST_ENVIRONMENT'])\n"
    roost.write("proj/fit.py", text)
    roost.write("other/fit.py", text)
    where = roost.folder / "proj"
    assert roost.ok("run", "fit.py", cwd=where) == "fit:1\n"
    assert roost.ok("run", "--", *PRINT, cwd=where) == "proj:1\n"
    assert roost.ok("run", "-f", "../other/fit.py", "python", "../other/fit.py", cwd=where) == "other-fit:1\n"
