"""Which lock file a definition has, and what that depends on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roost.daemon.definitions.files import WatchedFiles
from roost.daemon.definitions.lock_places import find_lock_place
from roost.daemon.definitions.stamps import ABSENT
from roost.store.sources.discover import DiscoveredFile


def place(folder: Path, name: str, *, named: bool = True, format: str | None = None) -> tuple[str, set[str]]:
    """The name of the lock file, and of everything that it depends on."""
    files = WatchedFiles()
    found = DiscoveredFile(path=str(folder / name), format=format)
    where, absent = find_lock_place(found, files, is_named=named)
    assert os.path.dirname(where.path) == str(folder if (folder / name).is_file() else folder / name)
    assert where.exists is os.path.lexists(where.path)
    assert (files.guards[where.path].identity == ABSENT) is not where.exists
    return os.path.basename(where.path), {os.path.basename(path) for path in (*absent, *files.guards)}


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("[project]\nname = 'a'\n" if name == "pyproject.toml" else "a\n")


@pytest.mark.parametrize(
    ("present", "named", "expected"),
    [
        (["requirements.txt"], "requirements.txt", "roost.lock"),
        (["requirements.txt", "dev.txt"], "dev.txt", "dev.txt.roost.lock"),
        (["environment.yml", "requirements.txt"], "requirements.txt", "requirements.txt.roost.lock"),
        (["environment.yml", "requirements.txt"], "environment.yml", "roost.lock"),
        (["environment.yml", "environment.yaml"], "environment.yaml", "environment.yaml.roost.lock"),
        (["environment.yml", "train.py"], "train.py", "train.py.roost.lock"),
    ],
)
def test_the_choice_of_the_folder_has_the_short_name(
    tmp_path: Path, present: list[str], named: str, expected: str
) -> None:
    write(tmp_path, *present)
    name, inputs = place(tmp_path, named)
    assert name == expected
    assert name in inputs
    if named == "requirements.txt":
        assert "environment.yml" in inputs, "with or without it the name is another one"
    if "environment.yaml" in present:
        assert {"environment.yml", "environment.yaml"} <= inputs


def test_what_a_search_finds_has_it_without_another_search(tmp_path: Path) -> None:
    write(tmp_path, "environment.yml", "train.py")
    assert place(tmp_path, "environment.yml", named=False) == ("roost.lock", {"roost.lock"})
    assert place(tmp_path, "train.py", named=False, format="pep723") == ("train.py.roost.lock", {"train.py.roost.lock"})
    (tmp_path / "context").mkdir()
    assert place(tmp_path, "context")[0] == "roost.lock"


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_is_there_too(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "requirements.txt")
    lock = tmp_path / "roost.lock"
    lock.mkdir() if kind == "folder" else lock.symlink_to(lock)
    files = WatchedFiles()
    where, _ = find_lock_place(DiscoveredFile(path=str(tmp_path / "requirements.txt")), files, is_named=False)
    assert where.exists


def test_no_digest_of_a_folder_depends_on_lock_files(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfile", "a.py")
    files = WatchedFiles()
    before = files.tree_digest(str(tmp_path)), files.context_digest(str(tmp_path)), files.list_context(str(tmp_path))
    write(tmp_path, "roost.lock", "train.py.roost.lock")
    after = files.tree_digest(str(tmp_path)), files.context_digest(str(tmp_path)), files.list_context(str(tmp_path))
    assert before == after
