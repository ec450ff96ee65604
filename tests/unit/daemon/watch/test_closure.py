"""The inputs of a definition: everything that is read for it, also if reading fails, and what would be read instead."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from roost.daemon.definitions.large_inputs import SmallFiles
from roost.daemon.definitions.resolve import resolve
from roost.daemon.watch import closure as closures
from roost.daemon.watch.closure import Closure, find_changed, find_closure, has_changed, is_below
from roost.daemon.workers.pool import WorkerPool
from roost.model.definition import Defaults
from roost.model.errors import CodedError
from roost.wire.plans import EnvironmentSelector


async def read(path: Path, config: str | None = None, *, search: bool = False) -> Closure:
    files, resolved, failure = SmallFiles(), None, None
    selector = EnvironmentSelector(cwd=str(path.parent), file=None if search else str(path))
    try:
        resolved = await resolve(selector, Defaults(), workers=WorkerPool(str(path.parent)), files=files)
    except CodedError as error:
        failure = error
    return find_closure(str(path), files, resolved, failure, config)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


REFERENCES = {
    "requirements.txt": "-r a.txt\n-c b.txt\n./wheels/x-1.0-py3-none-any.whl\n./inner\n-e ./other\n",
    "a.txt": "-r deep/c.txt\n",
    "deep/c.txt": "six\n",
    "b.txt": "six<2\n",
    "inner/pyproject.toml": '[project]\nname = "inner"\nversion = "1"\n',
    "inner/src/inner/__init__.py": "",
    "other/pyproject.toml": '[project]\nname = "other"\nversion = "1"\n',
    "wheels/x-1.0-py3-none-any.whl": "",
}


async def test_everything_that_a_file_refers_to_is_an_input(tmp_path: Path) -> None:
    write(tmp_path, REFERENCES)
    found = await read(tmp_path / "requirements.txt", "/config.toml")
    assert {str(tmp_path / name) for name in REFERENCES} <= found.stamps.keys()
    assert "/config.toml" in found.stamps
    assert found.has_trees
    assert found.cut is None


@pytest.mark.parametrize("missing", ["a.txt", "deep/c.txt", "b.txt"])
async def test_a_missing_file_is_an_input_although_reading_fails(tmp_path: Path, missing: str) -> None:
    write(tmp_path, REFERENCES)
    (tmp_path / missing).unlink()
    found = await read(tmp_path / "requirements.txt")
    assert found.stamps[str(tmp_path / missing)] == "absent"
    assert str(tmp_path / "requirements.txt") in found.stamps


async def test_the_files_of_a_build_context_are_inputs_and_caches_are_not(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": "FROM a\n", "data/x": "1", ".git/index": "", "__pycache__/y.pyc": ""})
    with open(os.path.join(os.fsencode(tmp_path), b"\xff"), "wb"):
        pass
    found = await read(tmp_path)
    assert {str(tmp_path / name) for name in ("Dockerfile", "data", "data/x")} <= found.stamps.keys()
    assert not any(".git" in path or "__pycache__" in path for path in found.stamps)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Closure) == found


async def test_files_that_would_be_found_instead_are_inputs(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "six\n"})
    found = await read(tmp_path / "requirements.txt", search=True)
    assert found.stamps[str(tmp_path / "roost.toml")] == "absent"
    assert not has_changed(found.stamps)
    write(tmp_path, {"roost.toml": ""})
    assert has_changed(found.stamps)


async def test_a_folder_without_an_environment_file_waits_for_one(tmp_path: Path) -> None:
    assert (await read(tmp_path)).stamps[str(tmp_path)] is None


async def test_a_tree_without_end_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closures, "MAX_PATHS", 20)
    write(tmp_path, {"Dockerfile": "FROM a\n", **{f"d{number}/x": "" for number in range(30)}})
    (tmp_path / "d1" / "loop").symlink_to(tmp_path)
    found = await read(tmp_path)
    assert found.cut == str(tmp_path)
    assert len(found.stamps) == 20


def test_only_what_differs_is_looked_at_again(tmp_path: Path) -> None:
    write(tmp_path, {"a": "1", "b": "1"})
    files = SmallFiles()
    before = {}
    for name in ("a", "b"):
        files.watch(str(tmp_path / name))
        before[name] = Closure(stamps={str(tmp_path / name): files.guards[str(tmp_path / name)].identity})
    before["tree"] = Closure(stamps={}, has_trees=True)
    os.utime(tmp_path / "b", (1, 1))
    assert find_changed(before) == ["b", "tree"]


def test_a_path_is_below_itself_and_below_folders_above() -> None:
    assert is_below("/a/b", ["/a/b"])
    assert is_below("/a/b", ["/a"])
    assert is_below("/a/b", ["/"])
    assert not is_below("/a/bc", ["/a/b"])
