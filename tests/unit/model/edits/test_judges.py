"""Other tools read edited files as roost does, and change them in the same way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
from tests.support.editing import edit, edit_text
from uv import find_uv_bin

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = """\
# mine
[project]
name = "mine"
version = "1"
requires-python = ">=3.10"
dependencies = ["b", "c>=1", "numpy>=1", "httpx[http2]>=1", "PyYAML", 'old==1; os_name == "nt"']

[project.optional-dependencies] # extras
gpu = []

[tool.x]
y = 1
"""
ADDED = (
    *("numpy>=2", "httpx[socks]", "pyyaml==6", "c", "zz", "aa>=1; os_name == 'nt'", "old==2"),
    "d @ https://h.example/d.zip",
)


def uv(folder: Path, *words: str) -> None:
    command = [find_uv_bin(), words[0], "--frozen", "--offline", "--no-config", "--quiet", *words[1:]]
    subprocess.run(command, cwd=folder, check=True, env={"PATH": "", "UV_PYTHON": sys.executable})


def read_lists(text: str) -> dict[str, list[str]]:
    """Return the lists of a project, with the requirements in one spelling."""
    data = tomllib.loads(text)
    lists = {"project": data["project"]["dependencies"], **data["project"]["optional-dependencies"]}
    lists |= data.get("dependency-groups", {})
    return {name: [str(Requirement(each)).lower() for each in listed] for name, listed in lists.items()}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["add", "--raw", *ADDED], {"add": ADDED}),
        (["add", "--raw", "--group", "dev", "x"], {"add": "x", "group": "dev"}),
        (["add", "--raw", "--optional", "gpu", "x>=1"], {"add": "x>=1", "extra": "gpu"}),
        (["remove", "numpy", "old"], {"remove": ["numpy", "old"]}),
    ],
)
def test_uv_changes_a_project_in_the_same_way(tmp_path, words, options):
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    uv(tmp_path, *words)
    changed = edit_text(PROJECT, "pyproject.toml", **options)
    assert read_lists(changed) == read_lists((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    assert tomlkit.parse(changed).unwrap() == tomllib.loads(changed)
    assert [line for line in PROJECT.splitlines() if line not in changed.splitlines()] in (
        [PROJECT.splitlines()[5]],
        ["gpu = []"],
        [],
    )


def test_uv_reads_an_edited_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_bytes(edit("#!/bin/x\n# of mine\nimport x\n", "train.py", ["numpy>=2", "b"]).data)
    uv(tmp_path, "remove", "--script", "train.py", "b", "numpy")
    assert edit(script.read_bytes(), "train.py", remove=()).data == script.read_bytes()
    assert "dependencies = []" in script.read_text(encoding="utf-8")


def test_pip_reads_an_edited_requirements_file(tmp_path):
    path = tmp_path / "requirements.txt"
    text = "# mine\n--pre\na==1 \\\n  ; os_name == 'nt'  # c\n\nq>=1\n"
    path.write_bytes(edit(text, str(path), ["p[x]>=1,<2", "a", "z @ https://h.example/z.zip"], ["q"]).data)
    with PipSession() as session:
        found = [each.requirement for each in parse_requirements(str(path), session)]
    assert found == ["a==1   ; os_name == 'nt'", "a", "p[x]>=1,<2", "z @ https://h.example/z.zip"]
