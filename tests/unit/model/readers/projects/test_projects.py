"""Which project a pyproject.toml has: uv is the judge of whether it would be installed."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from uv import find_uv_bin

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults, ReadResult
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.projects.find import compute_project_digest
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

BACKEND = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
PROJECT = '[project]\nname = "Demo.App"\nversion = "1.0"\n'


def read(folder: Path, text: str) -> ReadResult:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return read_definition(DefinitionSource(path=str(path)), LocalFiles())


def digest(folder: Path, text: str = PROJECT + BACKEND) -> str:
    project = read(folder, text).project
    assert project is not None
    assert compute_project_digest(LocalFiles(), str(folder)) == project.digest
    return project.digest


def is_installed_by_uv(folder: Path) -> bool:
    """Whether uv's lock has the project as an installable source."""
    command = [os.fsdecode(find_uv_bin()), "lock", "--offline", "--python", sys.executable]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"HOME": str(folder)}, check=False)
    assert done.returncode == 0, done.stderr
    return 'source = { editable = "." }' in (folder / "uv.lock").read_text()


@pytest.mark.parametrize(("backend", "package"), [*product([True, False], [True, False, None])])
def test_a_project_is_what_uv_would_install(tmp_path: Path, backend: bool, package: bool | None) -> None:
    text = PROJECT + (BACKEND if backend else "")
    text += f"[tool.uv]\npackage = {str(package).lower()}\n" if package is not None else ""
    project = read(tmp_path, text).project
    assert (project is not None) == is_installed_by_uv(tmp_path)
    if project is not None:
        assert (project.name, project.version, project.folder) == ("demo-app", "1.0", str(tmp_path))
        assert project.location.line == (4 if backend else 1)


def test_a_project_has_one_folder_by_whatever_links_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    project = read(tmp_path / "link", PROJECT + BACKEND).project
    assert project is not None
    assert (project.folder, project.location.path) == (
        str(tmp_path / "a"),
        str(tmp_path / "link" / "pyproject.toml"),
    )


@pytest.mark.parametrize("wanted", [True, False])
def test_the_key_of_roost_decides_before_that_of_uv(tmp_path: Path, wanted: bool) -> None:
    key = f"[tool.roost]\nproject = {str(wanted).lower()}\n"
    result = read(
        tmp_path, f'{PROJECT}dependencies = ["leaf"]\n{BACKEND}[tool.uv]\npackage = {str(not wanted).lower()}\n{key}'
    )
    assert (result.project is not None) == wanted
    assert (result.format, [each.text for each in result.definition.pip.requirements]) == ("pyproject", ["leaf"])


def test_a_definition_of_roost_has_a_project_only_if_it_says_so(tmp_path: Path) -> None:
    text = PROJECT + BACKEND + '[tool.roost.pip]\nrequirements = ["leaf"]\n'
    assert read(tmp_path, text).project is None
    with_key = text.replace("[tool.roost.pip]", "[tool.roost]\nproject = true\n[tool.roost.pip]")
    assert read(tmp_path, with_key).project is not None
    digests = {digest_definition(read(tmp_path, each).definition, Defaults()) for each in (text, with_key)}
    assert len(digests) == 1


def test_the_digest_covers_build_files_and_no_sources(tmp_path: Path) -> None:
    seen = {digest(tmp_path)}
    (tmp_path / "module.py").write_text("1")
    assert digest(tmp_path) in seen
    for name in ("backend.py", "setup.py", "setup.cfg", "MANIFEST.in", "hatch_build.py"):
        for content in ("one", "two"):
            (tmp_path / name).write_text(content)
            assert digest(tmp_path) not in seen, name
            seen.add(digest(tmp_path))
    assert digest(tmp_path, PROJECT + BACKEND + "# another text\n") not in seen


def test_missing_build_files_are_inputs_too(tmp_path: Path) -> None:
    inputs = {each.path: each.digest for each in read(tmp_path, PROJECT + BACKEND).inputs}
    assert inputs[str(tmp_path / "setup.py")] is None
    assert str(tmp_path / "backend.py") in inputs


def test_a_project_without_a_name_is_not_installed_and_said(tmp_path: Path) -> None:
    for wanted in ("[tool.uv]\npackage = true\n", ""):
        result = read(tmp_path, "[dependency-groups]\ndev = []\n" + wanted + BACKEND)
        assert (result.project, [each.code for each in result.warnings]) == (None, ["project-unnamed"])
    result = read(tmp_path, "[dependency-groups]\ndev = []\n[tool.uv]\npackage = false\n" + BACKEND)
    assert (result.project, result.warnings) == (None, ())


def test_cache_keys_of_uv_are_build_files(tmp_path: Path) -> None:
    keys = '[tool.uv]\ncache-keys = [{ file = "version.txt" }, "other.txt", { git = true }]\n'
    text, seen = PROJECT + BACKEND + keys, set()

    def begin() -> None:
        commit(tmp_path, "init", "-q", "-b", "main")

    for change in (
        lambda: None,
        lambda: (tmp_path / "version.txt").write_text("1"),
        lambda: (tmp_path / "other.txt").write_text("1"),
        begin,
        lambda: commit(tmp_path, "commit", "-q", "--allow-empty", "-m", "one"),
        lambda: commit(tmp_path, "commit", "-q", "--allow-empty", "-m", "two"),
    ):
        change()
        now = digest(tmp_path, text)
        assert now not in seen or change is begin
        seen.add(digest(tmp_path, text))
    last = digest(tmp_path, text)
    commit(tmp_path, "checkout", "-q", "HEAD~")
    assert digest(tmp_path, text) in seen - {last}
    commit(tmp_path, "checkout", "-q", "main")
    commit(tmp_path, "pack-refs", "--all")
    assert digest(tmp_path, text) == last in seen
    commit(tmp_path, "worktree", "add", "-q", "-d", str(tmp_path / "tree"))
    below = tmp_path / "tree" / "sub"
    below.mkdir()
    first = digest(below, text)
    commit(tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "three")
    assert (digest(below, text) != first, digest(tmp_path, text) == last) == (True, True)


def commit(folder: Path, *words: str) -> None:
    variables = {"HOME": str(folder), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, env=variables, check=True)


@pytest.mark.parametrize(
    "key", ['{ file = "src/**/*.rs" }', '{ env = "X" }', '{ dir = "src" }', "{ git = { tags = true } }"]
)
def test_cache_keys_that_are_not_followed_are_said(tmp_path: Path, key: str) -> None:
    (warning,) = read(tmp_path, f"{PROJECT}{BACKEND}[tool.uv]\ncache-keys = [{key}]\n").warnings
    assert (warning.code, warning.location and warning.location.line) == ("cache-key-unused", 9)


@pytest.mark.parametrize("keys", ['"all"', "[1]", '[{ file = "a", env = "b" }]', "[{ git = { when = 1 } }]"])
def test_cache_keys_that_uv_does_not_have_are_refused(tmp_path: Path, keys: str) -> None:
    with pytest.raises(InvalidDefinitionError):
        read(tmp_path, f"{PROJECT}{BACKEND}[tool.uv]\ncache-keys = {keys}\n")
