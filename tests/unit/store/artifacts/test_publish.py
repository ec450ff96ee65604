"""Publishing: what is ready, what is left when it fails, and in which order things reach the disk."""

from __future__ import annotations

import asyncio
import errno
import os
import time

import pytest
from msgspec import structs

from roost.model.errors import BuildError, StoreFullError
from roost.model.locks.lock import digest_lock
from roost.model.records import FileStamp, NewGeneration, VariableChange
from roost.store.artifacts.publish import FillResult
from roost.store.artifacts.usage import measure_prefix
from roost.store.disk.file_ops import TreeCount
from roost.store.failpoints import TRACE

pytestmark = pytest.mark.unprivileged

NEW = NewGeneration(definition_digest="sha256:d", platform="linux-64")


def left_over(store):
    return sorted(os.listdir(store.layout.prefixes)), os.listdir(store.layout.trash), os.listdir(store.layout.stage)


async def test_published_prefix_is_ready_with_lock_and_generation(store, lock_of, fill):
    lock = lock_of("a")
    artifact = await store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b", fill=fill)
    facts = await store.index.load_facts("sha256:d", "linux-64")
    assert artifact.state == "ready"
    assert facts.artifact == artifact
    assert facts.lock_known
    assert facts.generation.number == 1
    assert facts.generation.lock_digest == digest_lock(lock) == artifact.key
    assert await store.index.locks.find(artifact.key) == lock
    assert os.path.isfile(artifact.lease_path)
    assert artifact.bytes >= 50_000
    assert await store.index.leases.list_active() == []


async def test_what_fill_found_is_kept(store, lock_of):
    filled = FillResult(
        activation=(
            VariableChange(name="PATH", action="prepend", value="/x/bin"),
            VariableChange(name="Y", action="unset"),
        ),
        stamps=(FileStamp(path="/x/bin/python", identity="1:2:3:4:5"), FileStamp(path="/x/no", identity="absent")),
    )

    async def fill(path):
        return filled

    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    found = await store.index.artifacts.find(artifact.id)
    assert (found.activation, found.stamps) == (filled.activation, filled.stamps)


async def test_names_that_were_counted_are_not_counted_again(store, lock_of, fill):
    count = TreeCount()

    async def fill_counting(path):
        filled = await fill(path)
        for folder, _, files in os.walk(path):
            for each in (folder, *(os.path.join(folder, name) for name in files)):
                count.add(each)
        return structs.replace(filled, count=count)

    artifact = await store.artifacts.publish_prefix(
        lock=lock_of("a"), generation=None, build_id="b", fill=fill_counting
    )
    assert (artifact.bytes, artifact.shared_bytes) == measure_prefix(artifact.path)


async def test_path_is_short_and_names_the_lock(store, lock_of, fill):
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    name = os.path.basename(artifact.path)
    assert name[:9] == artifact.key.removeprefix("sha256:")[:8] + "-"
    assert len(name) == 17
    assert artifact.lease_path == artifact.path + ".lease"


async def test_while_it_is_filled_it_is_leased_and_no_plan_has_it(store, lock_of):
    lock = lock_of("a")
    seen = {}

    async def fill(path):
        seen["ready"] = await store.index.artifacts.find_ready("prefix", digest_lock(lock))
        seen["artifacts"] = await store.index.artifacts.list_all()
        seen["leases"] = await store.index.leases.list_active()
        seen["deleted"] = await store.artifacts.delete(seen["artifacts"][0].id)
        seen["content"] = os.listdir(path)
        return FillResult()

    artifact = await store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b7", fill=fill)
    assert seen["ready"] is None
    assert [a.state for a in seen["artifacts"]] == ["building"]
    assert [(lease.target, lease.holder) for lease in seen["leases"]] == [(artifact.id, "build:b7")]
    assert seen["deleted"] is False
    assert seen["content"] == []


async def test_failing_fill_leaves_nothing_and_its_exception_passes(store, lock_of, fill):
    async def failing(path):
        await fill(path)
        raise BuildError("no wheel")

    with pytest.raises(BuildError, match="no wheel"):
        await store.artifacts.publish_prefix(lock=lock_of("a"), generation=NEW, build_id="b", fill=failing)
    assert left_over(store) == ([], [], [])
    assert await store.index.artifacts.list_all() == []
    assert await store.index.leases.list_active() == []
    assert await store.index.generations.find_current("sha256:d", "linux-64") is None
    again = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=NEW, build_id="b", fill=fill)
    assert again.state == "ready"


async def test_read_only_folders_of_a_package_are_removed_too(store, lock_of):
    async def failing(path):
        os.makedirs(os.path.join(path, "a", "b"))
        os.chmod(os.path.join(path, "a", "b"), 0o500)
        os.chmod(os.path.join(path, "a"), 0o500)
        raise BuildError("x")

    with pytest.raises(BuildError):
        await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=failing)
    assert left_over(store) == ([], [], [])


async def test_cancelled_fill_leaves_nothing(store, lock_of, fill):
    filling = asyncio.Event()

    async def slow(path):
        await fill(path)
        filling.set()
        await asyncio.sleep(3600)

    task = asyncio.create_task(
        store.artifacts.publish_prefix(lock=lock_of("a"), generation=NEW, build_id="b", fill=slow)
    )
    await filling.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left_over(store) == ([], [], [])
    assert await store.index.artifacts.list_all() == []


async def test_cancelled_at_any_moment_it_is_whole_or_gone(store, lock_of, fill):
    """Cancelled after k turns of the loop, for every k till it is done: never a row or content in between."""
    outcomes = set()
    for turns in range(200):
        lock = lock_of(f"p{turns}")
        task = asyncio.create_task(store.artifacts.publish_prefix(lock=lock, generation=None, build_id="b", fill=fill))
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = task.done()
        task.cancel()
        await asyncio.wait([task])
        ready = await store.index.artifacts.find_ready("prefix", digest_lock(lock))
        rows = [a for a in await store.index.artifacts.list_all() if a.key == digest_lock(lock)]
        assert rows == ([ready] if ready else [])
        assert [os.path.isdir(a.path) for a in rows] == [True] * len(rows)
        outcomes.add(bool(ready))
        if finished:
            break
    names = {os.path.basename(a.path) for a in await store.index.artifacts.list_all()}
    assert set(os.listdir(store.layout.prefixes)) == {
        name + end for name in names for end in ("", ".lease", ".manifest", ".record")
    }
    assert os.listdir(store.layout.trash) == []
    assert False in outcomes


async def test_cancelled_while_its_place_is_made_nothing_is_left(store, lock_of, fill, monkeypatch):
    """A thread can't be cancelled: what it makes late must be taken away too."""
    from roost.store.artifacts import publish

    create_lease = publish.create_lease

    def cancel_first(path):
        loop.call_soon_threadsafe(task.cancel)
        time.sleep(0.2)
        return create_lease(path)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(publish, "create_lease", cancel_first)
    task = asyncio.create_task(
        store.artifacts.publish_prefix(lock=lock_of("a"), generation=NEW, build_id="b", fill=fill)
    )
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.sleep(0.3)
    assert left_over(store) == ([], [], [])
    assert await store.index.artifacts.list_all() == []


async def test_cancelled_while_committing_it_ends_whole(store, lock_of, fill, monkeypatch):
    from roost.store.artifacts import publish

    lock, durable = lock_of("a"), publish._make_durable
    task = None

    def cancel_now(layout, path, manifest):
        loop.call_soon_threadsafe(task.cancel)
        return durable(layout, path, manifest)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(publish, "_make_durable", cancel_now)
    task = asyncio.create_task(store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b", fill=fill))
    await asyncio.wait([task])
    assert task.cancelled()
    ready = await store.index.artifacts.find_ready("prefix", digest_lock(lock))
    assert os.path.isfile(os.path.join(ready.path, "bin", "python"))


async def test_two_of_one_lock_share_a_prefix(store, lock_of, fill):
    lock, both = lock_of("a"), asyncio.Event()
    filled = []

    async def together(path):
        filled.append(path)
        if len(filled) == 2:
            both.set()
        await both.wait()
        return await fill(path)

    other = NewGeneration(definition_digest="sha256:e", platform="linux-64")
    first, second = await asyncio.gather(
        store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b1", fill=together),
        store.artifacts.publish_prefix(lock=lock, generation=other, build_id="b2", fill=together),
    )
    third = await store.artifacts.publish_prefix(lock=lock, generation=NEW, build_id="b3", fill=together)
    assert first.id == second.id == third.id
    assert len(filled) == 2
    assert [a.id for a in await store.index.artifacts.list_all()] == [first.id]
    names = os.path.basename(first.path)
    assert left_over(store) == ([names, names + ".lease", names + ".manifest", names + ".record"], [], [])
    generations = await store.index.generations.list_by_lock(digest_lock(lock))
    assert sorted((g.definition_digest, g.number) for g in generations) == [
        ("sha256:d", 1),
        ("sha256:d", 2),
        ("sha256:e", 1),
    ]


async def test_no_space_in_fill_is_named(store, lock_of):
    async def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", path)

    with pytest.raises(StoreFullError) as caught:
        await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=full)
    assert caught.value.code == "store-full"
    assert "ROOST_HOME" in caught.value.hint
    assert left_over(store) == ([], [], [])


async def test_order_of_sync_and_commit(store, lock_of, fill, monkeypatch, tmp_path):
    trace = tmp_path / "trace"

    async def filling(path):
        with open(trace, "a") as stream:
            stream.write(f"fill {path}\n")
        return await fill(path)

    monkeypatch.setenv(TRACE, str(trace))
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=NEW, build_id="b", fill=filling)
    monkeypatch.delenv(TRACE)
    operations = [line for line in trace.read_text().splitlines() if not line.startswith("point")]
    assert operations == [
        "commit insert_building",
        f"fill {artifact.path}",
        f"write {store.layout.manifest_of(artifact.path)}",
        f"write {store.layout.record_of(artifact.path)}",
        f"syncfs {artifact.path}",
        f"sync-folder {store.layout.prefixes}",
        "commit publish_prefix",
    ]


async def test_hard_links_count_as_shared(store, lock_of, tmp_path):
    cached = os.path.join(store.layout.packages, "f")
    with open(cached, "wb") as stream:
        stream.write(b"x" * 40_960)

    async def fill(path):
        os.link(cached, os.path.join(path, "linked"))
        with open(os.path.join(path, "own"), "wb") as stream:
            stream.write(b"x" * 8_192)
        os.link(os.path.join(path, "own"), os.path.join(path, "twice"))
        return FillResult()

    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    folder = os.stat(artifact.path).st_blocks * 512
    assert artifact.shared_bytes == os.stat(cached).st_blocks * 512 >= 40_960
    beside = sum(os.stat(artifact.path + end).st_blocks * 512 for end in (".manifest", ".record"))
    own = artifact.bytes - artifact.shared_bytes - folder - beside
    assert beside > 0
    assert 8_192 <= own < 12_288  # once, though it has two names inside


async def test_many_publishes_at_once_number_without_a_gap(store, lock_of, fill):
    async def one(number):
        generation = NewGeneration(definition_digest=f"sha256:{number % 10}", platform="linux-64")
        return await store.artifacts.publish_prefix(
            lock=lock_of(f"p{number}"), generation=generation, build_id=f"b{number}", fill=fill
        )

    artifacts = await asyncio.gather(*(one(number) for number in range(200)))
    assert len({artifact.path for artifact in artifacts}) == 200
    for definition in range(10):
        generations = await store.index.generations.list_by_definition(f"sha256:{definition}")
        assert [g.number for g in generations] == list(range(1, 21))
        assert [g.number for g in generations if g.current] == [20]


async def test_a_prefix_that_is_collected_while_it_is_asked_for_is_built_again(store, lock_of, fill, monkeypatch):
    lock = lock_of("a")
    first = await store.artifacts.publish_prefix(lock=lock, generation=None, build_id="b", fill=fill)
    find_ready = store.index.artifacts.find_ready

    async def find_and_lose(kind, key):
        found = await find_ready(kind, key)
        assert await store.artifacts.delete(first.id)
        return found

    monkeypatch.setattr(store.index.artifacts, "find_ready", find_and_lose, raising=False)
    again = await store.artifacts.publish_prefix(lock=lock, generation=None, build_id="b", fill=fill)
    assert again.id != first.id
    assert os.path.isdir(again.path)
    assert not os.path.exists(first.path)
