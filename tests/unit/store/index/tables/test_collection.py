"""The sums of what is stored follow every transaction that publishes or deletes."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from roost.model.records import Artifact
from roost.store.index.index import Index
from roost.store.index.tables.artifacts import delete_artifact_row, insert_building, mark_ready, put_ready_artifact
from roost.store.index.tables.collection import find_collection_state, map_disk_usage
from roost.store.migrations.schema import MIGRATIONS, statements


def artifact(name, kind="prefix", bytes=100, shared=60):
    return Artifact(
        id=name, kind=kind, key=f"key-{name}", platform="linux-64", state="building", path=f"/p/{name}",
        lease_path=f"/p/{name}.lease" if kind == "prefix" else "", bytes=bytes, shared_bytes=shared, created="t",
        last_used="t",
    )  # fmt: skip


@pytest.fixture
async def index(tmp_path):
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def publish(connection, new):
    insert_building(connection, new, "build")
    mark_ready(connection, new)


async def test_sums_count_what_prefixes_do_not_share(index):
    assert await index.collection.map_usage() == {}
    for name in "ab":
        await index.database.write(publish, artifact(name))
    assert await index.collection.map_usage() == {"prefix": 80}
    await index.database.write(delete_artifact_row, "a")
    assert await index.collection.map_usage() == {"prefix": 40}


async def test_an_image_that_was_built_again_counts_once(index):
    await index.database.write(put_ready_artifact, artifact("i", "image", 10, 0))
    await index.database.write(put_ready_artifact, msgspec.structs.replace(artifact("i", "image", 30, 0), id="other"))
    assert await index.collection.map_usage() == {"image": 30}


async def test_what_is_remembered_can_be_replaced_and_deleted(index):
    await index.collection.put_state("begins", "2027")
    await index.collection.put_state("begins", "2028")
    assert await index.collection.find_state("begins") == "2028"
    await index.collection.put_state("begins", None)
    assert await index.collection.find_state("begins") is None


def older_index(*, with_artifact):
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    for number in range(1, 7):
        for statement in statements(MIGRATIONS[number]):
            connection.execute(statement)
    if with_artifact:
        insert_building(connection, artifact("a"), "build")  # and ready as that schema wrote it
        connection.execute("UPDATE artifacts SET state = 'ready', bytes = 100, shared_bytes = 60")
    for statement in statements(MIGRATIONS[7]):
        connection.execute(statement)
    return connection


def test_a_migration_counts_what_is_there_and_waits_a_week():
    connection = older_index(with_artifact=True)
    assert map_disk_usage(connection) == {"prefix": 40}
    begins = connection.execute("SELECT julianday(value) - julianday('now') FROM collection_state").fetchone()[0]
    assert begins == pytest.approx(7, abs=0.01)
    assert len(find_collection_state(connection, "begins")) == len("2026-01-01T00:00:00.000000Z")
    connection.close()


def test_a_root_without_artifacts_has_nothing_to_wait_for():
    connection = older_index(with_artifact=False)
    assert find_collection_state(connection, "begins") is None
    connection.close()
