"""A disk that is really full, or read-only: a small tmpfs. Mounting needs the right to; elsewhere these skip."""

from __future__ import annotations

import os
import subprocess
import tempfile
from types import SimpleNamespace

import pytest
from tests.support.collection_root import CACHED, age_prefixes, create_collector, fill_caches, run_collection
from tests.support.older_indexes import read_index, write_index

from roost.daemon.builds.history import BuildHistory
from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.remover import CacheRemover
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.holds import Holds
from roost.daemon.workspace.local_content import store_local_content
from roost.model.definition import Definition, Pip, PipItem
from roost.model.errors import StoreFullError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, digest_lock
from roost.model.records import BuildRecord, NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.disk.layout import Layout
from roost.store.disk.removal import delete_counting
from roost.store.disk.root import RootReadOnlyError
from roost.store.migrations.schema import SCHEMA_VERSION
from roost.store.rebuild.rebuild import rebuild_index
from roost.store.sources.files import LocalFiles
from roost.store.store import Store
from roost.wire.protocol import ErrorBody

SIZE = 6_000_000
NEW = NewGeneration(definition_digest="sha256:d", platform="linux-64")


@pytest.fixture
def small():
    """A root on a file system of 6 MB."""
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", path]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        os.rmdir(path)
        if os.environ.get("ROOST_TEST_REQUIRE_ALL") == "1":
            pytest.fail("ROOST_TEST_REQUIRE_ALL=1 and no right to mount a tmpfs")
        pytest.skip("no right to mount a tmpfs")
    yield path
    subprocess.run(["umount", "-l", path], check=True)  # lazily: a test that failed may have left a store open
    os.rmdir(path)


def lock_of(number, *, packages=1):
    made = tuple(
        CondaPackage(
            name=f"p{number}-{n}", version="1", build="0", subdir="noarch", file_name=f"p{number}-{n}.conda", url="u",
            sha256=os.urandom(32).hex(),
        )
        for n in range(packages)
    )  # fmt: skip
    return Lock(platform="linux-64", provider=CondaPython(), conda=made)


def stuff(path):
    """Write until the disk is full to the last byte."""
    with open(path, "ab", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        write_for_ever(stream)


def write_for_ever(stream):
    while True:
        stream.write(b"x" * 4096)


async def fill(path):
    with open(f"{path}/file", "wb") as stream:
        stream.write(b"x" * 100_000)
    return FillResult()


async def overfill(path):
    with open(f"{path}/file", "wb", buffering=0) as stream:
        write_for_ever(stream)


async def test_full_while_filling(small):
    store = await Store.open(small)
    free = os.statvfs(small).f_bfree
    with pytest.raises(StoreFullError) as caught:
        await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=overfill)
    assert caught.value.code == "store-full"
    assert small in caught.value.message
    assert (os.listdir(store.layout.prefixes), os.listdir(store.layout.trash)) == ([], [])
    assert await store.index.artifacts.list_all() == []
    assert os.statvfs(small).f_bfree > free - 100  # what is missing is the index's
    artifact = await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=fill)
    assert (await store.index.load_facts("sha256:d", "linux-64")).artifact == artifact
    await store.close()


async def test_full_at_the_commit(small):
    store = await Store.open(small)
    lock = lock_of(1, packages=5000)  # a body that does not fit what the index has left over

    async def filling(path):
        filled = await fill(path)
        stuff(f"{small}/other")
        return filled

    with pytest.raises(StoreFullError):
        await store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b", fill=filling)
    facts = await store.index.load_facts("sha256:d", "linux-64")
    assert (facts.generation, facts.artifact) == (None, None)
    assert await store.index.locks.find(digest_lock(lock)) is None
    assert (os.listdir(store.layout.prefixes), os.listdir(store.layout.trash)) == ([], [])
    os.unlink(f"{small}/other")
    artifact = await store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b", fill=fill)
    assert (await store.index.load_facts("sha256:d", "linux-64")).artifact == artifact
    await store.close()
    store = await Store.open(small)
    assert [a.id for a in await store.index.artifacts.list_all()] == [artifact.id]
    await store.close()


async def test_full_before_it_begins(small):
    store = await Store.open(small)
    await store.close()
    store = await Store.open(small)
    stuff(f"{small}/other")
    with pytest.raises(StoreFullError):
        await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=overfill)
    assert [a for a in await store.index.artifacts.list_all() if a.state == "ready"] == []
    assert os.listdir(store.layout.prefixes) == []
    os.unlink(f"{small}/other")
    await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=fill)
    await store.close()


async def test_full_while_the_index_is_written(small):
    store = await Store.open(small)
    stuff(f"{small}/other")
    added = []

    async def add_for_ever():
        while len(added) < 1000:
            added.append(await store.index.generations.add(NEW, lock_of(len(added), packages=50)))

    with pytest.raises(StoreFullError) as caught:
        await add_for_ever()
    assert caught.value.retryable
    generations = await store.index.generations.list_by_definition("sha256:d")
    assert [g.number for g in generations] == [g.number for g in added] == list(range(1, len(added) + 1))
    for generation in generations:
        assert await store.index.locks.find(generation.lock_digest) is not None
    os.unlink(f"{small}/other")
    last = await store.index.generations.add(NEW, lock_of(0))
    assert last.number == len(added) + 1
    await store.close()
    store = await Store.open(small)
    assert len(await store.index.generations.list_by_definition("sha256:d")) == last.number
    await store.close()


async def test_how_a_build_ended_is_recorded_once_there_is_space(small):
    store = await Store.open(small)
    events = Events(store.index, keep=10)
    records = BuildHistory(store.index, events)
    build = BuildRecord(
        id="b1", definition_digest="sha256:d", platform="linux-64", state="building", created="2026-01-01"
    )
    await store.index.builds.insert(build)
    stuff(f"{small}/other")
    body = ErrorBody(code="build-failed", message="x" * 1_000_000, hint="", retryable=False, fields={}, location=None)
    await records.end(build, "failed", 0.0, body)
    assert (await store.index.builds.find("b1")).state == "building"
    os.unlink(f"{small}/other")
    await records.catch_up()
    ended = await store.index.builds.find("b1")
    assert (ended.state, ended.error["code"]) == ("failed", "build-failed")
    await records.catch_up()
    assert [event.kind for event in await store.index.events.list_since(0, 10)] == ["build-ended"]
    await store.close()


async def test_deleting_frees_a_full_disk(small):
    store = await Store.open(small)
    artifact = await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=fill)
    stuff(f"{small}/other")
    assert await store.artifacts.delete(artifact.id) is True
    assert os.statvfs(small).f_bfree * 4096 >= 100_000
    await store.close()


async def test_opening_on_a_full_disk(small):
    stuff(f"{small}/other")
    with pytest.raises(StoreFullError):
        await Store.open(f"{small}/new/root")
    os.unlink(f"{small}/other")
    store = await Store.open(f"{small}/new/root")
    artifact = await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=fill)
    await store.close()
    stuff(f"{small}/other")
    try:
        store = await Store.open(f"{small}/new/root")  # allowed to succeed, if nothing had to grow
    except StoreFullError:
        os.unlink(f"{small}/other")
        store = await Store.open(f"{small}/new/root")
    assert await store.index.artifacts.find_ready("prefix", artifact.key) == artifact
    await store.close()


async def test_full_while_the_index_is_copied_for_a_migration(small):
    path = f"{small}/index.db"
    write_index(path, 5, rows=20_000)
    with open(f"{small}/format", "w") as stream:
        stream.write("1\n")
    stuff(f"{small}/other")
    os.truncate(f"{small}/other", os.path.getsize(f"{small}/other") - 200_000)  # enough to open it
    with pytest.raises(StoreFullError, match=r"copy of .*index\.db .*nothing was changed"):
        await Store.open(small)
    assert [name for name in os.listdir(small) if "schema" in name] == []
    assert read_index(path) == (5, 20_000)
    os.unlink(f"{small}/other")
    await (await Store.open(small)).close()
    assert read_index(f"{path}.schema-5") == (5, 20_000)
    assert read_index(path) == (SCHEMA_VERSION, 20_000)


async def test_a_read_only_root(small):
    store = await Store.open(f"{small}/root")
    await store.close()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    for root in (f"{small}/root", f"{small}/new"):
        with pytest.raises(RootReadOnlyError) as caught:
            await Store.open(root)
        assert caught.value.code == "root-read-only"
        assert root in caught.value.message
        assert "ROOST_HOME" in caught.value.hint
    subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    await (await Store.open(f"{small}/root")).close()


@pytest.mark.parametrize("kind", ["wheel", "source"])
async def test_full_while_keeping_what_a_version_refers_to(small, tmp_path, kind):
    """Nothing of it is there to be taken for whole, and once there is space it is kept."""
    layout = Layout(small)
    layout.make_folders()
    path = tmp_path / ("x-1-py3-none-any.whl" if kind == "wheel" else "source")
    big = path if kind == "wheel" else path / "big"
    big.parent.mkdir(exist_ok=True)
    big.write_bytes(b"x" * (SIZE // 2))
    digest = LocalFiles().file_digest(str(path)) if kind == "wheel" else LocalFiles().tree_digest(str(path))
    item = PipItem(kind=kind, text=path.name, digest=digest, path=str(path))
    definition = Definition(pip=Pip(requirements=(item,)))
    with open(f"{small}/other", "wb") as stream:
        stream.write(b"x" * (SIZE // 2))
    with pytest.raises(StoreFullError) as caught:
        await store_local_content(layout, definition)
    assert small in caught.value.message
    assert os.listdir(layout.stage) == []
    places = [f"{layout.wheels}/given", layout.snapshots]
    assert [name for place in places if os.path.isdir(place) for name in os.listdir(place)] == []
    os.unlink(f"{small}/other")
    kept = await store_local_content(layout, definition)
    assert await store_local_content(layout, kept) == kept


async def test_a_full_disk_is_freed_by_what_is_removed_from_the_caches(small):
    store = await Store.open(small)
    package = f"{small}/packages/conda/packages/six-1.17-0"
    os.makedirs(package)
    with open(f"{package}/file", "wb") as stream:
        stream.write(b"x" * 500_000)
    await CacheLedger(store.layout, store.index).compare()

    async def reap(path, shrinks):
        return delete_counting(path, shrinks=shrinks)

    remover = CacheRemover(store.layout, store.index, SimpleNamespace(holds=Holds(), workers=None), reap)
    (item,) = await remover.list_items()
    stuff(f"{small}/ballast")
    assert await remover.remove(item) == item.bytes
    assert not os.path.exists(package)
    assert os.listdir(store.layout.trash) == []
    await CacheLedger(store.layout, store.index).compare()
    assert await remover.list_items() == []
    await store.close()


async def test_a_collection_on_a_full_disk_frees_space(small):
    store = await Store.open(small)
    lock = lock_of(1)
    await store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b", fill=fill)
    await age_prefixes(store)
    stuff(f"{small}/other")
    collection = await run_collection(create_collector(store))
    assert [(result.step.kind, result.kept) for result in collection.results] == [("prefix", "")]
    assert os.listdir(store.layout.prefixes) == []
    assert os.statvfs(small).f_bavail * 4096 > 50_000
    assert await store.index.locks.find(digest_lock(lock)) is not None
    await store.close()


async def test_a_collection_on_a_full_disk_frees_caches_first(small):
    store = await Store.open(small)
    await store.artifacts.publish_prefix(lock=lock_of(1), generation=NEW, build_id="b", fill=fill)
    await fill_caches(store)
    await age_prefixes(store)
    stuff(f"{small}/other")
    collection = await run_collection(create_collector(store))
    assert {result.kept for result in collection.results} == {""}
    assert collection.results[0].step.rule == "leftovers"
    assert [path for path in CACHED if os.path.exists(f"{small}/{path}")] == []
    await store.close()
    store = await Store.open(small)  # rows whose deletion found no space are noticed
    await CacheLedger(store.layout, store.index).take_inventory()
    assert sum((await store.index.collection.map_usage()).values()) == 0
    await store.close()


async def test_a_repair_on_a_full_disk_changes_nothing_and_works_once_there_is_space(small):
    async def fill_with_manifest(path):
        await fill(path)
        return FillResult(manifest=b"manifest")

    store = await Store.open(small)
    artifact = await store.artifacts.publish_prefix(
        lock=lock_of(1), generation=NEW, build_id="b", fill=fill_with_manifest
    )
    await store.close()
    with open(f"{small}/index.db", "r+b") as file:
        file.write(b"\xff" * 50)
    with open(f"{small}/index.db", "rb") as file:
        damaged = file.read()
    stuff(f"{small}/stuffing")
    before = sorted(os.listdir(small))

    def compare(prefix, _lock):
        return prefix.stamps

    with pytest.raises(StoreFullError):
        rebuild_index(Layout(small), compare, "0.1")
    assert sorted(os.listdir(small)) == before
    with open(f"{small}/index.db", "rb") as file:
        assert file.read() == damaged
    os.unlink(f"{small}/stuffing")
    assert rebuild_index(Layout(small), compare, "0.1").lost == ()
    store = await Store.open(small)
    assert (await store.index.artifacts.list_all())[0].path == artifact.path
    await store.close()
