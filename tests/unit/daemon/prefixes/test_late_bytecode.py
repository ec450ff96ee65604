"""Byte-code that comes after its prefix: who interrupts it, and that it is recorded once it is there."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.bytecode_prefix import LOCK, MODULES, bytecode_of, make_prefix

from roost.daemon.background.work import make_way
from roost.daemon.integrity.manifest import encode_manifest
from roost.daemon.integrity.trees import collect_manifest
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.prefixes import late_bytecode
from roost.daemon.prefixes.late_bytecode import LateBytecode
from roost.model.records import Artifact
from roost.store.artifacts.publish import FillResult
from roost.store.store import Store


@pytest.fixture
async def store(short_folder: Path) -> AsyncIterator[Store]:
    opened = await Store.open(str(short_folder))
    yield opened
    await opened.close()


@pytest.fixture
async def late(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LateBytecode]:
    monkeypatch.setattr(late_bytecode, "BEGIN_SECONDS", 0.0)
    monkeypatch.setattr(late_bytecode, "AGAIN_SECONDS", 0.01)
    made = LateBytecode(store, os.path.join(store.layout.packages, "bytecode"), Lifecycle(), lambda: None)
    store.artifacts.before_deletion = made.leave
    yield made
    await made.stop()


@pytest.fixture
def held(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As long as this file exists, nothing gets beyond the compilation."""
    path = short_folder / "held"
    path.touch()
    monkeypatch.setenv("ROOST_FAILPOINT_HOLD", f"bytecode.synced={path}")
    return path


async def publish(store: Store, *, is_due: bool = True) -> Artifact:
    async def fill(prefix: str) -> FillResult:
        made = make_prefix(Path(store.layout.stage) / "made").prefix
        shutil.copytree(made, prefix, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(os.path.dirname(made))
        return FillResult(manifest=encode_manifest(collect_manifest(prefix, {}, 0)), bytecode_due=is_due)

    return await store.artifacts.publish_prefix(lock=LOCK, generation=None, build_id="b", fill=fill)


async def wait_until_staged(store: Store) -> None:
    while not list(Path(store.layout.packages).glob("bytecode/late-*/*/part/__pycache__/*.pyc")):
        await asyncio.sleep(0.005)


async def wait_until_recorded(store: Store) -> None:
    while await store.index.artifacts.list_bytecode_due():
        await asyncio.sleep(0.005)


async def test_completed_and_recorded_with_the_new_size(store: Store, late: LateBytecode) -> None:
    ready = await publish(store)
    assert ready.bytecode_due
    assert bytecode_of(ready.path) == {}
    late.request(ready)
    await wait_until_recorded(store)
    assert len(bytecode_of(ready.path)) == len(MODULES)
    after = await store.index.artifacts.find(ready.id)
    assert after is not None
    assert after.shared_bytes > ready.shared_bytes


async def test_what_a_repair_deletes_is_due_again(store: Store, late: LateBytecode) -> None:
    ready = await publish(store)
    late.request(ready)
    await wait_until_recorded(store)
    files = [str(path) for path in Path(ready.path).rglob("*.pyc")]
    assert await late.delete_files(ready.id, [*files[:2], f"{ready.path}/none.pyc"]) == 2
    await wait_until_recorded(store)
    assert len(bytecode_of(ready.path)) == len(MODULES)
    assert os.path.exists(store.layout.linked_of(ready.path))
    assert await store.artifacts.delete(ready.id)
    assert not os.path.exists(store.layout.linked_of(ready.path))
    assert await late.delete_files(ready.id, files) == 0


async def test_nothing_is_done_for_what_is_complete(store: Store, late: LateBytecode) -> None:
    late.request(await publish(store, is_due=False))
    assert late._task is None


async def test_the_next_daemon_goes_on(store: Store, late: LateBytecode) -> None:
    ready = await publish(store)
    await late.start()
    await wait_until_recorded(store)
    assert len(bytecode_of(ready.path)) == len(MODULES)


async def test_a_deletion_interrupts_it(store: Store, late: LateBytecode, held: Path) -> None:
    ready = await publish(store)
    late.request(ready)
    await wait_until_staged(store)
    deletion = asyncio.create_task(store.artifacts.delete(ready.id))
    while late._current is not None and not late._current[1].gave_way:
        await asyncio.sleep(0.005)
    assert os.path.exists(ready.path), "nothing may be deleted while a thread may write into it"
    held.unlink()
    assert await deletion
    assert not os.path.exists(ready.path)
    assert not list(Path(store.layout.packages).glob("bytecode/late-*"))


async def test_it_makes_way_and_begins_again(store: Store, late: LateBytecode, held: Path) -> None:
    ready = await publish(store)
    late.request(ready)
    await wait_until_staged(store)
    make_way()
    held.unlink()
    await wait_until_recorded(store)
    assert len(bytecode_of(ready.path)) == len(MODULES)


async def test_an_altered_manifest_ends_it(store: Store, late: LateBytecode) -> None:
    """The prefix will be replaced: nothing of it may get into the store."""
    ready = await publish(store)
    Path(store.layout.manifest_of(ready.path)).write_text("{}")
    late.request(ready)
    await wait_until_recorded(store)
    assert bytecode_of(ready.path) == {}
