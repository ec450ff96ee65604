"""SIGKILL while a lease is put, renewed or released: all of it or nothing; a deletion never wins over a live lease."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.store_child import fill, lock_of

from roost.model.locks.lock import digest_lock
from roost.model.records import LeaseTarget, NewGeneration
from roost.store.store import Store

FAR = "9999-01-01T00:00:00.000000Z"
DEFINITION = "sha256:a"
LOCK = digest_lock(lock_of("a"))
TARGET = {
    "environment": LeaseTarget(kind="environment", subject=DEFINITION),
    "prefix": LeaseTarget(kind="prefix", subject=LOCK),
}
CHILD = """
import asyncio, sys
from tests.crash.test_lease_crashes import act
asyncio.run(act(*sys.argv[1:]))
"""


async def act(root: str, action: str, kind: str) -> None:
    store = await Store.open(root)
    if action == "release":
        await store.index.leases.delete("l")
    else:
        await store.index.leases.put("l", TARGET[kind], "kernel", FAR)
    await store.close()


def run(root: str, action: str, kind: str, **variables: str) -> int:
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **variables}
    return subprocess.run([sys.executable, "-c", CHILD, root, action, kind], env=environ, timeout=120).returncode


@pytest.fixture
def root() -> Iterator[str]:
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def publish(root: str, *, leased: bool) -> None:
    store = await Store.open(root)
    generation = NewGeneration(definition_digest=DEFINITION, platform="linux-64")
    await store.artifacts.publish_prefix(lock=lock_of("a"), generation=generation, build_id="b", fill=fill)
    if leased:
        await store.index.leases.put("l", TARGET["prefix"], "kernel", "9998-01-01T00:00:00.000000Z")
    await store.close()


def points(root: str, action: str, kind: str, trace: Path) -> list[str]:
    """The fail points that the action itself passes, after those of opening."""
    copy = f"{root}.copy"
    shutil.copytree(root, copy, symlinks=True)
    assert run(copy, action, kind, ROOST_FAILPOINT_TRACE=str(trace)) == 0
    shutil.rmtree(copy)
    return [name for name in trace.read_text().split() if name.startswith("lease.")]


@pytest.mark.parametrize("kind", TARGET)
@pytest.mark.parametrize("action", ["put", "renew", "release"])
async def test_all_or_nothing(root: str, action: str, kind: str, tmp_path: Path) -> None:
    await publish(root, leased=action != "put")
    found = points(root, action, kind, tmp_path / "trace")
    assert found, "the action passes no fail point"
    for number, point in enumerate(found, 1):
        before = found[:number].count(point)
        assert run(root, action, kind, ROOST_FAILPOINT=f"{point}:{before}") < 0
        store = await Store.open(root)
        leases = await store.index.leases.list_active()
        assert [lease.id for lease in leases] == ([] if action == "put" else ["l"])
        assert await store.index.leases.list_subjects("l") == ([] if action == "put" else [LOCK])
        if leases:
            assert leases[0].expires.startswith("9998"), "a renewal that was not committed changed nothing"
            prefix = await store.index.artifacts.find_ready("prefix", LOCK)
            assert prefix is not None
            assert not await store.artifacts.delete(prefix.id)
        await store.close()
    assert run(root, action, kind) == 0
    store = await Store.open(root)
    assert [lease.expires for lease in await store.index.leases.list_active()] == ([] if action == "release" else [FAR])
    assert await store.index.leases.list_subjects("l") == ([] if action == "release" else [LOCK])
    await store.close()
