"""An index that is missing, empty, damaged or of something else is named, and nothing of the root is changed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from roost.store.disk.layout import Layout
from roost.store.migrations.examination import (
    IndexDamagedError,
    IndexMissingError,
    IndexUnusableError,
    examine_index,
    list_faults,
)
from roost.store.store import Store

pytestmark = pytest.mark.unprivileged


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="x", dir="/tmp"))
    yield path
    shutil.rmtree(path)


async def make_root(folder: Path, *, closed: bool = True) -> Path:
    """A root with a prefix, and an index that was closed or that a daemon left when it was killed."""
    root = folder / "root"
    store = await Store.open(str(root))
    for number in range(300):
        await store.index.definitions.record_sighting(f"sha256:{number}", b"x" * 100, "n", f"/{number}")
    (root / "prefixes/0123abcd-aaaaaaaa").mkdir()
    (root / "prefixes/0123abcd-aaaaaaaa/precious").write_text("content")
    if closed:
        await store.close()
        return root
    left = folder / "left"
    shutil.copytree(root, left)
    await store.close()
    shutil.rmtree(root)
    left.rename(root)
    assert (root / "index.db-wal").stat().st_size > 0
    return root


def state_of(root: Path) -> dict[str, str]:
    """Every file with its digest; what SQLite makes of a WAL to read it is left out, as are the lock and its holder."""
    left_out = ("index.db-shm", "lock")
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
        if path.name not in left_out
    }


def write_text(path: Path) -> None:
    path.write_text("my notes\n" * 1000)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def cut_short(path: Path) -> None:
    os.truncate(path, 60)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_another_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()


def become_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def lose_all_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 6")
        connection.commit()


DAMAGES = [write_text, truncate, cut_short, become_a_folder, become_another_database, become_a_pipe, lose_all_tables]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_a_damaged_index_is_named_and_nothing_is_changed(folder: Path, damage: Callable[[Path], None]) -> None:
    root = await make_root(folder)
    damage(root / "index.db")
    before = state_of(root)
    with pytest.raises(IndexDamagedError) as caught:
        await Store.open(str(root))
    assert caught.value.code == "index-damaged"
    assert str(root / "index.db") in caught.value.message
    assert "Nothing was changed or deleted" in caught.value.hint
    assert f"mv {root} {root}.old" in caught.value.hint
    assert state_of(root) == before


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    os.truncate(path, 0)


def make_new(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def link_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nonexistent/index.db")


@pytest.mark.parametrize("loss", [remove, empty, make_new, link_nowhere], ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("content", ["prefixes/0123abcd-aaaaaaaa", "layers/x.tar.gz", "snapshots/x", "runs/x"])
async def test_an_index_that_is_missing_or_empty_beside_content_is_refused(
    folder: Path, loss: Callable[[Path], None], content: str
) -> None:
    root = await make_root(folder)
    shutil.rmtree(root / "prefixes/0123abcd-aaaaaaaa")
    (root / content).mkdir()
    loss(root / "index.db")
    before = state_of(root)
    with pytest.raises(IndexMissingError) as caught:
        await Store.open(str(root))
    assert caught.value.code == "index-missing"
    assert content.partition("/")[0] in caught.value.message
    assert "Nothing was changed" in caught.value.hint
    assert state_of(root) == before


@pytest.mark.parametrize("loss", [remove, empty, make_new], ids=lambda loss: loss.__name__)
async def test_without_content_a_new_index_is_made(folder: Path, loss: Callable[[Path], None]) -> None:
    root = await make_root(folder)
    shutil.rmtree(root / "prefixes/0123abcd-aaaaaaaa")
    loss(root / "index.db")
    store = await Store.open(str(root))
    assert await store.index.artifacts.list_all() == []
    await store.close()


async def test_a_missing_index_whose_wal_is_left_is_refused(folder: Path) -> None:
    root = await make_root(folder, closed=False)
    shutil.rmtree(root / "prefixes/0123abcd-aaaaaaaa")
    (root / "index.db").unlink()
    before = state_of(root)
    with pytest.raises(IndexMissingError, match=r"index\.db-wal"):
        await Store.open(str(root))
    assert state_of(root) == before


async def test_an_index_that_was_not_closed_is_checked_and_serves(folder: Path) -> None:
    root = await make_root(folder, closed=False)
    size = (root / "index.db-wal").stat().st_size
    store = await Store.open(str(root))
    assert store.checked == size
    await store.close()
    again = await Store.open(str(root))
    assert again.checked is None
    await again.close()


async def test_a_wal_of_another_index_is_found_before_it_is_applied(folder: Path) -> None:
    root = await make_root(folder)
    with closing(sqlite3.connect(folder / "other.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE notes (text, place)")
        other.execute("CREATE INDEX places ON notes (place)")
        for number in range(2000):
            other.execute("INSERT INTO notes VALUES (?, ?)", (number, "x" * 50))
        shutil.copy(folder / "other.db-wal", root / "index.db-wal")
    before = state_of(root)
    with pytest.raises(IndexDamagedError) as caught:
        await Store.open(str(root))
    assert "index.db-wal" in caught.value.hint
    assert "of the former index" in caught.value.hint
    assert state_of(root) == before


async def test_damage_inside_is_found_after_an_unclean_end(folder: Path) -> None:
    root = await make_root(folder)
    with open(root / "index.db", "r+b") as file:
        file.seek(20 * 4096)
        file.write(b"\xff" * 30 * 4096)
    with closing(sqlite3.connect(f"file:{root}/index.db?mode=ro", uri=True)) as connection:
        assert list_faults(connection) != []
    (root / "index.db-wal").write_bytes(b"not empty")
    with pytest.raises(IndexDamagedError):
        await Store.open(str(root))


@pytest.mark.skipif(os.geteuid() == 0, reason="root passes all modes")
@pytest.mark.parametrize("mode", [0o000, 0o400, 0o200])
async def test_an_index_that_may_not_be_read_or_written(folder: Path, mode: int) -> None:
    root = await make_root(folder)
    (root / "index.db").chmod(mode)
    with pytest.raises(IndexUnusableError, match=f"mode {mode:04o}") as caught:
        await Store.open(str(root))
    assert caught.value.code == "index-unusable"
    assert "chmod u+rw" in caught.value.hint


@pytest.mark.parametrize("name", ["index.db-wal", "index.db-shm"])
async def test_a_folder_in_place_of_a_file_beside_it(folder: Path, name: str) -> None:
    root = await make_root(folder)
    (root / name).mkdir()
    with pytest.raises(IndexUnusableError, match=f"{name} is not a regular file"):
        await Store.open(str(root))
    assert (root / "prefixes/0123abcd-aaaaaaaa/precious").exists()


async def test_the_copy_of_an_earlier_schema_is_named_as_a_way_on(folder: Path) -> None:
    root = await make_root(folder)
    shutil.copy(root / "index.db", root / "index.db.schema-5")
    (root / "index.db").unlink()
    with pytest.raises(IndexMissingError) as caught:
        await Store.open(str(root))
    assert f"{root}/index.db.schema-5, a copy of before an upgrade" in caught.value.hint


@pytest.mark.skipif(sys.platform != "linux", reason="the link to itself is refused by the kernel as on Linux")
def test_an_index_whose_state_cannot_be_read(folder: Path) -> None:
    layout = Layout(str(folder))
    (folder / "index.db").symlink_to("index.db")
    with pytest.raises(IndexUnusableError, match=os.strerror(errno.ELOOP)):
        examine_index(layout)
