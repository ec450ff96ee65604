"""Table classes: a query runs as one transaction or one snapshot, and stays a plain function."""

from __future__ import annotations

import re
import zlib

import pytest

from roost.model.locks.lock import digest_lock
from roost.model.records import BuildRecord
from roost.store.index.index import Index
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.locks import LockTable, find_lock, put_lock
from roost.store.migrations.examination import IndexDamagedError


def insert_lock_and_fail(connection, lock):
    """Store a lock, then fail."""
    put_lock(connection, lock)
    raise ValueError("too late")


class FailingTable(Queries):
    put = Write(insert_lock_and_fail)
    find = Read(find_lock)
    scan = Scan(find_lock)


async def test_a_failed_write_leaves_nothing(store, lock_of):
    table = FailingTable(store.index.database)
    with pytest.raises(ValueError, match="too late"):
        await table.put(lock_of("a"))
    assert await store.index.locks.contains(digest_lock(lock_of("a"))) is False


async def test_reads_and_scans_see_what_was_written(store, lock_of):
    table = FailingTable(store.index.database)
    digest = await store.index.locks.put(lock_of("a"))
    assert await table.find(digest) == await table.scan(digest) == lock_of("a")


def test_a_method_has_the_docstring_of_its_query():
    assert LockTable.__dict__["put"].__doc__ == put_lock.__doc__


async def test_every_family_of_one_index_has_the_same_database(store):
    tables = [value for value in vars(store.index).values() if isinstance(value, Queries)]
    assert len(tables) >= 16
    assert {id(table.database) for table in tables} == {id(store.index.database)}


async def test_builds_and_runs_have_tables_of_their_own(tmp_path):
    index = await Index.open(str(tmp_path / "index.db"))
    build = BuildRecord(
        id="x",
        state="queued",
        created="2026-01-01T00:00:00.000000Z",
        definition_digest="sha256:d",
        platform="linux-64",
    )
    await index.builds.insert(build)
    assert await index.builds.find("x") == build
    assert await index.runs.find("x") is None
    await index.close()


@pytest.mark.parametrize("body", [b"no compression", zlib.compress(b"{"), zlib.compress(b"[]")])
async def test_a_row_that_is_damaged_is_an_error_that_names_the_index(store, lock_of, body):
    digest = await store.index.locks.put(lock_of("a"))
    await store.index.database.write(
        lambda connection: connection.execute("UPDATE locks SET body = ?", (body,)) and None
    )
    with pytest.raises(IndexDamagedError, match=re.escape(store.layout.index_path)):
        await store.index.locks.find(digest)
