"""Origins of folders and scripts in real git repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from roost.store.sources.repositories import find_origin

URL = "git@h.example:org/train.git"
KEY = "git:h.example/org/train"


def git(folder: Path, *words: str) -> None:
    own = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "protocol.file.allow=always")
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", *own, *words], cwd=folder, check=True, env=environ, capture_output=True)


def key(path: Path, **options: bool) -> str:
    return find_origin(str(path), **options).key


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "train"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "x")
    return folder


def test_a_remote_and_the_path_in_it_are_the_origin_of_every_clone_and_worktree(repository, tmp_path):
    assert key(repository / "sub") == f"folder:{repository}/sub"
    git(repository, "remote", "add", "upstream", "https://elsewhere.example/x")
    git(repository, "remote", "add", "origin", URL)
    git(repository, "worktree", "add", "-q", "../feature")
    git(tmp_path, "clone", "-q", "train", "copy")
    git(tmp_path / "copy", "remote", "set-url", "origin", "https://h.example/org/train")
    (tmp_path / "moved").symlink_to("copy/sub")
    for folder in (repository, tmp_path / "feature", tmp_path / "copy"):
        assert key(folder) == KEY
        assert key(folder / "sub") == f"{KEY}#sub"
        assert key(folder / "sub" / "x.py", is_script=True) == f"{KEY}#sub/x.py"
    assert find_origin(str(tmp_path / "moved")).name == "moved"
    assert key(tmp_path / "moved") == f"{KEY}#sub"


def test_a_remote_of_another_name_counts_and_a_change_of_it_is_noticed(repository):
    git(repository, "remote", "add", "only", URL)
    assert key(repository) == KEY
    git(repository, "remote", "set-url", "only", "https://h.example/org/fork")
    assert key(repository) == "git:h.example/org/fork"


def test_worktrees_without_a_remote_belong_to_the_first(repository, tmp_path):
    git(repository, "worktree", "add", "-q", str(tmp_path / "feature"))
    assert key(tmp_path / "feature" / "sub") == key(repository / "sub") == f"folder:{repository}/sub"


def test_a_submodule_is_a_repository_of_its_own(repository, tmp_path):
    git(repository, "remote", "add", "origin", URL)
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(repository), "inner")
    assert key(outer / "inner" / "sub") == f"git:file:{repository}#sub"
    git(outer / "inner", "remote", "set-url", "origin", URL)
    assert key(outer / "inner" / "sub") == f"{KEY}#sub"


@pytest.mark.parametrize(
    "content", [None, b"", b"gitdir: nowhere", b"gitdir: /dev/null", b"gitdir: a\0b", b"\xff" * 99]
)
def test_what_git_did_not_write_is_no_repository(tmp_path, content):
    git_path = tmp_path / ".git"
    git_path.mkdir() if content is None else git_path.write_bytes(content)
    assert key(tmp_path) == f"folder:{tmp_path}"
    assert find_origin("/").key == "folder:/"
