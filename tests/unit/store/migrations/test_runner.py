"""An older index is copied and migrated; a newer one is refused by name and stays as it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3

import pytest
from tests.support.older_indexes import add_events, read_index, write_index

from roost.store.disk.root import RootFormatError
from roost.store.index.index import Index
from roost.store.migrations import runner
from roost.store.migrations.runner import own_version
from roost.store.migrations.schema import MIGRATIONS, SCHEMA_VERSION, statements


@pytest.fixture
def path(root: str) -> str:
    return os.path.join(root, "index.db")


def names(path: str) -> list[str]:
    return sorted(name for name in os.listdir(os.path.dirname(path)) if name.startswith("index.db"))


async def open_and_close(path: str) -> None:
    await (await Index.open(path)).close()


async def test_a_new_index_needs_no_copy(path):
    await open_and_close(path)
    assert names(path) == ["index.db"]


@pytest.mark.parametrize("schema", range(1, SCHEMA_VERSION))
async def test_an_older_index_is_copied_before_it_changes(path, schema):
    write_index(path, schema)
    await open_and_close(path)
    assert names(path) == ["index.db", f"index.db.schema-{schema}"]
    assert read_index(path) == (SCHEMA_VERSION, 20)
    assert read_index(f"{path}.schema-{schema}") == (schema, 20)
    assert os.stat(f"{path}.schema-{schema}").st_mode & 0o777 == 0o600
    await open_and_close(path)
    assert names(path) == ["index.db", f"index.db.schema-{schema}"]


async def test_the_copy_has_what_is_only_in_the_wal(path):
    write_index(path, 5)
    writer = sqlite3.connect(path, isolation_level=None)
    add_events(writer, 7)
    shutil.copytree(os.path.dirname(path), f"{os.path.dirname(path)}-killed")  # as after SIGKILL: the WAL is full
    writer.close()
    killed = os.path.join(f"{os.path.dirname(path)}-killed", "index.db")
    assert os.path.getsize(f"{killed}-wal") > 0
    await open_and_close(killed)
    assert read_index(f"{killed}.schema-5") == (5, 27)
    assert read_index(killed) == (SCHEMA_VERSION, 27)
    shutil.rmtree(os.path.dirname(killed))


async def test_another_attempt_uses_the_same_copy(path, monkeypatch):
    write_index(path, 5)
    with monkeypatch.context() as patched:
        patched.setitem(MIGRATIONS, 6, "CREATE TABLE extra (a); CREATE TABLE extra (a)")
        for _ in range(2):
            with pytest.raises(Exception, match="already exists"):
                await Index.open(path)
    first = os.stat(f"{path}.schema-5")
    assert read_index(path) == (5, 20)
    await open_and_close(path)
    assert names(path) == ["index.db", "index.db.schema-5"]
    assert os.stat(f"{path}.schema-5") == first


async def test_a_root_that_went_back_is_copied_beside_the_first_copy(path):
    write_index(path, 5)
    await open_and_close(path)
    shutil.copy(f"{path}.schema-5", path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as older:
        add_events(older, 1)
    await open_and_close(path)
    assert names(path) == ["index.db", "index.db.schema-5", "index.db.schema-5.2"]
    assert read_index(f"{path}.schema-5") == (5, 20)
    assert read_index(f"{path}.schema-5.2") == (5, 21)


async def test_what_a_killed_attempt_left_is_removed(path):
    write_index(path, 5)
    with open(f"{path}.schema-5.new", "wb") as stream:
        stream.write(b"half of a copy")
    await open_and_close(path)
    assert names(path) == ["index.db", "index.db.schema-5"]
    assert read_index(f"{path}.schema-5") == (5, 20)


async def test_a_copy_that_cannot_be_written_changes_nothing(path):
    write_index(path, 5)
    os.mkdir(f"{path}.schema-5.new")
    with pytest.raises(Exception, match=r"No copy of .* can be stored") as caught:
        await Index.open(path)
    assert caught.value.code == "store"
    assert read_index(path) == (5, 20)


def make_newer(path: str, writer: str | None) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        if writer is None:
            connection.execute("DROP TABLE schema_history")
        else:
            connection.execute("INSERT INTO schema_history VALUES (?, ?, '2026')", (SCHEMA_VERSION + 1, writer))


@pytest.mark.parametrize("writer", ["9.1.0", None])
async def test_a_newer_index_is_refused_by_name_and_untouched(path, writer):
    write_index(path, 5)
    await open_and_close(path)
    make_newer(path, writer)
    with open(path, "rb") as stream:
        before = stream.read()
    with pytest.raises(RootFormatError) as caught:
        await Index.open(path)
    with open(path, "rb") as stream:
        assert stream.read() == before
    error = caught.value
    assert (error.code, error.exit_status) == ("root-format", 5)
    for part in (os.path.dirname(path), f"schema {SCHEMA_VERSION + 1}", f"roost {own_version()}", writer or "a newer"):
        assert part in error.message
    assert f"{path}.schema-5" in error.hint
    assert "ROOST_HOME" in error.hint
    assert (f"roost {writer} or later" in error.hint) == (writer is not None)


async def test_the_way_back_is_as_the_refusal_says(path):
    write_index(path, 5)
    await open_and_close(path)
    make_newer(path, "9.1.0")
    os.rename(path, f"{path}.aside")
    os.rename(f"{path}.schema-5", path)
    await open_and_close(path)
    assert read_index(path) == (SCHEMA_VERSION, 20)


async def test_the_roost_that_migrated_is_recorded(path, monkeypatch):
    write_index(path, 5)
    monkeypatch.setattr(runner, "own_version", lambda: "3.2.1")
    await open_and_close(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT schema, roost FROM schema_history").fetchall() == [
            (schema, "3.2.1") for schema in range(6, SCHEMA_VERSION + 1)
        ]


def test_schema_statements_are_whole():
    found = [statement for script in MIGRATIONS.values() for statement in statements(script)]
    assert all(statement.startswith(("CREATE ", "DROP ", "INSERT ", "UPDATE ", "ALTER ")) for statement in found)
    assert all(statement.count("(") == statement.count(")") for statement in found)
