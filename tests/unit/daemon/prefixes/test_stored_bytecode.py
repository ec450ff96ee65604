"""Stored byte-code that was damaged: it is neither linked nor taken for the truth, and it is compiled again."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.bytecode_prefix import LOCK, MODULES, SITE, bytecode_of, make_prefix

from roost.daemon.integrity.manifest import decode_manifest
from roost.daemon.prefixes.bytecode import link_parts, list_sources
from roost.daemon.prefixes.bytecode_digests import drop_damaged, load_digests, load_prefix_digests
from roost.daemon.prefixes.compilation import BytecodeTask, complete_bytecode
from roost.daemon.prefixes.seal import seal_prefix
from roost.model.canonical.form import digest_bytes

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
    assert seal.dropped == 1
    assert f"{SITE}/{ONE}" not in manifest.files
    assert not (new / SITE / ONE).exists()
    assert manifest.files[f"{SITE}/part/module_1.py"][1] == sha256(b"VALUE = 1\n").hexdigest()
    assert set(bytecode_of(str(new))) == ALL - {"module_1"}


async def test_repair_drops_what_is_damaged_or_unknown(tmp_path: Path) -> None:
    task, stored, _ = await fill_store(tmp_path)
    cut(stored / ONE)
    (stored / "part/__pycache__/unknown.pyc").write_bytes(b"x")
    assert drop_damaged(LOCK, task.store) == 2
    assert load_digests(str(stored)).keys() == {str(path.relative_to(stored)) for path in stored.rglob("*.pyc")}
    assert len(load_digests(str(stored))) == len(MODULES) - 1
