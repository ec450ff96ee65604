"""Rows of what is in the caches: sums, uses by prefixes, and what stays when it leaves its cache."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from roost.model.caches import CachedFile, CacheItem
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.records import Artifact
from roost.store.index.cache_keys import conda_key, fill_cache_uses, list_cache_keys, wheel_key
from roost.store.index.index import Index
from roost.store.index.tables.artifacts import delete_artifact_row, insert_building, mark_ready
from roost.store.index.tables.locks import put_lock

SHA = "ab" * 32
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
KEYS = ["conda:six-1.17-0", f"sha256:{SHA}", "pip:greet==1.0", f"sha256:{'cd' * 32}"]


def prefix(name: str) -> Artifact:
    return Artifact(
        id=name, kind="prefix", key=f"lock-{name}", platform="linux-64", state="building", path=f"/p/{name}",
        lease_path=f"/p/{name}.lease", created="t", last_used="t",
    )  # fmt: skip


def row(item_id: str, key: str = "", size: int | None = 100, kind: str = "package") -> CachedFile:
    return CachedFile(id=item_id, kind=kind, key=key, bytes=size, stamp=1, last_used="2026")  # type: ignore[arg-type]


@pytest.fixture
async def index(tmp_path):
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def begin(connection: sqlite3.Connection, name: str, keys: list[str], *, ready: bool = True) -> None:
    insert_building(connection, prefix(name), "b1", keys)
    if ready:
        mark_ready(connection, prefix(name))


async def sums(index: Index) -> dict[str, int]:
    return {kind: size for kind, size in (await index.collection.map_usage()).items() if kind != "prefix"}


def test_keys_name_packages_byte_code_and_files():
    assert list_cache_keys(LOCK) == KEYS


def test_spellings_of_a_version_are_one_key():
    assert wheel_key("x", "1.0.0-post1") == wheel_key("x", "1.0.0.post1")
    assert wheel_key("x", "not a version") == "pip:x==not a version"


async def test_sums_follow_rows(index):
    await index.caches.put([row("a"), row("b", size=50), row("c", size=None), row("w", size=7, kind="wheel")])
    assert await sums(index) == {"package": 150, "wheel": 7}
    await index.caches.put([row("b", size=60), row("c", size=1)])
    assert await sums(index) == {"package": 161, "wheel": 7}
    await index.caches.put([row("b", size=None)])
    await index.caches.rename("a", "trash/a", "trash")
    assert await sums(index) == {"package": 1, "trash": 100, "wheel": 7}
    await index.caches.drop(["trash/a", "c", "unknown"])
    assert await sums(index) == {"package": 0, "trash": 0, "wheel": 7}


async def test_a_second_row_of_an_id_keeps_the_last_use(index):
    await index.caches.put([row("a")])
    await index.caches.put([msgspec.structs.replace(row("a", size=5), last_used="2027")])
    assert [(item.bytes, item.last_used) for item in await index.caches.list_items()] == [(5, "2026")]


async def test_what_has_no_size_is_counted_apart_and_not_listed(index):
    await index.caches.put([row("a", size=None), row("b")])
    assert [item.id for item in await index.caches.list_items()] == ["b"]
    assert [found.id for found in await index.caches.list_unmeasured(9)] == ["a"]
    assert await index.caches.count_unmeasured() == 1
    assert await index.caches.map_stamps() == {"a": -1, "b": 1}


async def test_uses_begin_with_the_build_and_end_with_the_row(index):
    await index.caches.put([row("six", key=conda_key("six-1.17-0"))])
    await index.database.write(begin, "p", KEYS, ready=False)
    assert await index.caches.find_users("six") == ["p"]
    assert (await index.caches.list_items())[0].needed_by == ("build:b1",)
    await index.database.write(mark_ready, prefix("p"))
    item = (await index.caches.list_items())[0]
    assert (item.needed_by, item.linked_by) == ((), ("lock-p",))
    await index.database.write(delete_artifact_row, "p")
    assert await index.caches.find_users("six") == []
    assert (await index.caches.list_items())[0].linked_by == ()


async def test_publishing_touches_what_is_used(index):
    await index.caches.put([row("six", key=KEYS[0]), row("other", key="conda:other")])
    await index.database.write(begin, "p", KEYS)
    await index.caches.touch_used("p")
    used = {item.id: item.last_used for item in await index.caches.list_items()}
    assert used["six"] > "2026-"
    assert used["other"] == "2026"


async def test_what_leaves_its_cache_while_linked_counts_until_the_last_prefix_goes(index):
    await index.caches.put([row("six", key=KEYS[0])])
    for name in "pq":
        await index.database.write(begin, name, KEYS)
    await index.caches.drop(["six"])
    assert [item.is_cached for item in await index.caches.list_items()] == [False]
    assert await index.caches.map_stamps() == {}, "it is new if it comes back"
    await index.database.write(delete_artifact_row, "p")
    assert await sums(index) == {"package": 100}
    await index.database.write(delete_artifact_row, "q")
    assert await index.caches.list_items() == []
    assert await sums(index) == {"package": 0}


async def test_what_comes_back_is_cached_again(index):
    await index.caches.put([row("six", key=KEYS[0])])
    await index.database.write(begin, "p", KEYS)
    await index.caches.drop(["six"])
    await index.caches.put([row("six", key=KEYS[0])])
    assert await index.caches.list_items() == [
        CacheItem(kind="package", id="six", bytes=100, last_used="2026", linked_by=("lock-p",))
    ]


async def test_a_migration_finds_the_uses_of_prefixes_that_are_there(index):
    def older(connection: sqlite3.Connection) -> None:
        digest = put_lock(connection, LOCK)
        insert_building(connection, msgspec.structs.replace(prefix("p"), key=digest), "b1")
        fill_cache_uses(connection)

    await index.database.write(older)
    await index.caches.put([row(key, key=key) for key in KEYS])
    assert [await index.caches.find_users(key) for key in KEYS] == [["p"]] * 4


async def test_a_locked_wheel_is_found_by_any_spelling(index):
    await index.locks.put(LOCK)
    assert await index.caches.has_locked_wheel("greet", ["1.0.0", "1.0"])
    assert not await index.caches.has_locked_wheel("greet", ["2.0"])
    assert not await index.caches.has_locked_wheel("six", ["1.17"])
