"""The record of a ready prefix is written from the index if it has none, and never for one that goes."""

from __future__ import annotations

import asyncio
import os

import pytest
import pytest_asyncio

from roost.model.errors import StoreError
from roost.model.locks.lock import digest_lock
from roost.model.records import NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.artifacts.records import ensure_record
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import read_record

NEW = NewGeneration(definition_digest="sha256:d", platform="linux-64", as_of="2026-01-01")


@pytest_asyncio.fixture
async def artifact(store, lock_of):
    """A prefix without a record."""

    async def fill(path):
        return FillResult(manifest=b"m")

    made = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=NEW, build_id="b", fill=fill)
    os.unlink(Layout.record_of(made.path))
    return made


async def test_a_lost_record_is_written_again_with_all_that_the_index_knows(store, artifact, lock_of):
    assert await ensure_record(store.index, artifact.id)
    record = read_record(artifact.path)
    assert record is not None
    assert record.artifact == artifact
    assert (record.lock, record.generation) == (lock_of("a"), NEW)
    assert not await ensure_record(store.index, artifact.id)


@pytest.mark.parametrize("content", [b"", b"cut", b"sha256:0\n{}"])
async def test_a_record_that_can_not_be_read_is_replaced(store, artifact, content):
    with open(Layout.record_of(artifact.path), "wb") as file:
        file.write(content)
    assert await ensure_record(store.index, artifact.id)
    assert read_record(artifact.path) is not None


async def test_a_record_of_another_manifest_is_replaced(store, artifact):
    await ensure_record(store.index, artifact.id)
    await store.index.artifacts.put_seal(artifact.id, (), "sha256:other")
    assert await ensure_record(store.index, artifact.id)
    record = read_record(artifact.path)
    assert record is not None
    assert record.artifact.manifest == "sha256:other"


async def test_the_current_generation_is_recorded(store, artifact, lock_of):
    other = NewGeneration(definition_digest="sha256:e", platform="linux-64")
    for lock in (lock_of("a"), lock_of("b")):
        await store.index.generations.add(other, lock)
    await ensure_record(store.index, artifact.id)
    record = read_record(artifact.path)
    assert record is not None
    assert record.generation == NEW
    assert record.artifact.key == digest_lock(lock_of("a"))


async def test_a_prefix_that_goes_or_has_no_manifest_gets_none(store, artifact, lock_of, fill):
    await store.index.artifacts.put_seal(artifact.id, (), "")
    assert not await ensure_record(store.index, artifact.id)
    await store.index.artifacts.mark_retired(artifact.id)
    assert not await ensure_record(store.index, artifact.id)
    assert not await ensure_record(store.index, "nothing")
    assert not os.path.exists(Layout.record_of(artifact.path))


async def test_deleted_at_any_moment_nothing_is_left_of_it(store, lock_of):
    """The deletion begins after k turns of the loop, for every third k until the record is written first."""

    async def fill(path):
        return FillResult(manifest=b"m")

    for turns in range(0, 100, 3):
        made = await store.artifacts.publish_prefix(lock=lock_of(f"p{turns}"), generation=None, build_id="b", fill=fill)
        os.unlink(Layout.record_of(made.path))
        task = asyncio.create_task(ensure_record(store.index, made.id))
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = task.done()
        await store.artifacts.delete(made.id)
        await task
        assert os.listdir(store.layout.prefixes) == []
        if finished:
            break


async def test_a_full_disk_leaves_no_part_of_it(store, artifact, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("roost.store.artifacts.records.write_durably", full)
    with pytest.raises(StoreError):
        await ensure_record(store.index, artifact.id)
    assert not os.path.exists(Layout.record_of(artifact.path))
