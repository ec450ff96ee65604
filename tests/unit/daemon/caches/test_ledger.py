"""What comes into the caches and leaves them is recorded, whoever puts it there and however it ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from roost.daemon.caches import ledger as module
from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.shelves import list_items
from roost.model.errors import StoreFullError
from roost.store.store import Store

SHA = "ab" * 32
ITEMS = {
    "packages/conda/packages/six-1.17-0": ("package", "conda:six-1.17-0"),
    f"packages/bytecode/{SHA}-cpython-311-a70d": ("bytecode", f"sha256:{SHA}"),
    "packages/conda/index/abc.json": ("package", ""),
    f"packages/conda/archives/{SHA}": ("package", ""),
    "wheels/uv/archive-v0/Zg0E": ("wheel", "pip:greet==1.0"),
    "wheels/uv/simple-v28": ("wheel", ""),
    "wheels/uv/wheels-v7": ("wheel", ""),
    f"wheels/fetched/{SHA}": ("wheel", ""),
    f"wheels/built/{SHA}": ("built-wheel", ""),
    f"wheels/given/{SHA}": ("built-wheel", ""),
    f"layers/{SHA}.tar.gz": ("layer", ""),
    f"snapshots/{SHA}": ("snapshot", ""),
}
LATER = {
    "runs/r1/output": ("output", ""),
    "stage/image-1": ("stage", ""),
    "trash/p.1": ("trash", ""),
}
NONE = (
    "packages/conda/packages/.tmp1/x",
    "packages/conda/packages/six-1.17-0.lock",
    "packages/bytecode/stage-1/x",
    "wheels/uv/.lock",
    "wheels/uv/.tmpX/x",
    "wheels/uv/archive-v0/.tmpY/x",
    "wheels/uv/wheels-v8/pypi/greet/1.0.http",
    "wheels/built/sources/abc",
    "wheels/checked/Zg0E",
    "runs/r1/exit",
)


def put(root: str, path: str, size: int = 5000) -> Path:
    target = Path(root, path)
    if path in ITEMS | LATER and not path.endswith((".json", ".gz", "output")):
        target = target / "file"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"x" * size)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
    return target


@pytest.fixture
def ledger(store: Store) -> CacheLedger:
    return CacheLedger(store.layout, store.index)


@pytest.fixture
def filled(store: Store, root: str) -> Store:
    for path in (*ITEMS, *LATER, *NONE):
        put(root, path)
    put(root, "wheels/uv/archive-v0/Zg0E/greet-1.0.dist-info/METADATA")
    return store


async def kinds(store: Store) -> dict[str, str]:
    return {item.id: item.kind for item in await store.index.caches.list_items()}


async def test_every_kind_is_recorded_with_its_size(filled: Store, ledger: CacheLedger, root: str) -> None:
    await ledger.compare()
    assert await kinds(filled) == {path: kind for path, (kind, _) in ITEMS.items()}
    rows = await filled.index.database.read(
        lambda db: {r["id"]: r["key"] for r in db.execute("SELECT * FROM cached_files")}
    )
    assert rows == {path: key for path, (_, key) in ITEMS.items()}
    assert all(item.bytes >= 5000 for item in await filled.index.caches.list_items())
    await ledger.take_inventory()
    assert await kinds(filled) == {path: kind for path, (kind, _) in (ITEMS | LATER).items()}
    sums = await filled.index.collection.map_usage()
    for kind in {kind for kind, _ in ITEMS.values()}:
        assert sums[kind] == sum(i.bytes for i in await filled.index.caches.list_items() if i.kind == kind)


async def test_what_goes_and_what_changes_is_noticed(filled: Store, ledger: CacheLedger, root: str) -> None:
    await ledger.take_inventory()
    before = {item.id: item.bytes for item in await filled.index.caches.list_items()}
    bytecode = f"packages/bytecode/{SHA}-cpython-311-a70d"
    put(root, f"{bytecode}/more.json", 90_000)
    os.utime(Path(root, bytecode), ns=(1, 1))  # another time, whatever the clock's resolution
    os.rename(Path(root, "packages/conda/packages/six-1.17-0"), Path(root, "six"))
    os.rename(Path(root, "runs/r1/output"), Path(root, "output"))
    await ledger.compare()
    after = {item.id: item.bytes for item in await filled.index.caches.list_items()}
    assert set(before) - set(after) == {"packages/conda/packages/six-1.17-0"}
    assert after[bytecode] > before[bytecode] + 80_000
    await ledger.take_inventory()
    assert "runs/r1/output" not in await kinds(filled)


async def test_what_takes_long_to_measure_is_left_to_idle_time(
    filled: Store, ledger: CacheLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MEASURE_SECONDS", -1.0)
    await ledger.compare()
    assert await kinds(filled) == {}
    assert await filled.index.caches.count_unmeasured() == len(ITEMS)
    await ledger.compare()
    assert await filled.index.caches.count_unmeasured() == len(ITEMS), "nothing is measured twice"
    await ledger.take_inventory()
    assert set(await kinds(filled)) == set(ITEMS | LATER)


async def test_an_inventory_that_is_cancelled_goes_on_the_next_time(
    filled: Store, ledger: CacheLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MEASURE_SECONDS", -1.0)
    monkeypatch.setattr(module, "_BATCH", 2)
    second = asyncio.Event()
    real, calls = filled.index.caches.put, 0

    async def put_and_count(rows: object) -> None:
        nonlocal calls
        await real(rows)  # type: ignore[arg-type]
        calls += 1
        if calls == 2:  # the names, and the first batch
            second.set()
            await asyncio.sleep(3600)

    monkeypatch.setattr(type(filled.index.caches), "put", lambda self, rows: put_and_count(rows))
    task = asyncio.create_task(ledger.take_inventory())
    await second.wait()
    task.cancel()
    await asyncio.wait([task])
    assert len(await kinds(filled)) == 2
    calls = 10
    await ledger.take_inventory()
    assert set(await kinds(filled)) == set(ITEMS | LATER)


async def test_what_is_gone_before_it_is_measured_is_forgotten(
    filled: Store, ledger: CacheLedger, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MEASURE_SECONDS", -1.0)
    await ledger.compare()
    found = list(list_items(filled.layout))
    monkeypatch.setattr(module, "list_items", lambda layout: found)
    os.rename(Path(root, "packages/conda/packages/six-1.17-0"), Path(root, "six"))
    await ledger.take_inventory()
    assert await filled.index.caches.count_unmeasured() == 0
    assert "packages/conda/packages/six-1.17-0" not in await kinds(filled)


async def test_requests_are_answered_in_the_background_and_a_full_disk_is_no_end(
    filled: Store, ledger: CacheLedger, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object, rows: object) -> None:
        raise StoreFullError("full")

    with monkeypatch.context() as patch:
        patch.setattr(type(filled.index.caches), "put", fail)
        ledger.request_comparison()
        await ledger.wait()
    assert await kinds(filled) == {}
    ledger.request_comparison()
    ledger.request_comparison()
    await ledger.wait()
    assert set(await kinds(filled)) == set(ITEMS)
    ledger.request_comparison()
    await ledger.stop()


async def test_output_of_a_run_that_goes_on_is_left_out(filled: Store, ledger: CacheLedger, monkeypatch) -> None:
    class Open:
        id = "r1"

    async def list_open(self: object) -> list[Open]:
        return [Open()]

    monkeypatch.setattr(type(filled.index.runs), "list_open", list_open)
    await ledger.take_inventory()
    assert "runs/r1/output" not in await kinds(filled)
