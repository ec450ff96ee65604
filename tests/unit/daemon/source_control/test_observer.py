"""What is recorded of the code of runs, and how often git is asked for it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.source_control import observer as module
from roost.daemon.source_control import status
from roost.daemon.source_control.observer import CodeObserver, find_code_folders
from roost.daemon.source_control.status import TreeState, find_git
from roost.model.history import CodeState

GIT = find_git("/usr/local/bin:/usr/bin:/bin")
pytestmark = pytest.mark.skipif(GIT is None, reason="git is not installed")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    words = ("-c", "user.name=n", "-c", "user.email=e")
    for command in (("init", "-q", "-b", "main"), (*words, "commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


async def observe(observer: CodeObserver, *folders: Path) -> list[CodeState]:
    found: list[CodeState] = []

    async def record(code: CodeState) -> None:
        found.append(code)

    observer.observe("r1", [str(folder) for folder in folders], record)
    assert observer.is_pending("r1")
    await observer.settle("r1", 30)
    assert not observer.is_pending("r1")
    return found


async def test_the_first_folder_in_a_repository_counts(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    observer, outside = CodeObserver(Lifecycle()), tmp_path_factory.mktemp("outside")
    assert await observe(observer, outside) == []
    (code,) = await observe(observer, outside, tree)
    assert (code.root, code.branch, code.dirty, code.reason) == (str(tree), "main", False, None)
    await observer.stop()


async def test_without_git_the_commit_is_known_and_the_tree_is_not(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_git", lambda path: None)
    observer = CodeObserver(Lifecycle())
    (code,) = await observe(observer, tree)
    assert len(code.commit or "") == 40
    assert (code.dirty, code.changed, code.delay, code.reason) == (None, None, None, "git is not installed")
    await observer.stop()


async def test_a_stop_ends_a_git_that_hangs(tree: Path) -> None:
    (tree / ".git" / "index").unlink(missing_ok=True)
    os.mkfifo(tree / ".git" / "index")  # nobody writes into it
    observer = CodeObserver(Lifecycle())
    observer.observe("r1", [str(tree)], AsyncMock())
    while not status._running:
        await asyncio.sleep(0.01)
    (process,) = status._running
    await observer.stop()
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL


async def test_runs_that_begin_during_a_comparison_share_the_next(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def compare(git: str, root: str) -> TreeState:
        calls.append(root)
        begun.set()
        assert go_on.wait(30)
        return TreeState(len(calls), 0)

    monkeypatch.setattr(module, "read_tree_state", compare)
    observer, found = CodeObserver(Lifecycle()), {}

    def start(name: str) -> None:
        async def record(code: CodeState) -> None:
            found[name] = code.changed

        observer.observe(name, [str(tree)], record)

    start("first")
    await asyncio.to_thread(begun.wait, 30)
    others = [f"other{number}" for number in range(20)]
    for name in others:
        start(name)
    while len(observer._comparisons) < 1:  # they have read their commits, and wait for the next comparison
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*(observer.settle(name, 30) for name in ("first", *others)))
    assert found["first"] == 1
    assert set(found) == {"first", *others}
    assert all(found[name] >= 2 for name in others), "what was compared before a run began says nothing of it"
    assert len(calls) < 10
    await observer.stop()
    assert not observer._turns


async def test_a_stop_gives_up_what_is_not_known(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def compare(git: str, root: str) -> TreeState:
        begun.set()
        go_on.wait(30)
        return TreeState(0, 0)

    monkeypatch.setattr(module, "read_tree_state", compare)
    lifecycle = Lifecycle()
    observer, found = CodeObserver(lifecycle), []

    async def record(code: CodeState) -> None:
        found.append(code)

    observer.observe("r1", [str(tree)], record)
    await asyncio.to_thread(begun.wait, 30)
    assert lifecycle.held["code of a run"] == 1
    await observer.stop()
    go_on.set()
    assert (found, observer.is_pending("r1"), lifecycle.held["code of a run"]) == ([], False, 0)


def test_the_folders_of_a_run_are_its_own_and_those_of_its_scripts() -> None:
    assert find_code_folders("/w", ["python", "train.py"]) == ["/w"]
    assert find_code_folders("/w", ["python", "../p/train.py", "-x"]) == ["/w", "/p"]
    assert find_code_folders("/w", ["/a/b/train.py"]) == ["/w", "/a/b"]
    assert find_code_folders("/w", ["torchrun", "-n", "2", "m/x.py", "later.py"]) == ["/w", "/w/m"]
