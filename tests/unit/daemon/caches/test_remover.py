"""The removal of one item of each kind: what is in use stays and says why, what is not goes through the trash."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from roost.daemon.caches import remover as module
from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.remover import CacheRemover
from roost.daemon.engines.uv.unpacked.removal import lock_cache
from roost.daemon.jobs.holds import CONDA_INDEX, LAYERS, Holds
from roost.daemon.runs.stored_output import read_at
from roost.daemon.workers.errors import WorkerCrashedError
from roost.model.caches import CacheItem, Kept
from roost.model.errors import StoreFullError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.records import BaseLayer, BaseRecord, LayerRecord
from roost.store.disk.removal import delete_counting
from roost.store.store import Store
from roost.wire.run_output import REMOVED_LINE

SHA = "ab" * 32
PACKAGE = "packages/conda/packages/six-1.17-0"
WHEEL = "wheels/uv/archive-v0/Zg0E"
POINTER = "wheels/uv/wheels-v8/pypi/greet/1.0-py3-none-any"
BYTECODE = f"packages/bytecode/{SHA}-cpython-311-a70d"
FETCHED, BUILT, GIVEN = (f"wheels/{name}/{SHA}" for name in ("fetched", "built", "given"))
LAYER = f"layers/{SHA}.tar.gz"
INDEX = "packages/conda/index/abc.json"
BUCKET = "wheels/uv/simple-v28"
LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    conda=(
        CondaPackage(
            name="six", version="1.17", build="0", subdir="noarch", file_name="six-1.17-0.conda", url="u", sha256=SHA,
            record={"noarch": "python"},
        ),
    ),
    wheels=(Wheel(name="greet", version="1.0", file_name="greet-1.0-py3-none-any.whl", sha256="cd" * 32),),
)  # fmt: skip


def put(root: str, path: str, content: bytes = b"x" * 5000) -> None:
    target = Path(root, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


class Bench:
    """A root with one item of each kind, and what removes them."""

    def __init__(self, store: Store, root: str) -> None:
        self.store, self.root, self.holds = store, root, Holds()
        self.ledger = CacheLedger(store.layout, store.index)
        engines = SimpleNamespace(holds=self.holds, workers=None)
        self.remover = CacheRemover(store.layout, store.index, engines, self.reap)  # type: ignore[arg-type]
        self.reaped: list[tuple[str, bool]] = []

    async def reap(self, path: str, shrinks: bool) -> int:
        self.reaped.append((path, shrinks))
        return delete_counting(path)

    def fill(self) -> None:
        for path in (f"{PACKAGE}/info/index.json", f"{BYTECODE}/digests.json", f"{WHEEL}/greet.py", INDEX, LAYER,
                     f"{FETCHED}/greet-1.0-py3-none-any.whl", f"{BUILT}/greet-1.0-py3-none-any.whl",
                     f"{GIVEN}/greet-1.0-py3-none-any.whl", f"{BUCKET}/pypi/greet.rkyv", "trash/old.1/file",
                     f"snapshots/{SHA}/name/file", "stage/image-1/file", "runs/r1/output"):  # fmt: skip
            put(self.root, path)
        put(self.root, f"{PACKAGE}.lock", b"12345678" + bytes.fromhex(SHA))
        put(self.root, "runs/r1/output.cut")
        put(self.root, "runs/r1/exit")
        put(self.root, f"{WHEEL}/greet-1.0.dist-info/METADATA")
        put(self.root, f"{POINTER}.http", b"..Zg0E..")
        put(self.root, f"{POINTER}.msgpack")
        put(self.root, "wheels/uv/wheels-v8/pypi/greet/2.0-py3-none-any.http", b"..other..")
        os.symlink("../../../archive-v0/Zg0E", Path(self.root, POINTER))

    async def item(self, item_id: str) -> CacheItem:
        await self.ledger.take_inventory()
        return next(item for item in await self.remover.list_items() if item.id == item_id)

    async def remove(self, item_id: str) -> int | Kept:
        return await self.remover.remove(await self.item(item_id))

    def age(self, item_id: str) -> None:
        os.utime(Path(self.root, item_id), (1, 1))

    def exists(self, path: str) -> bool:
        return os.path.lexists(Path(self.root, path))


@pytest.fixture
def bench(store: Store, root: str) -> Bench:
    made = Bench(store, root)
    made.fill()
    return made


@pytest.mark.parametrize("item_id", [PACKAGE, WHEEL, BYTECODE, FETCHED, LAYER, INDEX, BUCKET, "runs/r1/output"])
async def test_an_item_goes_with_its_row_and_its_bytes(bench: Bench, item_id: str) -> None:
    item = await bench.item(item_id)
    before = sum((await bench.store.index.collection.map_usage()).values())
    assert await bench.remover.remove(item) == item.bytes
    assert not bench.exists(item_id)
    assert item_id not in {each.id for each in await bench.remover.list_items()}
    assert sum((await bench.store.index.collection.map_usage()).values()) == before - item.bytes
    assert bench.reaped[0][1] is (item.kind in ("layer", "output"))
    assert os.listdir(bench.store.layout.trash) == ["old.1"]


@pytest.mark.parametrize("item_id", [BUILT, GIVEN, f"snapshots/{SHA}", "stage/image-1"])
async def test_what_is_young_stays_for_a_day(bench: Bench, item_id: str) -> None:
    assert await bench.remove(item_id) == Kept(reason="recent")
    bench.age(item_id)
    assert isinstance(await bench.remove(item_id), int)
    assert not bench.exists(item_id)


async def test_a_reference_that_comes_at_the_last_moment_is_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.age(GIVEN)
    item = await bench.item(GIVEN)
    detach = bench.remover._claims.detach
    monkeypatch.setattr(bench.remover._claims, "detach", lambda each: (detach(each), os.utime(Path(bench.root, GIVEN))))
    assert await bench.remover.remove(item) == Kept(reason="version")
    assert bench.exists(f"{GIVEN}/greet-1.0-py3-none-any.whl")


async def test_trash_is_an_item_too(bench: Bench) -> None:
    assert isinstance(await bench.remove("trash/old.1"), int)
    assert os.listdir(bench.store.layout.trash) == []


async def test_the_trash_is_emptied_in_idleness_whatever_is_known_of_it(bench: Bench) -> None:
    await bench.ledger.take_inventory()
    put(bench.root, "trash/unknown.2/file")
    await bench.remover.empty_trash()
    assert os.listdir(bench.store.layout.trash) == []
    assert (await bench.store.index.collection.map_usage())["trash"] == 0
    assert bench.exists(PACKAGE)


async def test_what_belongs_to_an_item_goes_with_it_and_nothing_else(bench: Bench) -> None:
    await bench.remove(PACKAGE)
    assert not bench.exists(f"{PACKAGE}.lock")
    await bench.remove(WHEEL)
    assert os.listdir(Path(bench.root, POINTER).parent) == ["2.0-py3-none-any.http"]
    await bench.remove("runs/r1/output")
    assert sorted(os.listdir(Path(bench.root, "runs/r1"))) == ["exit", "output.removed"]
    assert read_at(str(Path(bench.root, "runs/r1")), 0) == (REMOVED_LINE, 1)
    assert read_at(str(Path(bench.root, "runs/r1")), 1) == (b"", 1)


@pytest.mark.parametrize("item_id", [PACKAGE, WHEEL, BYTECODE])
async def test_what_a_prefix_is_made_of_stays(bench: Bench, item_id: str, fill) -> None:
    await bench.ledger.compare()
    artifact = await bench.store.artifacts.publish_prefix(lock=LOCK, generation=None, build_id="b", fill=fill)
    assert await bench.remove(item_id) == Kept(reason=f"prefix:{artifact.id}")
    assert (await bench.item(item_id)).linked_by == (artifact.key,)
    assert await bench.store.artifacts.delete(artifact.id)
    assert isinstance(await bench.remove(item_id), int)


@pytest.mark.parametrize("item_id", [PACKAGE, WHEEL, BYTECODE])
async def test_what_a_build_begins_to_use_stays(bench: Bench, item_id: str, fill) -> None:
    item, results = await bench.item(item_id), []

    async def fill_and_remove(path: str):
        results.append(await bench.remover.remove(item))
        return await fill(path)

    artifact = await bench.store.artifacts.publish_prefix(
        lock=LOCK, generation=None, build_id="b", fill=fill_and_remove
    )
    assert results == [Kept(reason=f"prefix:{artifact.id}")]


@pytest.mark.parametrize(
    ("item_id", "key"),
    [
        (PACKAGE, "conda:six-1.17-0"),
        (WHEEL, "pip:greet==1.0"),
        (FETCHED, f"sha256:{SHA}"),
        (LAYER, LAYERS),
        (INDEX, CONDA_INDEX),
    ],
)
async def test_what_is_held_stays(bench: Bench, item_id: str, key: str) -> None:
    async with bench.holds.hold([key]):
        assert await bench.remove(item_id) == Kept(reason="build")
    assert bench.exists(item_id)
    assert isinstance(await bench.remove(item_id), int)


@pytest.mark.parametrize("item_id", [WHEEL, BUCKET])
async def test_uv_at_work_is_never_waited_for(bench: Bench, item_id: str) -> None:
    with open(Path(bench.root, "wheels/uv/.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert await bench.remove(item_id) == Kept(reason="locked:uv")
    assert bench.exists(f"{POINTER}.http")
    assert isinstance(await bench.remove(item_id), int)


async def test_a_package_that_rattler_has_locked_stays(bench: Bench) -> None:
    with open(Path(bench.root, f"{PACKAGE}.lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert await bench.remove(PACKAGE) == Kept(reason="locked")


async def test_uv_is_locked_out_while_its_cache_changes(bench: Bench) -> None:
    with lock_cache(str(Path(bench.root, "wheels/uv"))) as is_free, open(Path(bench.root, "wheels/uv/.lock")) as lock:
        assert is_free
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)


async def test_wheels_that_only_this_root_has_stay_for_their_locks(bench: Bench) -> None:
    await bench.store.index.locks.put(LOCK)
    for item_id in (BUILT, GIVEN):
        bench.age(item_id)
        assert (await bench.item(item_id)).needed_by == ("lock",)
        assert await bench.remove(item_id) == Kept(reason="lock")


async def test_layers_of_docker_steps_stay_for_their_base(bench: Bench) -> None:
    digest = f"sha256:{SHA}"
    await bench.store.index.layers.put(LayerRecord(key="steps:d", diff_id="d", digest=digest, size=1, stamp=1))
    layer = BaseLayer(diff_id="d", digest=digest, size=1, media_type="m", stored=True)
    await bench.store.index.bases.put(BaseRecord(digest="sha256:base", config=b"{}", layers=(layer,)))
    assert (await bench.item(LAYER)).needed_by == ("base:sha256:base",)
    assert await bench.remove(LAYER) == Kept(reason="base:sha256:base")


async def test_a_layer_takes_its_rows_along(bench: Bench) -> None:
    record = LayerRecord(key="k", diff_id="d", digest=f"sha256:{SHA}", size=1, stamp=1)
    await bench.store.index.layers.put(record)
    assert isinstance(await bench.remove(LAYER), int)
    assert await bench.store.index.layers.list_all() == []


async def test_a_file_that_a_process_has_open_stays(bench: Bench) -> None:
    bench.age(f"snapshots/{SHA}")
    code = f"f = open({bench.root!r} + '/snapshots/{SHA}/name/file'); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert await bench.remove(f"snapshots/{SHA}") == Kept(reason=f"process:{process.pid}")
        process.kill()


async def test_what_vanished_is_said_and_forgotten(bench: Bench) -> None:
    item = await bench.item(PACKAGE)
    os.rename(Path(bench.root, PACKAGE), Path(bench.root, "elsewhere"))
    assert await bench.remover.remove(item) == Kept(reason="gone")
    assert PACKAGE not in {each.id for each in await bench.remover.list_items()}


async def test_a_cache_on_another_disk_is_emptied_beside_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def move(path: str, trash: str) -> str:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(module, "move_to_trash", move)
    item, real = await bench.item(PACKAGE), bench.remover._reap

    async def fail(path: str, shrinks: bool) -> int:
        raise WorkerCrashedError("killed")

    bench.remover._reap = fail
    with pytest.raises(WorkerCrashedError):
        await bench.remover.remove(item)
    assert not bench.exists(PACKAGE)
    await bench.ledger.compare()
    (left,) = [each for each in await bench.remover.list_items() if "/.tmp-removed-" in each.id]
    assert (left.kind, left.bytes) == ("trash", item.bytes)
    bench.remover._reap = real
    assert await bench.remover.remove(left) == item.bytes
    assert os.listdir(Path(bench.root, PACKAGE).parent) == []


async def test_a_full_disk_is_freed_although_nothing_can_be_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = await bench.item(LAYER)

    async def fail(*_: object) -> None:
        raise StoreFullError("full")

    with monkeypatch.context() as patch:
        for name in ("rename", "drop"):
            patch.setattr(type(bench.store.index.caches), name, fail)
        patch.setattr(type(bench.store.index.layers), "delete", fail)
        assert await bench.remover.remove(item) == item.bytes
    await bench.ledger.compare()
    assert LAYER not in {each.id for each in await bench.remover.list_items()}


async def test_a_removal_that_is_cancelled_while_it_moves_goes_on_when_it_is_asked_for_again(bench: Bench) -> None:
    item, detach = await bench.item(PACKAGE), bench.remover._claims.detach
    loop, moving = asyncio.get_running_loop(), asyncio.Event()

    def detach_slowly(each: CacheItem) -> None:
        loop.call_soon_threadsafe(moving.set)
        detach(each)

    bench.remover._claims.detach = detach_slowly  # type: ignore[method-assign]
    task = asyncio.create_task(bench.remover.remove(item))
    await moving.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert not bench.exists(PACKAGE)
    assert await bench.remover.remove(item) == item.bytes
    assert os.listdir(bench.store.layout.trash) == ["old.1"]


async def test_a_cancelled_deletion_leaves_an_item_in_the_trash(bench: Bench) -> None:
    item, begun = await bench.item(PACKAGE), asyncio.Event()

    async def hang(path: str, shrinks: bool) -> int:
        begun.set()
        await asyncio.sleep(3600)
        return 0

    bench.remover._reap = hang
    task = asyncio.create_task(bench.remover.remove(item))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    bench.remover._reap = bench.reap
    (left,) = [each for each in await bench.remover.list_items() if each.id.startswith("trash/six")]
    assert (left.kind, left.bytes) == ("trash", item.bytes)
    assert await bench.remover.remove(item) == item.bytes, "who asks again goes on"
    assert left.id not in {each.id for each in await bench.remover.list_items()}
    assert await bench.remover.remove(item) == Kept(reason="gone")
