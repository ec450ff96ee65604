"""What was removed from the caches comes back from its lock, and a removal breaks nothing that is there."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.bytecode_prefix import wait_until_complete
from tests.support.conda_tools import close_workers, lock_of, open_workers, solve, wait_until
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.remover import CacheRemover
from roost.daemon.engines.conda.engine import CondaConfig, CondaEngine
from roost.daemon.engines.host_python import engine as host_python
from roost.daemon.engines.uv.engine import PipConfig, PipEngine
from roost.daemon.engines.uv.request import PipLockRequest, describe_python
from roost.daemon.jobs.holds import Holds
from roost.daemon.layers.writer import LayerRequest, write_layers
from roost.model.caches import CacheItem, Kept
from roost.model.definition import BASELINE_GLIBC, PipItem
from roost.model.locks.lock import CondaPackage, Wheel
from roost.store.artifacts.publish import FillResult
from roost.store.disk.removal import delete_counting
from roost.store.store import Store

BOTH = "dependencies: [python=3.11, six=1.17, {pip: [greet]}]\n"
SHOW = "import greet, six, sys; print(greet.value, six.__version__, sys.prefix)"
SHELVES = ("packages/conda/packages", "packages/bytecode", "wheels/uv/archive-v0")


def cached(roost: Roost) -> dict[str, list[str]]:
    return {
        name: sorted(each.name for each in (roost.root / name).glob("*") if each.is_dir() and each.name[0] != ".")
        for name in SHELVES
    }


def files_of(prefix: str) -> dict[str, object]:
    """Path to size and digest, without those that hold the prefix's path or times."""
    manifest = json.loads(Path(f"{prefix}.manifest").read_bytes())
    same = ("lib/python3.11/site-packages/six.py", "lib/python3.11/site-packages/greet.py")
    assert set(same) <= set(manifest["files"])
    return {path: found if path in same else None for path, found in manifest["files"].items()}


def test_an_environment_comes_back_from_its_lock_when_everything_was_removed(
    conda_roost: Roost, pip_index: PipIndex
) -> None:
    roost = conda_roost  # nothing is changed in place, only names go
    pip_index.wheel("greet", "1.0")
    roost.write("environment.yml", BOTH)
    first = roost.ok("exec", "--", "python", "-c", SHOW).split()
    wait_until_complete(roost.root)
    before, lock, files = cached(roost), roost.json("plan")["lock_digest"], files_of(first[2])
    assert all(before.values()), before

    steps = roost.json("cache", "gc", "--all")["steps"]
    assert {step["kind"] for step in steps} >= {"prefix", "package", "wheel", "bytecode"}
    kept = [(step["id"], step["reason"]) for step in steps if step["state"] != "removed"]
    assert kept == []
    assert not any(cached(roost).values())
    pip_index.wheel("greet", "2.0")

    again = roost.ok("exec", "--", "python", "-c", SHOW).split()
    assert again[:2] == first[:2]
    assert again[2] != first[2]
    assert roost.json("plan")["lock_digest"] == lock
    assert files_of(again[2]) == files
    wait_until_complete(roost.root)
    after = cached(roost)
    for name in SHELVES[:2]:
        assert set(after[name]) <= set(before[name])
        assert after[name]
    assert len(after[SHELVES[2]]) == 1


def test_environments_are_built_and_used_while_everything_is_removed(roost: Roost, pip_index: PipIndex) -> None:
    count = int(os.environ.get("ROOST_TEST_ENVIRONMENTS", "4"))
    for number in range(count):
        pip_index.wheel("greet", f"{number}.0")
        pip_index.wheel(f"other-{number % 3}", "1.0")
        roost.write(f"{number}/requirements.txt", f"greet=={number}.0\nother-{number % 3}\n")
    roost.begin()
    done = threading.Event()

    def collect() -> int:
        times = 0
        while not done.is_set():
            roost.ok("cache", "gc", "--all")
            times += 1
        return times

    def use(number: int) -> str:
        code = f"import greet, other_{number % 3}; print(greet.value)"
        return roost.ok("exec", "--", "python", "-c", code, cwd=roost.folder / str(number)).strip()

    with ThreadPoolExecutor(5) as threads:
        collecting = threads.submit(collect)
        try:
            assert list(threads.map(use, range(count))) == [f"{number}.0" for number in range(count)]
        finally:
            done.set()
        assert collecting.result() > 0
    roost.ok("cache", "gc", "--all")
    assert list((roost.root / "wheels/uv").glob("archive-v*/*")) == []


@pytest.fixture
async def store(short_folder: Path) -> AsyncIterator[Store]:
    opened = await Store.open(str(short_folder))
    yield opened
    await close_workers()
    await opened.close()


class Caches:
    """The engines of a root, and what removes from their caches."""

    def __init__(self, store: Store, channels: Path, index: str) -> None:
        self.store, self.holds = store, Holds()
        self.ledger = CacheLedger(store.layout, store.index)
        engines = SimpleNamespace(holds=self.holds, workers=None)
        self.remover = CacheRemover(store.layout, store.index, engines, self.reap)  # type: ignore[arg-type]
        mirrors = {"conda-forge": [(channels / "conda-forge").as_uri()]}
        packages, wheels = Path(store.layout.packages), Path(store.layout.wheels)
        workers = open_workers(Path(store.layout.root))
        self.conda = CondaEngine(
            str(packages / "conda"), str(packages / "bytecode"), CondaConfig(mirrors=mirrors), workers, self.holds
        )
        self.pip = PipEngine(str(wheels / "uv"), str(wheels), PipConfig(index_url=index, retries=0), holds=self.holds)
        self.python = host_python.choose_interpreter(">=3.10")

    async def reap(self, path: str, shrinks: bool) -> int:
        return await asyncio.to_thread(delete_counting, path, shrinks=shrinks)

    async def item(self, part: str) -> CacheItem:
        """What has ``part`` in its id."""
        await self.ledger.take_inventory()
        return next(item for item in await self.remover.list_items() if part in item.id)

    async def archive(self, name: str) -> CacheItem:
        """What uv has unpacked of the distribution ``name``."""
        found = next(Path(self.store.layout.wheels, "uv").glob(f"archive-v*/*/{name}-*.dist-info"))
        return await self.item(found.parent.name)

    async def publish(self, packages: list[CondaPackage]) -> Path:
        async def fill(path: str) -> FillResult:
            await self.conda.link(packages, path)
            return FillResult()

        made = await self.store.artifacts.publish_prefix(
            lock=lock_of(packages), generation=None, build_id="b", fill=fill
        )
        return Path(made.path)

    async def lock_wheels(self, name: str) -> tuple[Wheel, ...]:
        request = PipLockRequest(
            items=[PipItem(kind="requirement", text=name)], python=describe_python(self.python), platform="linux-64",
            glibc=BASELINE_GLIBC,
        )  # fmt: skip
        return tuple((await self.pip.lock(request)).wheels)

    async def install(self, wheels: tuple[Wheel, ...], name: str) -> Path:
        prefix = Path(self.store.layout.prefixes, name)
        await self.pip.create_venv(str(prefix), self.python.executable)
        await self.pip.install(wheels, prefix=str(prefix), python_path=str(prefix / "bin/python"))
        return prefix


@pytest.fixture
async def caches(store: Store, channels_folder: Path, pip_index: PipIndex) -> Caches:
    return await asyncio.to_thread(Caches, store, channels_folder, pip_index.url)


# ---------------------------------------------------------------- conda packages
async def test_a_linked_prefix_survives_the_loss_of_its_packages(caches: Caches, short_folder: Path) -> None:
    packages = await solve(caches.conda, "dated")
    await caches.conda.link(packages, str(short_folder / "p"))  # no row says that it is one of roost
    (source,) = Path(caches.conda.packages_dir).glob("dated-*/share/dated.txt")
    assert source.stat().st_ino == (short_folder / "p/share/dated.txt").stat().st_ino
    item = await caches.item("packages/conda/packages/dated-")
    freed = await caches.remover.remove(item)
    assert isinstance(freed, int)
    assert freed < item.bytes, "a file has another name"
    assert not source.exists()
    text = (short_folder / "p/share/dated.txt").read_text()
    await caches.conda.link(packages, str(short_folder / "q"))
    assert (short_folder / "q/share/dated.txt").read_text() == text


async def test_packages_of_prefixes_stay_however_these_are_linked(caches: Caches) -> None:
    prefix = await caches.publish(await solve(caches.conda, "dated"))
    (source,) = Path(caches.conda.packages_dir).glob("dated-*/share/dated.txt")
    (prefix / "share/dated.txt").unlink()
    (prefix / "share/dated.txt").symlink_to(source)  # as rattler links to a cache on another disk
    kept = await caches.remover.remove(await caches.item("packages/conda/packages/dated-"))
    assert isinstance(kept, Kept)
    assert kept.reason.startswith("prefix:p-")
    assert (prefix / "share/dated.txt").read_text()


async def test_a_package_that_is_being_linked_is_not_removed(
    caches: Caches, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = await solve(caches.conda, "dated")
    await caches.conda.link(packages, str(short_folder / "p"))
    item = await caches.item("packages/conda/packages/dated-")
    linking = await hold_linking(caches, packages, short_folder, monkeypatch)
    assert await caches.remover.remove(item) == Kept(reason="build")
    (short_folder / "hold").unlink()
    await linking
    assert isinstance(await caches.remover.remove(item), int)


async def test_a_package_that_vanishes_while_it_is_linked_is_fetched_again(
    caches: Caches, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever deletes it: no claim protects from ``rm``."""
    packages = await solve(caches.conda, "dated")
    await caches.conda.link(packages, str(short_folder / "p"))
    linking = await hold_linking(caches, packages, short_folder, monkeypatch)
    (folder,) = Path(caches.conda.packages_dir).glob("dated-*/")
    shutil.rmtree(folder)
    (short_folder / "hold").unlink()
    await linking
    assert (short_folder / "q/share/dated.txt").read_text()


async def test_a_package_that_is_asked_for_while_it_goes_is_fetched_again(
    caches: Caches, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = await solve(caches.conda, "dated")
    await caches.conda.link(packages, str(short_folder / "p"))
    item = await caches.item("packages/conda/packages/dated-")
    going, rename = asyncio.Event(), caches.remover._rename
    loop = asyncio.get_running_loop()

    def rename_slowly(each: CacheItem) -> str | Kept:
        loop.call_soon_threadsafe(going.set)
        wait_for(short_folder / "go")
        return rename(each)

    monkeypatch.setattr(caches.remover, "_rename", rename_slowly)
    removing = asyncio.create_task(caches.remover.remove(item))
    await going.wait()
    linking = asyncio.create_task(caches.conda.link(packages, str(short_folder / "q")))
    await asyncio.sleep(0.05)
    (short_folder / "go").write_text("")
    assert isinstance(await removing, int)
    await linking
    assert (short_folder / "q/share/dated.txt").read_text()


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


async def hold_linking(
    caches: Caches, packages: list[CondaPackage], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Task[list[str]]:
    """Start to link into ``q``, and return when a worker is about to link the first package; it waits for ``hold`` to
    go."""
    (folder / "hold").write_text("")
    monkeypatch.setenv("ROOST_FAILPOINT_HOLD", f"conda.linking={folder / 'hold'}")
    monkeypatch.setenv("ROOST_FAILPOINT_TRACE", str(folder / "points"))
    linking = asyncio.create_task(caches.conda.link(packages, str(folder / "q")))
    points = folder / "points"
    await wait_until(lambda: points.exists() and "conda.linking" in points.read_text())
    monkeypatch.delenv("ROOST_FAILPOINT_HOLD")
    monkeypatch.delenv("ROOST_FAILPOINT_TRACE")
    return linking


# ---------------------------------------------------------------- uv's cache
async def test_a_wheel_that_was_removed_is_fetched_again(caches: Caches, pip_index: PipIndex) -> None:
    for name in ("greet", "other"):
        pip_index.wheel(name, "1.0")
    wheels = await caches.lock_wheels("greet")
    first = await caches.install(wheels, "one")
    await caches.install(await caches.lock_wheels("other"), "two")
    assert isinstance(await caches.remover.remove(await caches.archive("greet")), int)
    assert next(first.rglob("greet.py")).read_text() == "value = '1.0'\n"
    uv = Path(caches.store.layout.wheels, "uv")
    pointers = {path.parent.name for path in uv.glob("wheels-v*/*/*/*/*.http")}
    assert pointers == {"other"}
    again = await caches.install(wheels, "three")
    assert next(again.rglob("greet.py")).read_text() == "value = '1.0'\n"


async def test_uv_recovers_from_either_half_of_a_removal(caches: Caches, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    wheels = await caches.lock_wheels("greet")
    await caches.install(wheels, "one")
    item = await caches.archive("greet")
    await asyncio.to_thread(caches.remover._claims.detach, item)  # and killed
    await caches.install(wheels, "two")
    archives = list(Path(caches.store.layout.wheels, "uv").glob("archive-v*/*/"))
    assert len(archives) == 2
    assert isinstance(await caches.remover.remove(item), int)
    (current,) = Path(caches.store.layout.wheels, "uv").glob("archive-v*/*/")
    shutil.rmtree(current)  # by hand, under its pointers
    third = await caches.install(wheels, "three")
    assert next(third.rglob("greet.py")).read_text() == "value = '1.0'\n"


async def test_answers_of_the_index_are_asked_for_again(caches: Caches, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    before = await caches.lock_wheels("greet")
    for part in ("wheels/uv/simple-v", "wheels/uv/interpreter-v"):
        assert isinstance(await caches.remover.remove(await caches.item(part)), int)
    assert await caches.lock_wheels("greet") == before


async def test_a_removal_during_an_installation_is_refused(caches: Caches, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    wheels = await caches.lock_wheels("greet")
    await caches.install(wheels, "one")
    item = await caches.archive("greet")
    async with caches.pip.hold_wheels(wheels):
        assert await caches.remover.remove(item) == Kept(reason="build")


# ---------------------------------------------------------------- layers, files of packages
async def test_layers_are_written_again_with_the_same_bytes(caches: Caches) -> None:
    request = LayerRequest(lock=lock_of(await solve(caches.conda, "dated")))
    store = caches.store

    async def write() -> list[str]:
        content = await write_layers(
            request, conda=caches.conda, pip=caches.pip, layout=store.layout, index=store.index
        )
        return [layer.digest for layer in content.layers]

    digests = await write()
    for digest in digests:
        assert isinstance(await caches.remover.remove(await caches.item(digest.removeprefix("sha256:"))), int)
    assert os.listdir(store.layout.layers) == []
    assert isinstance(await caches.remover.remove(await caches.item("packages/conda/packages/dated-")), int)
    assert await write() == digests


async def test_files_of_packages_are_fetched_again(caches: Caches, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    wheels = await caches.lock_wheels("greet")
    (path,) = (await caches.pip.fetch_wheel_files(wheels)).values()
    content = await asyncio.to_thread(Path(path).read_bytes)
    assert isinstance(await caches.remover.remove(await caches.item("wheels/fetched/")), int)
    assert not Path(path).exists()
    (again,) = (await caches.pip.fetch_wheel_files(wheels)).values()
    assert await asyncio.to_thread(Path(again).read_bytes) == content
