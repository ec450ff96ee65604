"""Damaged byte-code: it is neither linked nor taken for the truth, and it is compiled again.

What was linked later stays verifiable, whatever the store has by now.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from tests.support.bytecode_prefix import LOCK, MODULES, SITE, bytecode_of, make_prefix

from roost.daemon.integrity.manifest import Differences, PrefixManifest, decode_manifest
from roost.daemon.integrity.trees import find_differences
from roost.daemon.prefixes.bytecode import link_parts, list_sources
from roost.daemon.prefixes.bytecode_digests import drop_damaged, load_digests, load_prefix_digests
from roost.daemon.prefixes.compilation import BytecodeTask, complete_bytecode
from roost.daemon.prefixes.linked_bytecode import add_linked, load_linked, record_linked
from roost.daemon.prefixes.seal import seal_prefix
from roost.model.canonical.form import digest_bytes
from roost.store.disk.file_ops import measure_tree
from roost.store.disk.layout import Layout

ONE = f"part/__pycache__/module_1.{sys.implementation.cache_tag}.pyc"
ALL = {Path(path).stem for path in MODULES}


async def fill_store(folder: Path) -> tuple[BytecodeTask, Path, str]:
    """A prefix with its byte-code, the folder in which that is stored, and the tag."""
    task = make_prefix(folder, "a")
    await complete_bytecode(task)
    (stored,) = Path(task.store).iterdir()
    return task, stored, stored.name.partition("-")[2]


def link_new(folder: Path, task: BytecodeTask, tag: str, name: str = "b") -> set[str]:
    """Fill another prefix from the store; the sources that are to be compiled."""
    new = make_prefix(folder, name)
    site, parts = list_sources(new.prefix, LOCK)
    missing = link_parts(site, parts, task.store, tag)
    return {Path(source).stem for part in missing for source in part.sources}


def cut(path: Path) -> None:
    os.truncate(path, 20)


def edit(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-4] + b"xxxx")
    os.utime(path, (1_600_000_000, 1_600_000_000))


@pytest.mark.parametrize("damage", [cut, edit])
async def test_damaged_bytecode_is_compiled_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    task, stored, tag = await fill_store(tmp_path)
    damage(stored / ONE)
    assert link_new(tmp_path, task, tag) == {"module_1"}
    second = make_prefix(tmp_path, "c")
    assert await complete_bytecode(second) == 1
    assert set(bytecode_of(second.prefix)) == ALL
    assert link_new(tmp_path, task, tag, "d") == set()


async def test_a_copied_store_with_other_times_is_used(tmp_path: Path) -> None:
    task, stored, tag = await fill_store(tmp_path)
    for path in stored.rglob("*.pyc"):
        os.utime(path)
    assert link_new(tmp_path, task, tag) == set()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", None])
async def test_without_readable_digests_nothing_is_linked(tmp_path: Path, content: bytes | None) -> None:
    task, stored, tag = await fill_store(tmp_path)
    cut(stored / ONE)
    (stored / "digests.json").unlink() if content is None else (stored / "digests.json").write_bytes(content)
    assert link_new(tmp_path, task, tag) == ALL
    assert await complete_bytecode(make_prefix(tmp_path, "c")) == len(MODULES)
    assert link_new(tmp_path, task, tag, "d") == set()


async def test_digests_of_older_versions_are_kept_as_far_as_they_hold(tmp_path: Path) -> None:
    task, stored, tag = await fill_store(tmp_path)
    older = {name: file.digest for name, file in load_digests(str(stored)).items()}
    (stored / "digests.json").write_text(json.dumps(older))
    cut(stored / ONE)
    assert link_new(tmp_path, task, tag) == {"module_1"}
    assert load_digests(str(stored)).keys() == older.keys() - {ONE}


async def test_damage_during_a_fill_does_not_get_into_the_manifest(tmp_path: Path) -> None:
    """The file is damaged after it was linked, and so late that its time makes the seal read it."""
    task, stored, tag = await fill_store(tmp_path)
    assert link_new(tmp_path, task, tag) == set()
    cut(stored / ONE)
    new = tmp_path / "prefixes/b"
    known = load_prefix_digests(str(new), LOCK, task.store, tag)
    seal = seal_prefix(str(new), [], known, time.time_ns() - 10**9)
    manifest = decode_manifest(seal.manifest, digest_bytes(seal.manifest))
    assert (seal.dropped, seal.count) == (1, None)
    assert f"{SITE}/{ONE}" not in manifest.files
    assert not (new / SITE / ONE).exists()
    assert manifest.files[f"{SITE}/part/module_1.py"][1] == sha256(b"VALUE = 1\n").hexdigest()
    assert set(bytecode_of(str(new))) == ALL - {"module_1"}


async def test_a_sealed_prefix_was_measured(tmp_path: Path) -> None:
    task, _, tag = await fill_store(tmp_path)
    link_new(tmp_path, task, tag)
    new = str(tmp_path / "prefixes/b")
    seal = seal_prefix(new, [], load_prefix_digests(new, LOCK, task.store, tag), 0)
    os.sync()
    assert seal.count is not None
    assert seal.count.measure() == measure_tree(new)


async def test_repair_drops_what_is_damaged_or_unknown(tmp_path: Path) -> None:
    task, stored, _ = await fill_store(tmp_path)
    cut(stored / ONE)
    (stored / "part/__pycache__/unknown.pyc").write_bytes(b"x")
    assert drop_damaged(LOCK, task.store) == 2
    assert load_digests(str(stored)).keys() == {str(path.relative_to(stored)) for path in stored.rglob("*.pyc")}
    assert len(load_digests(str(stored))) == len(MODULES) - 1


def compare(prefix: str) -> Differences:
    """Compare the byte-code of a prefix with what was linked later; the store has become useless."""
    return find_differences(prefix, add_linked(prefix, PrefixManifest(files={}, links={}, folders=[])))


async def test_an_older_prefix_stays_verifiable_when_the_store_has_other_bytecode(tmp_path: Path) -> None:
    """A wheel that was unpacked again has other times, so its byte-code replaces what is stored."""
    task, stored, _ = await fill_store(tmp_path)
    newer = make_prefix(tmp_path, "b")
    for path in MODULES:
        os.utime(Path(newer.prefix, SITE, path), (1_800_000_000, 1_800_000_000))
    assert await complete_bytecode(newer) == len(MODULES)
    assert not os.path.samefile(stored / ONE, Path(task.prefix, SITE, ONE))
    assert {compare(each.prefix).unknown for each in (task, newer)} == {()}
    cut(Path(task.prefix, SITE, ONE))
    assert compare(task.prefix).rewritten == (f"{SITE}/{ONE}",)
    assert compare(newer.prefix).rewritten == ()


async def test_what_a_repair_deletes_is_compiled_again_and_nothing_else(tmp_path: Path) -> None:
    task, _, _ = await fill_store(tmp_path)
    newer = make_prefix(tmp_path, "b")
    for path in MODULES:
        os.utime(Path(newer.prefix, SITE, path), (1_800_000_000, 1_800_000_000))
    await complete_bytecode(newer)
    Path(task.prefix, SITE, ONE).unlink()
    assert await complete_bytecode(task) == 1
    assert set(bytecode_of(task.prefix)) == ALL
    assert compare(task.prefix) == compare(newer.prefix)
    assert load_linked(task.prefix).keys() == load_linked(newer.prefix).keys()


async def test_bytecode_of_the_manifest_that_was_deleted_is_linked_again(tmp_path: Path) -> None:
    await fill_store(tmp_path)
    other = make_prefix(tmp_path, "b")
    shipped = {f"{SITE}/{ONE}": (5, sha256(b"older").hexdigest())}
    known = msgspec.structs.replace(other, digests={**other.digests, f"{SITE}/{ONE}": "of the manifest"})
    await complete_bytecode(known)
    assert set(bytecode_of(other.prefix)) == ALL
    manifest = add_linked(other.prefix, PrefixManifest(files=shipped, links={}, folders=[]))
    assert find_differences(other.prefix, manifest).changed == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"sha256:0\n{}"])
async def test_a_damaged_record_says_nothing(tmp_path: Path, content: bytes) -> None:
    task, _, _ = await fill_store(tmp_path)
    assert len(load_linked(task.prefix)) == len(MODULES)
    Path(Layout.linked_of(task.prefix)).write_bytes(content)
    assert load_linked(task.prefix) == {}
    assert len(compare(task.prefix).unknown) == len(MODULES)


def test_a_record_is_of_bytecode_that_exists(tmp_path: Path) -> None:
    prefix = tmp_path / "p"
    for name in ("a", "b"):
        path = prefix / f"__pycache__/{name}.pyc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    record_linked(str(prefix), {"__pycache__/a.pyc": (1, "x"), "source.py": (1, "x")})
    assert load_linked(str(prefix)) == {"__pycache__/a.pyc": (1, "x")}
    (prefix / "__pycache__/a.pyc").unlink()
    record_linked(str(prefix), {"__pycache__/b.pyc": (2, "y")})
    assert load_linked(str(prefix)) == {"__pycache__/b.pyc": (2, "y")}
