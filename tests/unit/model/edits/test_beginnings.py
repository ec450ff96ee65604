"""Texts of new files: roost and other tools read them, and packages can be added to them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tomllib
import yaml
from tests.support.editing import edit
from uv import find_uv_bin

from roost.model.edits.beginnings import begin_file, suggest_kind
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

NAMES = ["plain", "My Project (2)", "été", "2024", "true", "-", "a:b #c"]


@pytest.mark.parametrize("python", [None, "3.12"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["conda", "pip", "pyproject", "script"])
def test_a_new_file_is_read_without_a_warning_and_takes_packages(kind, name, python):
    file, text = begin_file(kind, name=name, python=python)
    file = file or "train.py"
    result = read_definition(DefinitionSource(path=f"/nowhere/{file}", data=text.encode()), LocalFiles())
    assert result.warnings == ()
    edited = edit(text, file, "numpy")
    assert b"numpy" in edited.data
    assert edit(edited.data, file, remove="numpy").data == text.encode()
    if kind == "conda":
        assert isinstance(yaml.safe_load(text)["name"], str)
        assert result.definition.conda.dependencies == ((f"python={python}",) if python else ("python",))
    elif python and kind != "pip":
        assert result.definition.python.requires == f">={python}"


@pytest.mark.parametrize("name", NAMES[:2])
def test_uv_accepts_a_new_project(tmp_path: Path, name: str):
    text = begin_file("pyproject", name=name, python="3.10")[1]
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    subprocess.run([find_uv_bin(), "export", "--offline", "--quiet", "--no-config"], cwd=tmp_path, check=True)
    assert tomllib.loads(text)["project"]["version"] == "0.1.0"


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ((), "conda"),
        (("train.py", "README.md"), "conda"),
        (("environment-dev.yml",), "conda"),
        (("requirements-dev.txt", "train.py"), "pip"),
        ((".venv",), "pip"),
        (("setup.py", "requirements.txt"), "pyproject"),
        (("pyproject.toml", "environment.yml"), "pyproject"),
        (("uv.lock",), "pyproject"),
    ],
)
def test_the_names_in_a_folder_suggest_a_kind(names, kind):
    assert suggest_kind(frozenset(names)) == kind
