"""Byte-code of ready prefixes: what is compiled, what is left alone, and what it is never compiled from."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.bytecode_prefix import KEY, MODULES, SITE, bytecode_of, make_prefix

from roost.daemon.integrity.manifest import PrefixManifest
from roost.daemon.integrity.trees import KeptBytecode, find_differences
from roost.daemon.prefixes.bytecode import PackageSources, choose_sources
from roost.daemon.prefixes.compilation import (
    BytecodeTask,
    PrefixInUseError,
    complete_bytecode,
    delete_unfinished,
    list_batches,
)
from roost.store.disk.lease_files import try_lock_exclusively

NAMES = {Path(path).stem for path in MODULES}
PATHS = st.sets(st.sampled_from([f"{letter}.py" for letter in "abcdefgh"]))
STAMPS = st.sampled_from([b"1", b"2"])


def import_from(task: BytecodeTask) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": f"{task.prefix}/{SITE}"}


async def test_compiled_once_stored_and_linked(tmp_path: Path) -> None:
    first, second = make_prefix(tmp_path, "a"), make_prefix(tmp_path, "b")
    assert await complete_bytecode(first) == len(MODULES)
    assert bytecode_of(first.prefix) == dict.fromkeys(NAMES, 2)
    assert await complete_bytecode(second) == 0
    assert bytecode_of(second.prefix) == dict.fromkeys(NAMES, 3)
    (stored,) = Path(first.store).iterdir()
    assert len(json.loads((stored / "digests.json").read_bytes())) == len(MODULES)
    assert [path for path, _ in json.loads((stored / "skipped.json").read_bytes())] == ["part/template.py"]


async def test_only_folders_that_exist_in_place_of_what_python_wrote(tmp_path: Path) -> None:
    task = make_prefix(tmp_path)
    folder = Path(task.prefix, SITE, "part/__pycache__")
    folder.rmdir()
    assert await complete_bytecode(task) == len(MODULES)
    assert not folder.exists()
    folder.mkdir()
    (name,) = (path.name for path in Path(task.store).rglob("module_1.*.pyc"))
    (folder / name).write_bytes(b"cut by a power loss")
    await complete_bytecode(task)
    assert bytecode_of(task.prefix) == dict.fromkeys(NAMES, 2)
    assert not list(Path(task.store).glob("late-*"))


async def test_what_python_has_compiled_is_stored_for_other_prefixes(tmp_path: Path) -> None:
    first, second = make_prefix(tmp_path, "a"), make_prefix(tmp_path, "b")
    subprocess.run([f"{first.prefix}/bin/python", "-c", "import part.module_1"], env=import_from(first), check=True)
    assert bytecode_of(first.prefix) == {"__init__": 1, "module_1": 1}
    assert await complete_bytecode(first) == len(MODULES)
    assert bytecode_of(first.prefix) == dict.fromkeys(NAMES, 2)
    assert await complete_bytecode(second) == 0
    assert set(bytecode_of(second.prefix)) == NAMES


async def test_what_a_package_ships_is_not_compiled(tmp_path: Path) -> None:
    task = make_prefix(tmp_path)
    shipped = Path(task.prefix, SITE, f"part/__pycache__/module_1.{sys.implementation.cache_tag}.pyc")
    shipped.write_bytes(b"shipped")
    known = {**task.digests, str(shipped.relative_to(task.prefix)): "of the manifest"}
    assert await complete_bytecode(msgspec.structs.replace(task, digests=known)) == len(MODULES) - 1
    assert shipped.read_bytes() == b"shipped"


async def test_a_source_that_was_edited_is_not_compiled(tmp_path: Path) -> None:
    """Neither for the store, from where it would get into others, nor as one that does not compile."""
    task = make_prefix(tmp_path)
    edited = Path(task.prefix, SITE, "part/module_1.py")
    edited.write_text("VALUE = 9\n")
    os.utime(edited, (1_700_000_000, 1_700_000_000))
    assert await complete_bytecode(task) == len(MODULES) - 1
    assert "module_1" not in bytecode_of(task.prefix)
    assert not list(Path(task.store).rglob("module_1.*"))
    edited.write_text(MODULES["part/module_1.py"])
    os.utime(edited, (1_700_000_000, 1_700_000_000))
    assert await complete_bytecode(task) == 1


async def test_a_prefix_that_is_being_deleted_is_left(tmp_path: Path) -> None:
    task = make_prefix(tmp_path)
    hold = try_lock_exclusively(task.lease_path)
    assert hold is not None
    with pytest.raises(PrefixInUseError):
        await complete_bytecode(task)
    hold.close()
    os.unlink(task.lease_path)
    with pytest.raises(PrefixInUseError):
        await complete_bytecode(task)
    assert bytecode_of(task.prefix) == {}
    assert list(Path(task.store).iterdir()) == []


async def test_copies_where_there_can_be_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have as many names as its file system allows (65,000 on ext4)."""
    first, second = make_prefix(tmp_path, "a"), make_prefix(tmp_path, "b")
    link = os.link

    def refuse(source: str, target: str) -> None:
        if KEY in source:
            raise OSError(errno.EMLINK, "Too many links")
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    await complete_bytecode(first)
    assert bytecode_of(first.prefix) == dict.fromkeys(NAMES, 1)
    monkeypatch.setattr(os, "link", lambda *_: refuse(KEY, ""))
    await complete_bytecode(second)
    assert bytecode_of(second.prefix) == dict.fromkeys(NAMES, 1)
    assert not list(Path(first.store).glob("late-*"))


async def test_late_bytecode_that_is_edited_in_place_is_an_alteration(tmp_path: Path) -> None:
    task = make_prefix(tmp_path)
    await complete_bytecode(task)
    (stored,) = Path(task.store).iterdir()
    digests = json.loads((stored / "digests.json").read_bytes())
    late = {
        f"{SITE}/{name}": KeptBytecode(path=str(stored / name), digest=each)
        for name, (_, _, each, _) in digests.items()
    }
    nothing = PrefixManifest(files={}, links={}, folders=[])
    one, other = sorted(late)[:2]
    assert find_differences(task.prefix, nothing, late).changed == ()
    Path(task.prefix, other).unlink()
    Path(task.prefix, other).write_bytes(b"written anew by Python")
    with open(os.path.join(task.prefix, one), "r+b") as stream:
        stream.write(b"edited")
    assert find_differences(task.prefix, nothing, late).changed == (one,)


def test_what_a_killed_daemon_left_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "late-a/x").mkdir(parents=True)
    (tmp_path / "late-b").touch()
    (tmp_path / KEY).mkdir()
    delete_unfinished(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [KEY]


@given(
    st.dictionaries(st.sampled_from([f"{letter}.py" for letter in "abcdefgh"]), STAMPS),
    PATHS,
    st.dictionaries(st.sampled_from([f"{letter}.py" for letter in "abcdefgh"]), STAMPS),
    st.sets(st.tuples(st.sampled_from(["a.py", "b.py"]), STAMPS)),
)
def test_every_source_without_bytecode_is_linked_or_compiled(
    sources: dict[str, bytes], present: set[str], stored: dict[str, bytes], skipped: set[tuple[str, bytes]]
) -> None:
    found = choose_sources(sources, present, stored, skipped)
    assert not set(found.linked) & set(found.compiled)
    left = set(sources) - present - {path for path, stamp in skipped if sources.get(path) == stamp}
    assert {*found.linked, *found.compiled} == left
    assert all(stored[path] == sources[path] for path in found.linked)
    # Once everything was done, nothing is left to do.
    done = {**stored, **{path: sources[path] for path in found.compiled}}
    assert choose_sources(sources, present | left, done, skipped).linked == ()
    assert choose_sources(sources, present, done, skipped).compiled == ()


@given(st.lists(st.lists(st.integers(), max_size=30), max_size=8), st.integers(1, 12))
def test_batches_have_everything_once(parts: list[list[int]], most: int) -> None:
    packages = [PackageSources(str(key), tuple(map(str, part))) for key, part in enumerate(parts)]
    batches = list(list_batches(packages, most))
    assert [(p.key, s) for batch in batches for p in batch for s in p.sources] == [
        (p.key, s) for p in packages for s in p.sources
    ]
    sizes = [sum(len(part.sources) for part in batch) for batch in batches]
    assert all(size == most for size in sizes[:-1])
    assert all(0 < size <= most for size in sizes)
