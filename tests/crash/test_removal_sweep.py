"""SIGKILL at every fail point of a removal from the caches: the item is whole under its name, or it is gone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.remover import CacheRemover
from roost.daemon.jobs.holds import Holds
from roost.model.records import LayerRecord
from roost.store.disk.removal import delete_counting
from roost.store.failpoints import FAILPOINT, TRACE
from roost.store.store import Store

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
SHA = "ab" * 32
PACKAGE = "packages/conda/packages/six-1.17-0"
WHEEL = "wheels/uv/archive-v0/Zg0E"
POINTER = "wheels/uv/wheels-v8/pypi/greet/1.0-py3-none-any.http"
LAYER = f"layers/{SHA}.tar.gz"
FILES = {
    PACKAGE: [f"{PACKAGE}/info/index.json", f"{PACKAGE}/lib/a", f"{PACKAGE}.lock"],
    WHEEL: [f"{WHEEL}/greet.py", f"{WHEEL}/greet-1.0.dist-info/METADATA", POINTER],
    LAYER: [LAYER],
}


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="r", dir=MEMORY))
    yield path
    shutil.rmtree(path)


def fill(root: Path) -> None:
    for files in FILES.values():
        for name in files:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"Zg0E" * 1000)


async def prepare(root: Path) -> None:
    store = await Store.open(str(root))
    fill(root)
    record = LayerRecord(key="k", diff_id="d", digest=f"sha256:{SHA}", size=4000, stamp=1)
    await store.index.layers.put(record)
    await CacheLedger(store.layout, store.index).compare()
    await store.close()


async def remove(root: Path, item_id: str) -> None:
    store = await Store.open(str(root))

    async def reap(path: str, shrinks: bool) -> int:
        return delete_counting(path, shrinks=shrinks)

    engines = SimpleNamespace(holds=Holds(), workers=None)
    remover = CacheRemover(store.layout, store.index, engines, reap)  # type: ignore[arg-type]
    (item,) = [item for item in await remover.list_items() if item.id == item_id]
    assert isinstance(await remover.remove(item), int)
    await store.close()


def run_forked(root: Path, item_id: str, **environ: str) -> int:
    """Remove an item in a child; its exit status, negative for a signal."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.environ.update(environ)
            asyncio.run(remove(root, item_id))
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def look_after(root: Path, item_id: str) -> bool:
    """Open the root again, as a start does, and return whether the item is there; nothing may be between."""
    store = await Store.open(str(root))
    await CacheLedger(store.layout, store.index).compare()
    rows = {item.id for item in await store.index.caches.list_items()}
    others = {each for each in FILES if each != item_id}
    assert others <= rows, "nothing else has gone"
    is_there = (root / item_id).exists()
    assert (item_id in rows) is is_there
    files = [name for name in FILES[item_id] if name != POINTER and not name.endswith(".lock")]
    assert [name for name in files if (root / name).exists()] == (files if is_there else [])
    assert os.listdir(store.layout.trash) == []
    sums = await store.index.collection.map_usage()
    listed = await store.index.caches.list_items()
    assert sum(sums.values()) == sum(item.bytes for item in listed)
    await store.close()
    return is_there


@pytest.mark.parametrize("item_id", FILES)
def test_a_killed_removal_leaves_an_item_or_nothing(root: Path, item_id: str) -> None:
    asyncio.run(prepare(root))
    trace = root.with_suffix(".trace")
    assert run_forked(root, item_id, **{TRACE: str(trace)}) == 0
    lines = [line.split() for line in trace.read_text().splitlines()]
    trace.unlink()
    points = [line[1] for line in lines if line[0] == "point" and line[1].startswith("collect.")]
    assert len(points) >= 6
    assert not asyncio.run(look_after(root, item_id))
    found = []
    for point in points:
        asyncio.run(prepare(root))
        assert run_forked(root, item_id, **{FAILPOINT: point}) == -signal.SIGKILL, point
        found.append(asyncio.run(look_after(root, item_id)))
        if found[-1]:
            assert run_forked(root, item_id) == 0, "it can be removed all the same"
    assert found[0]
    assert not found[-1]
    assert found == sorted(found, reverse=True), "there is one instant at which it goes"
