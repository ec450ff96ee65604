"""Commits read from the files of real repositories, compared with git's own answers."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from roost.daemon.source_control import status
from roost.daemon.source_control.repository import (
    find_foreign_code,
    find_other_owner,
    find_repository,
    read_head,
)
from roost.daemon.source_control.status import GitUnknownError, find_git, read_commit, read_tree_state

GIT = find_git(os.environ["PATH"])
pytestmark = pytest.mark.skipif(GIT is None, reason="git is not installed")
IDENTITY = {"GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "e", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "e"}


def git(folder: Path, *words: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY}
    done = subprocess.run(["git", *words], cwd=folder, env=environ, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text("pass\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def found(folder: Path) -> tuple[str | None, str | None]:
    repository = find_repository(str(folder))
    assert repository is not None
    head = read_head(repository)
    assert not head.is_unreadable
    return head.commit, head.branch


def test_a_branch_a_tag_and_a_commit(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    (tree / "deep/er").mkdir(parents=True)
    assert found(tree / "deep/er") == (commit, "main")
    git(tree, "checkout", "-q", "-b", "feature/x")
    assert found(tree) == (commit, "feature/x")
    git(tree, "checkout", "-q", "--detach")
    assert found(tree) == (commit, None)


def test_packed_references_and_symbolic_ones(tree: Path) -> None:
    commit = git(tree, "rev-parse", "HEAD")
    git(tree, "branch", "main2")
    git(tree, "tag", "-a", "-m", "t", "v1")
    git(tree, "pack-refs", "--all")
    assert not (tree / ".git/refs/heads/main").exists()
    assert found(tree) == (commit, "main")
    git(tree, "symbolic-ref", "refs/heads/alias", "refs/heads/main2")
    git(tree, "symbolic-ref", "HEAD", "refs/heads/alias")
    assert found(tree) == (commit, "alias")


def test_a_worktree_and_a_submodule_have_their_own_heads(tree: Path, tmp_path: Path) -> None:
    first = git(tree, "rev-parse", "HEAD")
    git(tree, "worktree", "add", "-q", "-b", "other", "../other")
    other = tmp_path / "other"
    git(other, "commit", "-q", "--allow-empty", "-m", "second")
    assert found(other) == (git(other, "rev-parse", "HEAD"), "other")
    assert found(tree) == (first, "main")
    git(tree, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "inner")
    assert found(tree / "inner")[0] == git(tree / "inner", "rev-parse", "HEAD")


def test_a_branch_without_a_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    assert found(tmp_path) == (None, "main")
    assert GIT is not None
    assert read_commit(GIT, str(tmp_path)) is None


def test_what_is_no_repository(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "sub/.git").mkdir(parents=True)
    assert find_repository(str(tmp_path / "sub")) is None
    assert find_repository(str(tmp_path / "gone")) is None
    (tmp_path / "file").mkdir()
    (tmp_path / "file/.git").write_text("no gitdir here")
    assert find_repository(str(tmp_path / "file")) is None
    os.mkfifo(tmp_path / "file2")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe/.git")
    assert find_repository(str(tmp_path / "pipe")) is None


@pytest.mark.parametrize(
    "content", ["", "ref: ../../../etc/passwd", "ref: refs/../../x", "ref: refs/heads/\x1b[2J", "garbage"]
)
def test_a_head_that_git_would_not_write_is_left_to_git(tree: Path, content: str) -> None:
    (tree / ".git/HEAD").write_text(content)
    repository = find_repository(str(tree))
    assert repository is not None
    assert read_head(repository).is_unreadable


def test_tables_of_references_are_left_to_git(tree: Path) -> None:
    (tree / ".git/reftable").mkdir()
    (tree / ".git/HEAD").write_text("ref: refs/heads/.invalid\n")
    repository = find_repository(str(tree))
    assert repository is not None
    assert read_head(repository).is_unreadable


def test_git_reads_what_the_files_say(tree: Path) -> None:
    assert GIT is not None
    assert read_commit(GIT, str(tree)) == found(tree)[0]
    (tree / ".git/HEAD").write_text("garbage")
    with pytest.raises(GitUnknownError):
        read_commit(GIT, str(tree))


def test_changes_and_new_files_are_counted(tree: Path) -> None:
    assert GIT is not None
    assert read_tree_state(GIT, str(tree)) == (0, 0, None)
    (tree / "train.py").write_text("changed\n")
    (tree / "staged").write_text("")
    git(tree, "add", "staged")
    for name in ("new\nname", "out/a", "out/b"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("")
    (tree / ".gitignore").write_text("*.log\n.gitignore\n")
    (tree / "ignored.log").write_text("")
    assert read_tree_state(GIT, str(tree)) == (2, 2, None)


def test_nothing_of_the_repository_is_executed(tree: Path, tmp_path: Path) -> None:
    assert GIT is not None
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(trap))
    git(tree, "config", "core.hooksPath", str(tmp_path))
    for hook in ("post-index-change", "post-checkout"):
        (tree / ".git/hooks").mkdir(exist_ok=True)
        (tree / ".git/hooks" / hook).symlink_to(trap)
    os.utime(tree / "train.py", (1, 1))  # git would refresh its index
    index = (tree / ".git/index").read_bytes()
    assert read_tree_state(GIT, str(tree)) == (0, 0, None)
    assert (tree / ".git/index").read_bytes() == index
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "text", ['[filter "x"]\nclean = evil', "[include]\npath=x", '[INCLUDEIF "gitdir:/"]\npath=x', "[core] [filter.x]\n"]
)
def test_a_configuration_that_names_programs_is_found(tree: Path, text: str) -> None:
    repository = find_repository(str(tree))
    assert repository is not None
    assert find_foreign_code(repository) is None
    with (tree / ".git/config").open("a") as file:
        file.write(text)
    reason = find_foreign_code(repository)
    assert reason is not None
    assert str(tree / ".git/config") in reason


def test_a_repository_of_another_user_is_named(tree: Path) -> None:
    repository = find_repository(str(tree))
    assert repository is not None
    assert find_other_owner(repository, os.geteuid()) is None
    assert find_other_owner(repository, os.geteuid() + 1) == str(tree)


def test_git_ends_in_time_with_all_that_it_started(tmp_path: Path) -> None:
    slow = tmp_path / "git"
    slow.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/pid; wait\n")
    slow.chmod(0o755)
    state = read_tree_state(str(slow), str(tmp_path), deadline=0.3)
    assert state == (None, None, "git took longer than 0.3 s")
    pid = int((tmp_path / "pid").read_text())
    with suppress(FileNotFoundError, ProcessLookupError):  # it was killed with git, and ends when it gets a processor
        while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            time.sleep(0.01)


def test_git_is_looked_for_in_absolute_folders_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert find_git(".:") is None
    assert find_git(f".:{tmp_path}") == str(tmp_path / "git")


def test_variables_of_git_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    assert "GIT_DIR" not in status._environment(os.environ, "/usr/bin/git")
