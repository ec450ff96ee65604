"""What goes by age, what stays for ever, and an index that shrinks while it is used."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
import pytest_asyncio

from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile, HistorySettings
from roost.daemon.config.source import ConfigSource
from roost.daemon.retention.ages import AGES, AgeLimits
from roost.daemon.retention.compaction import Compaction
from roost.daemon.retention.index_copy import IndexCopy
from roost.model.canonical.form import digest_bytes
from roost.model.records import BuildRecord, KnownDefinition, RunRecord
from roost.store.clock import rfc3339, utc_now
from roost.store.index.tables import definitions
from roost.store.rebuild.copying import copy_path
from roost.store.store import Store

OLD = rfc3339(datetime.now(timezone.utc) - timedelta(days=400))


@pytest_asyncio.fixture
async def store():
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    opened = await Store.open(path)
    yield opened
    await opened.close()
    shutil.rmtree(path, ignore_errors=True)


def limits(store: Store, **settings: float) -> AgeLimits:
    file = ConfigFile(history=HistorySettings(**settings))
    return AgeLimits(store, ConfigSource(Config(settings=file)))


def build(number: int, created: str, state: str = "succeeded", definition: str = "sha256:d") -> BuildRecord:
    return BuildRecord(
        id=f"b-{number}", definition_digest=definition, platform="linux-64", state=state, created=created
    )


async def see(store: Store, name: str, created: str) -> str:
    """A definition that was first seen then."""
    form = f'{{"name":"{name}"}}'.encode()
    digest = digest_bytes(form)

    def put(connection: sqlite3.Connection) -> None:
        definitions.record_sighting(connection, digest, form, name, None)
        connection.execute("UPDATE definitions SET created = ? WHERE digest = ?", (created, digest))

    await store.index.database.write(put)
    return digest


def log_of(store: Store, build_id: str) -> str:
    path = os.path.join(store.layout.logs, "builds", f"{build_id}.ndjson")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write("{}\n")
    return path


async def test_builds_go_with_their_logs_and_open_ones_stay(store):
    for number, created, state in ((1, OLD, "succeeded"), (2, OLD, "building"), (3, utc_now(), "failed")):
        await store.index.builds.insert(build(number, created, state))
    logs = [log_of(store, f"b-{number}") for number in (1, 2, 3)]
    await store.index.upkeep.record_run(AGES, utc_now())
    await limits(store, build_days=30).run()
    assert [each.id for each in await store.index.builds.list_page()] == ["b-3", "b-2"]
    assert [os.path.exists(log) for log in logs] == [False, True, True]


async def test_zero_days_mean_for_ever(store):
    await store.index.builds.insert(build(1, OLD))
    await see(store, "unused", OLD)
    await store.index.upkeep.record_run(AGES, utc_now())
    await limits(store, build_days=0, definition_days=0, log_days=0).run()
    assert len(await store.index.builds.list_page()) == 1
    assert len(await store.index.definitions.list_candidates()) == 1


async def test_definitions_go_if_nothing_refers_to_them(store):
    unused, young = await see(store, "unused", OLD), await see(store, "young", utc_now())
    built, ran = await see(store, "built", OLD), await see(store, "ran", OLD)
    await store.index.builds.insert(build(1, utc_now(), definition=built))
    run = RunRecord(
        id="r-1",
        state="succeeded",
        target="local",
        command=("x",),
        cwd="/",
        definition_digest=ran,
        settings_digest="sha256:s",
        created=OLD,
    )
    seen = KnownDefinition(digest=ran, canonical=b'{"name":"ran"}', name="ran", source=None)
    await store.index.begin_run(run, seen, b"{}", "run-created", {})
    await store.index.upkeep.record_run(AGES, utc_now())
    await limits(store, definition_days=30).run()
    assert {each.digest for each in await store.index.definitions.list_candidates()} == {young, built, ran}
    assert await store.index.definitions.find(unused) is None
    assert len(await store.index.runs.list_page()) == 1


@pytest.mark.parametrize("ended", [None, OLD], ids=["never", "long ago"])
async def test_a_clock_that_jumped_ahead_deletes_nothing_at_first(store, ended):
    await store.index.builds.insert(build(1, OLD))
    if ended:
        await store.index.upkeep.record_run(AGES, ended)
    await limits(store, build_days=30).run()
    assert len(await store.index.builds.list_page()) == 1


async def test_log_files_go_by_their_time(store):
    await store.index.upkeep.record_run(AGES, utc_now())
    paths = [os.path.join(store.layout.logs, name) for name in ("daemon.log", "daemon.log.1", "daemon.log.2", "mine")]
    for path in paths:
        with open(path, "w") as file:
            file.write("x")
        if not path.endswith(".2"):
            os.utime(path, (1, 1))
    await limits(store, log_days=30).run()
    assert [os.path.exists(path) for path in paths] == [True, False, True, True]


async def fill_index(store: Store, count: int = 3000) -> None:
    def put(connection: sqlite3.Connection) -> None:
        for number in range(count):
            form = os.urandom(2000)
            definitions.record_sighting(connection, f"sha256:{number:064x}", form, f"n{number}", None)
        connection.execute("UPDATE definitions SET created = ?", (OLD,))

    await store.index.database.write(put)


async def test_the_index_shrinks_after_deletions(store):
    await fill_index(store)
    await store.index.database.checkpoint()
    before = os.path.getsize(store.layout.index_path)
    assert await limits(store).delete_definitions(utc_now()) == 3000
    await Compaction(store.index).run()
    after = os.path.getsize(store.layout.index_path)
    assert after < before - 1_000_000
    assert await store.index.list_faults() == []
    assert os.path.getsize(f"{store.layout.index_path}-wal") == 0


async def test_an_index_of_an_older_version_is_written_anew_once():
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    try:
        store = await Store.open(root)
        await fill_index(store, 50)
        await store.close()
        with closing(sqlite3.connect(f"{root}/index.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            connection.execute("PRAGMA auto_vacuum = NONE")
            connection.execute("VACUUM")
        store = await Store.open(root)
        assert (await store.index.upkeep.count_free_pages())[0] == 0
        assert await store.index.database.rewrite()
        assert not await store.index.database.rewrite()
        assert len(await store.index.definitions.list_candidates()) == 50
        await store.close()
        with closing(sqlite3.connect(f"{root}/index.db")) as connection:
            assert connection.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
    finally:
        shutil.rmtree(root)


async def test_the_copy_is_renewed_if_the_index_has_changed_and_an_interruption_leaves_the_last(store):
    await see(store, "one", OLD)
    work = IndexCopy(store.layout)
    await work.run()
    first = os.stat(copy_path(store.layout)).st_ino
    await work.run()
    assert os.stat(copy_path(store.layout)).st_ino == first
    await fill_index(store)
    task = asyncio.create_task(work.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert os.stat(copy_path(store.layout)).st_ino == first
    assert not os.path.exists(f"{copy_path(store.layout)}.new")
    await work.run()
    with closing(sqlite3.connect(copy_path(store.layout))) as connection:
        assert connection.execute("SELECT count(*) FROM definitions").fetchone()[0] == 3001
