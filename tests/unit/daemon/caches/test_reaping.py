"""Deletion in a real worker: at the lowest priority, and ended at once by whoever cancels it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.daemon.background.priority import read_priority
from roost.daemon.caches.reaping import REAP, Pace, ReapRequest
from roost.daemon.workers.pool import WorkerPool
from roost.store.disk.file_ops import measure_tree


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    os.mkdir(tmp_path / "workers")
    pool = WorkerPool(str(tmp_path / "workers"))
    yield pool
    await pool.close()


async def test_a_cancelled_deletion_ends_and_the_rest_goes_later(
    workers: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, trace, hold = tmp_path / "tree", tmp_path / "trace", tmp_path / "hold"
    for number in range(20):
        (tree / str(number)).mkdir(parents=True)
        (tree / str(number) / "file").write_bytes(b"x" * 5000)
    os.sync()
    size, _ = measure_tree(str(tree))
    request = ReapRequest(path=str(tree), shrinks=False)
    hold.write_text("")
    with monkeypatch.context() as patch:
        patch.setenv("ROOST_FAILPOINT_HOLD", f"collect.reaping={hold}")
        patch.setenv("ROOST_FAILPOINT_TRACE", str(trace))
        deleting = asyncio.create_task(workers.run(REAP, request))
        while not trace.exists() or "collect.reaping" not in trace.read_text():
            await asyncio.sleep(0.01)
    (pid,) = workers.list_pids()
    assert read_priority(pid)[0] == 19
    deleting.cancel()
    await asyncio.wait([deleting])
    assert workers.list_pids() == []
    assert len(list(tree.iterdir())) == 20
    assert await workers.run(REAP, request) == size
    assert not tree.exists()


def test_a_rest_is_as_long_as_the_work_before_it():
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(lambda: now[0], sleep)
    for worked in (0.001, 0.002, 0.007, 0.004, 0.020):
        now[0] += worked
        assert not pace.rest()
    assert slept == [pytest.approx(0.010), pytest.approx(0.024)]
