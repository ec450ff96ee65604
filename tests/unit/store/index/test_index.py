"""The index: each record comes back as it went in, and transactions are whole."""

from __future__ import annotations

import asyncio
import os

import msgspec
import pytest

from roost.model.errors import StoreError
from roost.model.locks.lock import HostPython, Lock, Wheel, digest_lock
from roost.model.records import BuildRecord, KnownDefinition, LayerRecord, NewGeneration, RunRecord, StepObservation
from roost.store.index.index import Index
from roost.store.index.tables import generations
from roost.store.index.tables.generations import GenerationUnknownError
from roost.store.index.tables.history import STORED_DURATIONS
from roost.store.index.tables.records import RecordUnknownError
from roost.store.migrations.examination import IndexDamagedError


@pytest.fixture
def index(store):
    return store.index


def build(number, **fields):
    return BuildRecord(
        **{
            "id": f"b{number}",
            "definition_digest": "sha256:d",
            "platform": "linux-64",
            "state": "queued",
            "created": "2026-01-01T00:00:00Z",
            **fields,
        }
    )


def run(number, **fields):
    return RunRecord(
        **{
            "id": f"r{number}",
            "state": "queued",
            "target": "local",
            "command": ("python", "a b.py"),
            "cwd": "/w",
            "definition_digest": "sha256:d",
            "settings_digest": "sha256:s",
            "created": "2026-01-01T00:00:00Z",
            **fields,
        }
    )


async def test_definitions_keep_content_and_last_sighting(index):
    assert await index.definitions.find("sha256:a") is None
    await index.definitions.record_sighting("sha256:a", b'{"format":1}', "train", "/w/environment.yml")
    await index.definitions.record_sighting("sha256:a", b'{"format":1}', None, "/v/e.yml")
    known = await index.definitions.find("sha256:a")
    assert (known.digest, known.canonical, known.name, known.source) == ("sha256:a", b'{"format":1}', None, "/v/e.yml")


async def test_same_sighting_again_writes_nothing(index, store):
    await index.definitions.record_sighting("sha256:a", b"{}", "n", "/w/e.yml")
    before = os.stat(store.layout.index_path + "-wal").st_mtime_ns
    await index.definitions.record_sighting("sha256:a", b"{}", "n", "/w/e.yml")
    assert os.stat(store.layout.index_path + "-wal").st_mtime_ns == before


async def test_nearest_candidates_same_path_then_name_then_latest(index):
    for number in range(30):
        await index.definitions.record_sighting(f"sha256:{number}", b"%d" % number, "other", f"/o/{number}.yml")
    await index.definitions.record_sighting("sha256:path", b"p", "x", "/w/e.yml")
    await index.definitions.record_sighting("sha256:name", b"n", "train", "/v/e.yml")
    for number in range(30, 40):
        await index.definitions.record_sighting(f"sha256:{number}", b"%d" % number, "other", f"/o/{number}.yml")
    found = await index.definitions.list_candidates("train", "/w/e.yml", limit=20)
    digests = [known.digest for known in found]
    assert digests[:4] == ["sha256:path", "sha256:name", "sha256:39", "sha256:38"]
    assert len(digests) == len(set(digests)) == 20
    assert found[0].canonical == b"p"


async def test_an_older_definition_seen_again_is_the_latest(index):
    await index.definitions.record_sighting("sha256:a", b"a", "n", "/w/e.yml")
    await index.definitions.record_sighting("sha256:b", b"b", "n", "/w/e.yml")
    await index.definitions.record_sighting("sha256:a", b"a", "n", "/w/e.yml")
    assert [known.digest for known in await index.definitions.list_candidates(None, "/w/e.yml")] == [
        "sha256:a",
        "sha256:b",
    ]


async def test_settings_and_locks_come_back(index):
    lock = Lock(
        platform="linux-64",
        provider=HostPython(version="3.11.7", executable="/usr/bin/python3.11"),
        wheels=(Wheel(name="six", version="1.16.0", sha256="ab" * 32),),
    )
    assert await index.definitions.find_settings("sha256:s") is None
    await index.definitions.put_settings("sha256:s", b'{"variables":{}}')
    await index.definitions.put_settings("sha256:s", b"other")
    assert await index.definitions.find_settings("sha256:s") == b'{"variables":{}}'
    assert await index.locks.put(lock) == digest_lock(lock)
    assert await index.locks.find(digest_lock(lock)) == lock
    assert await index.locks.contains(digest_lock(lock)) is True
    assert await index.locks.find("sha256:no") is None
    assert await index.locks.contains("sha256:no") is False


async def test_generations_one_current_and_promotion(index, lock_of):
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64", as_of="2020-07-08T00:00:00Z")
    for name in "abc":
        await index.generations.add(new, lock_of(name))
    other = await index.generations.add(msgspec.structs.replace(new, platform="osx-arm64"), lock_of("a"))
    assert other.number == 1
    assert (await index.generations.find_current("sha256:d", "linux-64")).number == 3
    promoted = await index.generations.promote("sha256:d", "linux-64", 1)
    assert promoted.current
    assert await index.generations.find_current("sha256:d", "linux-64") == promoted
    assert promoted.as_of == "2020-07-08T00:00:00Z"
    assert [(g.platform, g.number, g.current) for g in await index.generations.list_by_definition("sha256:d")] == [
        ("linux-64", 1, True),
        ("linux-64", 2, False),
        ("linux-64", 3, False),
        ("osx-arm64", 1, True),
    ]
    assert (await index.generations.add(new, lock_of("d"))).number == 4
    assert len(await index.generations.list_by_lock(digest_lock(lock_of("a")))) == 2
    with pytest.raises(GenerationUnknownError) as caught:
        await index.generations.promote("sha256:d", "linux-64", 9)
    assert caught.value.exit_status == 7
    assert (await index.generations.find_current("sha256:d", "linux-64")).number == 4


async def test_facts_are_one_snapshot_of_all(index, lock_of, store, fill):
    nothing = await index.load_facts("sha256:d", "linux-64")
    assert (nothing.known, nothing.generation, nothing.lock_known, nothing.artifact) == (False, None, False, None)
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64")
    await index.definitions.record_sighting("sha256:d", b"{}")
    first = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=new, build_id="b", fill=fill)
    await index.generations.add(new, lock_of("b"))
    current = await index.load_facts("sha256:d", "linux-64")
    assert (current.known, current.generation.number, current.lock_known, current.artifact) == (True, 2, True, None)
    older = await index.load_facts("sha256:d", "linux-64", number=1)
    assert (older.generation.number, older.artifact) == (1, first)


async def test_no_generation_without_its_lock(index, lock_of):
    await index.generations.add(NewGeneration(definition_digest="sha256:d", platform="linux-64"), lock_of("a"))

    def forget(connection):
        connection.execute("DELETE FROM locks")

    with pytest.raises(StoreError, match="FOREIGN KEY"):
        await index.database.write(forget)
    assert await index.locks.contains(digest_lock(lock_of("a")))


async def test_1000_generations_from_many_tasks_number_without_a_gap(index, lock_of):
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64")
    lock = lock_of("a")
    made = await asyncio.gather(*(index.generations.add(new, lock) for _ in range(1000)))
    assert sorted(generation.number for generation in made) == list(range(1, 1001))
    assert [g.number for g in await index.generations.list_by_definition("sha256:d") if g.current] == [1000]


async def test_a_failing_transaction_leaves_nothing(index, lock_of):
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64")
    await index.generations.add(new, lock_of("a"))

    def half(connection):
        generations.add_generation(connection, new, lock_of("b"))
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await index.database.write(half)
    assert (await index.generations.find_current("sha256:d", "linux-64")).number == 1
    assert await index.locks.find(digest_lock(lock_of("b"))) is None
    assert (await index.generations.add(new, lock_of("c"))).number == 2


async def test_builds_are_updated_checked_and_paged(index):
    for number in range(5):
        await index.builds.insert(build(number, reasons=("no-prefix",)))
    changed = await index.builds.update("b1", state="failed", seconds=1.5, error={"code": "x", "fields": {"a": [1]}})
    assert await index.builds.find("b1") == changed
    assert (changed.state, changed.seconds, changed.reasons) == ("failed", 1.5, ("no-prefix",))
    assert [b.id for b in await index.builds.list_page(2)] == ["b4", "b3"]
    assert [b.id for b in await index.builds.list_page(2, before="b3")] == ["b2", "b1"]
    assert [b.id for b in await index.builds.list_open()] == ["b0", "b2", "b3", "b4"]
    assert await index.builds.find("no") is None
    with pytest.raises(RecordUnknownError) as caught:
        await index.builds.update("no", state="failed")
    assert caught.value.exit_status == 7
    with pytest.raises(msgspec.ValidationError):
        await index.builds.update("b1", state="exploded")
    assert (await index.builds.find("b1")).state == "failed"


async def test_runs_are_updated_and_paged(index):
    first = run(1, variables={"A": "1"}, secrets=("TOKEN",), interpreter={"path": "/p", "mtime": 1.5})
    await index.runs.insert(first)
    await index.runs.insert(run(2))
    assert await index.runs.find("r1") == first
    await index.runs.update("r1", state="succeeded", exit_status=0, lock_digest="sha256:l")
    assert [r.id for r in await index.runs.list_open()] == ["r2"]
    assert [(r.id, r.lock_digest) for r in await index.runs.list_page(before=None)] == [
        ("r2", None),
        ("r1", "sha256:l"),
    ]


SEEN = KnownDefinition(digest="sha256:d", canonical=b"d", name="train", source="/w/environment.yml")


async def test_a_run_begins_with_what_it_runs_in_and_its_event_or_not_at_all(index):
    begun, event = await index.begin_run(run(1), SEEN, b"s", "run-created", {"run": "r1"})
    assert await index.runs.find("r1") == begun == run(1)
    assert await index.definitions.find("sha256:d") == SEEN
    assert await index.definitions.find_settings("sha256:s") == b"s"
    assert await index.events.list_since(0) == [event]
    with pytest.raises(StoreError):  # that id is taken
        await index.begin_run(
            run(1, definition_digest="sha256:e", settings_digest="sha256:t"),
            msgspec.structs.replace(SEEN, digest="sha256:e"),
            b"t",
            "run-created",
            {},
        )
    assert await index.definitions.find("sha256:e") is None
    assert await index.definitions.find_settings("sha256:t") is None
    assert await index.events.find_last() == 1


async def test_a_run_whose_folder_cannot_be_created_never_begins(index, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        await index.begin_run(run(1), SEEN, b"s", "run-created", {}, create_folder=(tmp_path / "file" / "r1").mkdir)
    assert (await index.runs.find("r1"), await index.events.find_last()) == (None, 0)
    await index.begin_run(run(1), SEEN, b"s", "run-created", {}, create_folder=(tmp_path / "r1").mkdir)
    assert (tmp_path / "r1").is_dir()


async def test_a_run_ends_once_and_is_told_of_once(index):
    await index.begin_run(run(1), SEEN, b"s", "run-created", {})
    end = {"state": "failed", "exit_status": 3}
    ended, event = await index.end_run("r1", end, "run-ended", {"run": "r1"})
    assert (ended.state, ended.exit_status, event.fields) == ("failed", 3, {"run": "r1"})
    assert await index.end_run("r1", {"state": "lost"}, "run-ended", {}) == (ended, None)
    assert (await index.runs.find("r1"), await index.events.find_last()) == (ended, 2)
    await index.begin_run(run(2), SEEN, b"s", "run-created", {})
    with pytest.raises(msgspec.ValidationError):
        await index.end_run("r2", {"state": "exploded"}, "run-ended", {})
    assert ((await index.runs.find("r2")).state, await index.events.find_last()) == ("queued", 3)
    with pytest.raises(RecordUnknownError):
        await index.end_run("no", end, "run-ended", {})


async def test_the_first_start_of_a_run_stays_and_an_ended_run_never_starts(index):
    await index.begin_run(run(1), SEEN, b"s", "run-created", {})
    running = await index.mark_running("r1", "2026-01-01T00:00:00Z")
    assert (running.state, running.started) == ("running", "2026-01-01T00:00:00Z")
    assert await index.mark_running("r1", "2026-01-01T00:00:09Z") == running
    ended, _ = await index.end_run("r1", {"state": "succeeded", "started": "2026-01-01T00:00:05Z"}, "run-ended", {})
    assert ended.started == "2026-01-01T00:00:00Z"
    assert await index.mark_running("r1", "2026-01-01T00:00:10Z") == ended == await index.runs.find("r1")
    with pytest.raises(RecordUnknownError):
        await index.mark_running("no", "2026-01-01T00:00:00Z")


async def test_an_end_that_comes_before_the_start_has_the_start(index):
    await index.begin_run(run(1), SEEN, b"s", "run-created", {})
    end = {"state": "succeeded", "exit_status": 0, "started": "2026-01-01T00:00:05Z"}
    ended, _ = await index.end_run("r1", end, "run-ended", {})
    assert ended.started == "2026-01-01T00:00:05Z"


async def test_events_are_numbered_without_a_gap_and_pruned(index):
    made = await asyncio.gather(*(index.events.append("build", {"n": n}) for n in range(50)))
    assert sorted(event.seq for event in made) == list(range(1, 51))
    assert [e.fields["n"] for e in await index.events.list_since(47)] == [made[47].fields["n"], 48, 49]
    assert [e.seq for e in await index.events.list_since(0, limit=3)] == [1, 2, 3]
    assert await index.events.prune(keep=10) == 40
    assert (await index.events.list_since(0))[0].seq == 41
    assert await index.events.prune(keep=0) == 10
    assert await index.events.find_last() == 50
    assert (await index.events.append("x")).seq == 51


async def test_only_the_latest_durations_are_stored(index):
    for number in range(STORED_DURATIONS + 5):
        await index.durations.record(StepObservation(step="link", seconds=float(number + 1), amounts={"files": 2.0}))
    await index.durations.record(StepObservation(step="solve", seconds=3.0, subject="channels"))
    found = await index.durations.list_since()
    links = [each for _, each in found if each.step == "link"]
    assert [each.seconds for each in links] == [float(number) for number in range(6, STORED_DURATIONS + 6)]
    assert links[0].amounts == {"files": 2.0}
    assert await index.durations.list_since(found[-2][0]) == found[-1:]
    assert found[-1][1] == StepObservation(step="solve", seconds=3.0, subject="channels")


async def test_durations_that_can_not_be_read_are_left_out(index):
    def spoil(connection):
        rows = [(1.0, None), (1.0, "{"), (1.0, '{"files": "many"}'), (1.0, "[]"), ("soon", "{}"), (2.0, "{}")]
        connection.executemany("INSERT INTO durations (step, seconds, amounts) VALUES ('link', ?, ?)", rows)

    await index.durations.database.write(spoil)
    assert [each.seconds for _, each in await index.durations.list_since()] == [2.0]


@pytest.mark.parametrize("remove", ["delete", "retire_prefix"])
async def test_a_definition_whose_prefix_goes_is_told_once(index, store, lock_of, fill, remove):
    gone = []
    index.artifacts.on_gone = gone.append
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64")
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=new, build_id="b", fill=fill)
    assert await index.watches.list_ready_definitions() == {"sha256:d"}
    assert gone == []
    assert await getattr(store.artifacts, remove)(artifact.id)
    assert gone == [artifact.key]
    assert await index.watches.list_definitions_of(gone) == {"sha256:d"}
    assert await index.watches.list_ready_definitions() == set()


async def test_a_prefix_that_stays_is_not_told_as_gone(index, store, lock_of, fill):
    gone = []
    index.artifacts.on_gone = gone.append
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    await index.pins.add(artifact.id)
    assert not await store.artifacts.delete(artifact.id)
    assert gone == []


async def test_touch_never_goes_back(index, store, lock_of, fill):
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    await index.artifacts.touch(artifact.id, "2001-01-01T00:00:00Z")
    assert (await index.artifacts.find(artifact.id)).last_used == artifact.last_used
    await index.artifacts.touch(artifact.id, "2101-01-01T00:00:00Z")
    assert (await index.artifacts.find(artifact.id)).last_used == "2101-01-01T00:00:00Z"


async def test_commits_are_synced_and_logged_ahead(index):
    def pragmas(connection):
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    assert await index.database.write(pragmas) == ["wal", 2]  # 2 is FULL


async def test_cancelled_callers_do_not_disturb_others(index):
    tasks = [asyncio.create_task(index.events.append("e", {"n": n})) for n in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    events = await index.events.list_since(0)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {task.result().seq for task in tasks[1::2]} <= {event.seq for event in events}


async def test_layers_are_kept_by_key_and_dropped_by_blob(index):
    first, second = (
        LayerRecord(key=key, diff_id="sha256:d", digest="sha256:b", size=7, stamp=1, packages=(f"{key} 1",))
        for key in "ab"
    )
    other = LayerRecord(key="c", diff_id="sha256:e", digest="sha256:f", size=8, stamp=2)
    for layer in (first, second, other):
        await index.layers.put(layer)
    assert await index.layers.find(["a", "c", "x"]) == {"a": first, "c": other}
    await index.layers.touch(["c"])
    assert (await index.layers.list_all())[0] == other
    await index.layers.put(msgspec.structs.replace(first, size=9))
    assert (await index.layers.find(["a"]))["a"].size == 9
    await index.layers.delete(["sha256:b"])
    assert await index.layers.list_all() == [other]


@pytest.mark.parametrize("damage", ["header", "page"])
async def test_a_damaged_index_is_named(root, damage):
    path = os.path.join(root, "index.db")
    index = await Index.open(path)
    for number in range(200):
        await index.definitions.record_sighting(f"sha256:{number}", b"x" * 100, "n", f"/{number}")
    await index.close()
    size = os.path.getsize(path)
    with open(path, "r+b") as stream:
        stream.seek(0 if damage == "header" else 4096)
        stream.write(b"\xff" * (100 if damage == "header" else size - 4096))

    async def use():
        opened = await Index.open(path)
        try:
            await opened.nearest_candidates()
        finally:
            await opened.close()

    with pytest.raises(IndexDamagedError) as caught:
        await use()
    assert caught.value.code == "index-damaged"
    assert path in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("leave_wal", [True, False])
async def test_a_file_that_was_removed_is_written_again_at_the_close(tmp_path, leave_wal):
    path = str(tmp_path / "index.db")
    index = await Index.open(path)
    await index.pins.add("before")
    for name in os.listdir(tmp_path):
        if name == "index.db" or not leave_wal:
            os.unlink(tmp_path / name)
    await index.pins.add("after")
    await index.close()
    assert os.listdir(tmp_path) == ["index.db"]
    index = await Index.open(path)
    assert await index.pins.list_all() == ["after", "before"]
    await index.close()


async def test_a_file_that_took_the_place_of_a_removed_one_stays(tmp_path):
    path = tmp_path / "index.db"
    index = await Index.open(str(path))
    path.unlink()
    path.write_bytes(b"another")
    await index.close()
    assert path.read_bytes() == b"another"
