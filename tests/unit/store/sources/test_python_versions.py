"""The ``.python-version`` of a definition: the nearest one, up to a repository or the home folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roost.store.sources.python_versions import find_version_file


def test_the_nearest_file_upwards_is_found_and_what_it_depended_on_is_named(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / ".python-version").write_text("3.12\n")
    found = find_version_file(str(inner))
    assert (found.path, found.data) == (str(tmp_path / ".python-version"), b"3.12\n")
    places = [(folder, name) for folder in (inner, inner.parent) for name in (".python-version", ".git")]
    assert list(found.absent) == [str(folder / name) for folder, name in places]
    (inner.parent / ".python-version").write_text("3.11\n")
    assert find_version_file(str(inner)).data == b"3.11\n"
    (inner / ".python-version").write_text("3.10\n")
    assert find_version_file(str(inner) + "/").data == b"3.10\n"


@pytest.mark.parametrize("end", [".git", "home"])
def test_the_search_ends_at_a_repository_and_at_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    project, inner = tmp_path / "project", tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / ".python-version").write_text("3.12\n")
    if end == ".git":
        (project / ".git").write_text("gitdir: elsewhere\n")
    else:
        monkeypatch.setenv("HOME", str(project))
    found = find_version_file(str(inner))
    assert found.path is None
    assert found.absent[-1] == str(project / ".python-version")
    (project / ".python-version").write_text("3.13\n")
    assert find_version_file(str(inner)).data == b"3.13\n"


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "large"])
def test_what_is_no_small_file_is_found_without_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".python-version"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"3.12\n" * 1000)
    found = find_version_file(str(tmp_path))
    assert (found.path, found.data) == (str(path), None)
