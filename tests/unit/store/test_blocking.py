"""The store never blocks the event loop: every protocol under a detector."""

from __future__ import annotations

import asyncio
import os
import shutil

import pytest
from blockbuster import BlockingError, blockbuster_ctx

from roost.model.errors import BuildError
from roost.model.records import NewGeneration, RunRecord
from roost.store.artifacts.publish import FillResult
from roost.store.disk.file_ops import list_names
from roost.store.store import Store


async def use(root, lock_of):
    async def fill(path):
        await asyncio.to_thread(shutil.copytree, os.path.dirname(__file__), f"{path}/lib")
        return FillResult()

    async def failing(path):
        raise BuildError("x")

    store = await Store.open(root)
    artifact = await store.artifacts.publish_prefix(
        lock=lock_of("a"),
        generation=NewGeneration(definition_digest="sha256:d", platform="linux-64"),
        build_id="b",
        fill=fill,
    )
    with pytest.raises(BuildError):
        await store.artifacts.publish_prefix(lock=lock_of("b"), generation=None, build_id="b", fill=failing)
    await store.index.runs.insert(
        RunRecord(
            id="r",
            state="running",
            target="local",
            command=("x",),
            cwd="/",
            definition_digest="sha256:d",
            settings_digest="sha256:s",
            created="2026-01-01T00:00:00Z",
        ),
    )
    assert len(await store.artifacts.list_usage(measure=True)) == 1
    await store.close()
    await asyncio.to_thread(os.makedirs, f"{store.layout.prefixes}/stray/x")
    store = await Store.open(root)
    assert store.recovery.ended_runs == {"r": "lost"}
    assert len(store.recovery.actions) == 1
    assert await store.artifacts.retire_prefix(artifact.id)
    await store.close()


async def test_no_blocking_call_in_the_loop(root, lock_of):
    with blockbuster_ctx(["roost.store"]):
        await use(root, lock_of)


async def test_the_detector_sees_the_store(root):
    with blockbuster_ctx(["roost.store"]), pytest.raises(BlockingError):
        list_names(root)
