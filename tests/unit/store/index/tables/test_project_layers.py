"""Project layers in the index: found by lock and folder, protected with their lock, and gone with their last prefix."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import msgspec
import pytest

from roost.model.canonical.form import digest_bytes
from roost.model.locks.lock import Lock, ProjectLayer, Wheel, digest_lock
from roost.model.records import LeaseTarget, NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.disk.layout import Layout
from roost.store.rebuild.rebuild import rebuild_index
from roost.store.store import Store

NEW = NewGeneration(definition_digest="sha256:d", platform="linux-64")
FILES = "f" * 64
TABLES = ("contents", "lock_uses", "locks", "project_layers", "generations")


def layer_of(lock: Lock, folder: str = "/work", files: str = FILES) -> Lock:
    project = Wheel(name="demo", version="1", kind="editable", path=folder, sha256=files)
    return msgspec.structs.replace(lock, wheels=(project,), layer=ProjectLayer(name="demo", base=digest_lock(lock)))


def count(store: Store) -> dict[str, int]:
    with closing(sqlite3.connect(store.layout.index_path)) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}


async def publish(store: Store, lock: Lock, fill, generation: NewGeneration | None = None):
    return await store.artifacts.publish_prefix(lock=lock, generation=generation, build_id="b", fill=fill)


async def test_a_layer_is_found_by_its_lock_folder_and_build_files(store, lock_of, fill):
    base = lock_of("a")
    await publish(store, base, fill, NEW)
    layer = await publish(store, layer_of(base), fill)
    find = store.index.locks.find_project_layer
    assert await find(digest_lock(base), "/work", FILES) == layer.key
    for other in (
        ("sha256:0", "/work", FILES),
        (digest_lock(base), "/", FILES),
        (digest_lock(base), "/work", "0" * 64),
    ):
        assert await find(*other) is None
    assert await store.index.locks.find_layer_base(layer.key) == digest_lock(base)
    assert await store.index.locks.find_layer_base(digest_lock(base)) is None


async def test_the_lock_of_a_layer_goes_with_its_prefix_and_no_other_does(store, lock_of, fill):
    base = lock_of("a")
    below = await publish(store, base, fill, NEW)
    before = count(store)
    for _ in range(2):  # the next one gets the numbers of the last one
        layer = await publish(store, layer_of(base), fill)
        assert count(store) != before
        await store.artifacts.delete(layer.id)
        assert count(store) == before
    assert await store.index.list_faults() == []
    await store.artifacts.delete(below.id)
    assert count(store) == before


async def test_a_lease_on_the_lock_protects_the_layers_on_it(store, lock_of, fill):
    base = lock_of("a")
    await publish(store, base, fill, NEW)
    layer = await publish(store, layer_of(base), fill)
    target = LeaseTarget(kind="generation", subject="sha256:d", generation=1)
    await store.index.leases.put("l", target, "editor", "9999-01-01T00:00:00.000000Z")
    assert await store.index.artifacts.list_protections(layer.id) == ("lease:l",)
    assert layer.id in await store.index.leases.map_protected()
    assert await store.index.artifacts.mark_deleting(layer.id) is False


async def test_a_collection_knows_the_file_that_a_layer_is_for(store, lock_of, fill):
    base = lock_of("a")
    await store.index.definitions.record_sighting("sha256:d", b"{}", None, "/somewhere/pyproject.toml")
    await publish(store, base, fill, NEW)
    layer = await publish(store, layer_of(base), fill)
    sources = {lock: source for lock, source, _ in await store.index.collection.list_sources()}
    assert sources == {digest_lock(base): "/somewhere/pyproject.toml", layer.key: "/work/pyproject.toml"}


@pytest.mark.parametrize("keeps_index", [True, False])
async def test_a_rebuilt_index_has_the_layers(store, lock_of, keeps_index):
    async def fill(path):
        os.mkdir(os.path.join(path, "bin"))
        return FillResult(manifest=b"m")

    base = lock_of("a")
    await publish(store, base, fill, NEW)
    layer = await publish(store, layer_of(base), fill)
    await store.close()
    layout = Layout(store.layout.root)
    if not keeps_index:
        os.unlink(layout.index_path)
    report = rebuild_index(layout, lambda artifact, lock: (), "0.1")
    assert len(report.prefixes) == 2
    again = await Store.open(layout.root)
    assert await again.index.list_faults() == []
    assert await again.index.locks.find_project_layer(digest_lock(base), "/work", FILES) == layer.key
    assert (await again.index.artifacts.find_ready("prefix", layer.key)) is not None
    generations = await again.index.generations.list_by_definition("sha256:d")
    assert [each.lock_digest for each in generations] == [digest_lock(base)]
    await again.close()
    assert digest_bytes(b"m") == layer.manifest
