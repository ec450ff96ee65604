"""Collections of a real store: what goes, what turns out to be in use, and what an interruption leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

import msgspec
import pytest

from roost.daemon.config.config import Config
from roost.daemon.config.schema import CacheSettings, ConfigFile
from roost.daemon.config.source import ConfigSource
from roost.daemon.gc.collector import Collector
from roost.daemon.gc.gathering import HANDED_OUT_SECONDS, FactsGatherer
from roost.daemon.gc.pauses import Pauses
from roost.daemon.gc.projects import ProjectProbe
from roost.daemon.gc.triggers import BEGINS, CollectionTriggers
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.model.caches import CacheItem, Kept
from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.model.records import LeaseTarget, NewGeneration, RunRecord
from roost.store.artifacts.publish import FillResult
from roost.store.clock import from_timestamp, utc_now
from roost.store.disk.file_ops import measure_tree, remove_tree
from roost.store.store import Store

FAR = "9999-01-01T00:00:00Z"
DAY = 86400.0
EVERYTHING = CacheSettings(budget_bytes=1, min_free_bytes=0, prefix_days=0, package_days=0)
ROOMY = CacheSettings(budget_bytes=10**15, min_free_bytes=0)


class FakeCaches:
    """Items in memory. ``refuses``: ids that turn out to be in use. ``waits``: the next removal waits for its end."""

    def __init__(self):
        self.items = []
        self.refuses = {}
        self.removed = []
        self.waits = None

    async def list_items(self):
        return tuple(self.items)

    async def remove(self, item):
        if self.waits is not None:
            waits, self.waits = self.waits, None
            waits.set()
            await asyncio.sleep(600)
        if item.id in self.refuses:
            return Kept(reason=self.refuses[item.id])
        self.items = [each for each in self.items if each.id != item.id]
        self.removed.append(item.id)
        return item.bytes

    async def reap(self, path):
        size, shared = measure_tree(path)
        remove_tree(path)
        return size - shared


class FakeImages:
    def __init__(self):
        self.uses = {}
        self.asked = 0
        self.removed = []

    async def find_uses(self):
        self.asked += 1
        return self.uses

    async def remove(self, artifact_id):
        self.removed.append(artifact_id)
        return 1


class Root:
    """An open store and its collections."""

    def __init__(self, store):
        self.store, self.caches, self.images = store, FakeCaches(), FakeImages()
        self.source = ConfigSource(Config())
        self.lifecycle = Lifecycle(0)
        self.projects = ProjectProbe(fstab="/dev/null")
        gatherer = FactsGatherer(
            store.layout.root, store.index, store.artifacts, self.caches, self.images, self.projects
        )
        self.pauses = Pauses(self.lifecycle, quiet=0.05, patience=0.5)
        self.collector = Collector(
            store.layout.root, self.source, gatherer, store.artifacts, self.caches, self.images, self.pauses
        )
        self.events = Events(store.index, keep=1000)
        self.triggers = CollectionTriggers(
            store.layout.root, store.index, self.source, self.collector, self.events, self.wait_for_records
        )
        self.recorded = 0

    async def wait_for_records(self):
        self.recorded += 1

    def configure(self, cache):
        self.source.config = dataclasses.replace(Config(), settings=ConfigFile(cache=cache))

    async def publish(self, name, *, age=DAY, source=None):
        """A prefix that was last used ``age`` seconds ago, for the environment file ``source``."""
        package = CondaPackage(
            name=name, version="1", build="0", subdir="noarch", file_name=f"{name}.conda", url="u",
            sha256=name.encode().hex().ljust(64, "0"),
        )  # fmt: skip
        lock = Lock(platform="linux-64", provider=CondaPython(), conda=(package,))
        new = NewGeneration(definition_digest=f"sha256:{name}", platform="linux-64")

        async def fill(path):
            os.mkdir(f"{path}/bin")
            with open(f"{path}/bin/module.py", "wb") as stream:
                stream.write(b"x" * 40_000)
            return FillResult(manifest=b"m")

        if source is not None:
            await self.store.index.definitions.record_sighting(f"sha256:{name}", b"{}", None, source)
        made = await self.store.artifacts.publish_prefix(lock=lock, generation=new, build_id="b", fill=fill)
        await self.set_last_use(made, age)
        return made

    async def set_last_use(self, artifact, age):
        moment = time.time() - age
        with suppress(FileNotFoundError):  # a collection at the same time has taken it
            os.utime(artifact.lease_path, (moment, moment))
        await self.store.index.database.write(
            lambda connection: connection.execute(
                "UPDATE artifacts SET last_used = ?, created = ? WHERE id = ?",
                (from_timestamp(moment), from_timestamp(moment), artifact.id),
            )
        )

    async def collect(self, **options):
        collection = None
        async for latest in self.collector.run(**options):
            collection = latest
        return collection

    async def prefixes(self):
        return {artifact.id for artifact in await self.store.index.artifacts.list_all() if artifact.kind == "prefix"}


@pytest.fixture
async def root():
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    store = await Store.open(path)
    made = Root(store)
    made.configure(EVERYTHING)
    yield made
    await made.triggers.stop()
    await store.close()
    shutil.rmtree(path)


def item(name, kind="package", bytes=1000, age=DAY, **fields):
    return CacheItem(kind=kind, id=name, bytes=bytes, last_used=from_timestamp(time.time() - age), **fields)


async def test_everything_that_nothing_needs_goes(root):
    made = await root.publish("a")
    root.caches.items = [item("p", linked_by=(made.key,))]
    collection = await root.collect()
    assert [(result.step.kind, result.kept) for result in collection.results] == [("prefix", ""), ("package", "")]
    assert await root.prefixes() == set()
    assert os.listdir(root.store.layout.prefixes) == os.listdir(root.store.layout.trash) == []
    assert collection.results[0].freed >= 40_000
    assert await root.store.index.locks.find(made.key) is not None, "locks stay for ever"


async def test_within_the_budget_nothing_goes(root):
    root.configure(ROOMY)
    made = await root.publish("a", age=400 * DAY)
    assert (await root.collect()).results == []
    assert await root.prefixes() == {made.id}


async def test_the_least_recently_used_goes_and_no_more(root):
    old, new = await root.publish("old", age=3 * DAY), await root.publish("new", age=DAY)
    used = (await root.collector.plan()).plan.used_bytes
    root.configure(msgspec.structs.replace(EVERYTHING, budget_bytes=used - 1))
    await root.collect()
    assert await root.prefixes() == {new.id}
    assert not os.path.exists(old.path)


@pytest.fixture
def process(request):
    started = []

    def start(script, *arguments, **options):
        made = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(made)
        assert made.stdout.readline() == "ready\n"
        return made

    yield start
    for made in started:
        made.stdin.close()
        made.wait(20)
        made.stdout.close()


WAIT = "print('ready', flush=True); sys.stdin.read()"
USES = {
    "lock": f"import fcntl, sys; f = open(sys.argv[1] + '.lease'); fcntl.flock(f, fcntl.LOCK_SH); {WAIT}",
    "cwd": f"import os, sys; os.chdir(sys.argv[1]); {WAIT}",
    "fd": f"import sys; f = open(sys.argv[1] + '/bin/module.py'); {WAIT}",
    "map": (
        "import mmap, os, sys; d = os.open(sys.argv[1] + '/bin/module.py', os.O_RDONLY); "
        f"m = mmap.mmap(d, 0, prot=mmap.PROT_READ); os.close(d); {WAIT}"
    ),
}


@pytest.mark.parametrize("use", list(USES))
async def test_a_prefix_that_a_process_uses_stays_and_the_process_is_named(root, process, use):
    made = await root.publish("a")
    user = await asyncio.to_thread(process, USES[use], made.path)
    collection = await root.collect(everything=True)
    assert await root.prefixes() == {made.id}
    assert os.path.exists(f"{made.path}/bin/module.py")
    reasons = [each.reason for each in (await root.collector.plan(refused=collection.refused)).plan.kept]
    assert reasons == [f"used by process {user.pid}"]
    assert collection.missing_bytes > 0
    user.stdin.close()
    await asyncio.to_thread(user.wait, 20)
    await root.collect(everything=True)
    assert await root.prefixes() == set()


async def test_a_lock_that_somebody_holds_is_never_waited_for(root, process):
    held, free = await root.publish("held"), await root.publish("free")
    await asyncio.to_thread(process, USES["lock"], held.path)
    await asyncio.wait_for(root.collect(everything=True), 30)
    assert await root.prefixes() == {held.id}
    assert not os.path.exists(free.path)


async def test_pins_leases_and_open_runs_protect(root):
    pinned, leased, running, bare = [await root.publish(name) for name in ("pin", "lease", "run", "bare")]
    await root.store.index.pins.add(pinned.key)
    await root.store.index.leases.put("l", LeaseTarget(kind="artifact", subject=leased.id), "kernel", FAR)
    run = RunRecord(
        id="r1", state="preparing", target="local", command=("x",), cwd="/", definition_digest="d",
        settings_digest="s", created=utc_now(), artifact_id=running.id,
    )  # fmt: skip
    await root.store.index.runs.insert(run)
    collection = await root.collect(everything=True)
    assert await root.prefixes() == {pinned.id, leased.id, running.id}
    kept = {each.id: each.reason for each in (await root.collector.plan(everything=True)).plan.kept}
    assert kept == {pinned.id: "pinned", leased.id: "protected by lease l", running.id: "used by run r1"}
    assert [result.step.id for result in collection.results] == [bare.id]


async def test_what_was_just_published_is_about_to_be_used(root):
    made = await root.publish("a", age=0)
    assert (await root.collect(everything=True)).results == []
    assert (await root.collector.plan(everything=True)).plan.kept[0].reason == "made ready a moment ago"
    os.utime(made.lease_path, (time.time() + 1, time.time() + 1))  # a process has used it, and has ended
    await root.collect(everything=True)
    assert await root.prefixes() == set()


async def test_a_clock_that_was_ahead_counts_as_now(root):
    made = await root.publish("a", age=-400 * DAY)
    root.configure(msgspec.structs.replace(EVERYTHING, prefix_days=1))
    assert (await root.collect()).results == [], "used now, so it was used lately"
    root.configure(EVERYTHING)
    await root.collect()
    assert await root.prefixes() == set()
    assert not os.path.exists(made.path)


async def test_what_turns_out_to_be_in_use_is_planned_around(root):
    root.caches.items = [item("used", age=3 * DAY), item("other", age=2 * DAY), item("third")]
    root.caches.refuses = {"used": "process:7"}
    root.configure(msgspec.structs.replace(EVERYTHING, budget_bytes=2500))
    collection = await root.collect()
    assert [(result.step.id, result.kept) for result in collection.results] == [
        ("used", "used by process 7"),
        ("other", ""),
    ]
    assert collection.missing_bytes == 0


async def test_a_request_interrupts_a_step_which_begins_again(root):
    root.caches.items = [item("p")]
    root.caches.waits = asyncio.Event()
    begun, running = root.caches.waits, asyncio.create_task(root.collect())
    await begun.wait()
    root.lifecycle.touch()
    collection = await asyncio.wait_for(running, 20)
    assert root.caches.removed == ["p"]
    assert collection.results[0].freed == 1000
    assert root.pauses.interruptions == 1


async def test_a_step_that_was_put_off_for_long_runs_through(root):
    root.caches.items = [item("p")]
    busy = asyncio.create_task(keep_busy(root.lifecycle))
    collection = await asyncio.wait_for(root.collect(), 20)
    busy.cancel()
    assert collection.results[0].freed == 1000


async def keep_busy(lifecycle):
    while True:
        lifecycle.touch()
        await asyncio.sleep(0.01)


async def test_a_cancelled_collection_leaves_a_deletion_that_the_next_one_finishes(root):
    made = await root.publish("a")
    begun = asyncio.Event()

    async def hang(path):
        begun.set()
        await asyncio.sleep(600)
        return 0

    root.caches.reap = hang
    running = asyncio.create_task(root.collect())
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not os.path.exists(made.path)
    assert await root.store.index.artifacts.find_ready("prefix", made.key) is None
    assert len(os.listdir(root.store.layout.trash)) == 1
    del root.caches.reap
    await root.collect()
    assert os.listdir(root.store.layout.trash) == []
    assert await root.prefixes() == set()


# ------------------------------------------------------------------ projects
async def test_prefixes_of_removed_projects_go_first_and_others_by_last_use(root, tmp_path):
    old, gone = [await root.publish(name, source=str(tmp_path / name / "environment.yml"), age=age)
                 for name, age in (("old", 9 * DAY), ("gone", 3 * DAY))]  # fmt: skip
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "environment.yml").touch()
    steps = (await root.collector.plan(everything=True)).plan.steps
    assert [(step.rule, step.id) for step in steps] == [("abandoned-prefixes", gone.id), ("prefixes", old.id)]
    assert "last used 3 days ago" in steps[0].reason


async def test_a_project_whose_disk_is_not_mounted_is_needed(root, tmp_path):
    source = tmp_path / "disk" / "project" / "environment.yml"
    (tmp_path / "disk").mkdir()
    made = await root.publish("a", source=str(source), age=DAY)
    before = time.time() - 9 * DAY
    os.utime(tmp_path / "disk", (before, before))  # a mount point: nothing was deleted from it since
    assert (await root.collect(everything=True)).results == []
    (kept,) = (await root.collector.plan(everything=True)).plan.kept
    assert kept.reason == f"needed as far as can be told: the disk of {source} may not be mounted"
    root.configure(msgspec.structs.replace(EVERYTHING, unmounted_days=0.5))
    await root.collect(everything=True)
    assert await root.prefixes() == set(), made


async def test_an_environment_with_a_version_is_not_abandoned(root, tmp_path):
    await root.publish("a", source=str(tmp_path / "gone" / "environment.yml"))
    await root.store.index.database.write(
        lambda connection: connection.execute(
            "INSERT INTO bodies (digest, definition_digest, settings_digest, body) VALUES ('x', 'sha256:a', 's', '')"
        )
    )
    (step,) = (await root.collector.plan(everything=True)).plan.steps
    assert step.rule == "prefixes"


# ------------------------------------------------------------------ triggers
async def test_a_publication_over_the_budget_begins_a_collection_that_builds_wait_for(root):
    made = await root.publish("a")
    await root.triggers.on_published()
    await root.triggers.wait_for_space()
    assert await root.prefixes() == set(), made
    (event,) = [each for each in await root.store.index.events.list_since(0) if each.kind == "cache-collected"]
    assert event.fields["trigger"] == "published"
    assert root.recorded == 1, "sums are complete before they are compared"
    assert event.fields["removed"] == 1


async def test_a_budget_is_exceeded_by_what_is_being_built_only(root):
    first = await root.publish("first")
    size = (await root.collector.plan()).plan.used_bytes
    root.configure(msgspec.structs.replace(EVERYTHING, budget_bytes=2 * size + size // 2))
    for number in range(6):
        await root.triggers.wait_for_space()
        assert len(await root.prefixes()) <= 2
        await root.publish(f"p{number}", age=DAY - number)
        await root.triggers.on_published()
    await root.triggers.wait_for_space()
    assert len(await root.prefixes()) == 2
    assert not os.path.exists(first.path)


async def test_builds_and_collections_at_the_same_time_lose_nothing(root):
    async def build(number):
        made = await root.publish(f"p{number % 5}", age=DAY if number % 2 else 0)
        assert made.state == "ready"

    collecting = asyncio.create_task(collect_again_and_again(root))
    await asyncio.gather(*(build(number) for number in range(30)))
    collecting.cancel()
    await asyncio.gather(collecting, return_exceptions=True)
    ready = {artifact.path for artifact in await root.store.index.artifacts.list_all() if artifact.state == "ready"}
    assert all(os.path.exists(f"{path}/bin/module.py") for path in ready)
    names = [name for name in os.listdir(root.store.layout.prefixes) if "." not in name]
    assert {os.path.join(root.store.layout.prefixes, name) for name in names} == ready


async def collect_again_and_again(root):
    while True:
        await root.collect(everything=True)


async def test_within_the_limits_nothing_is_gathered(root, monkeypatch):
    root.configure(ROOMY)
    await root.publish("a")
    asked = []
    monkeypatch.setattr(root.collector, "run", lambda: asked.append("run"))
    monkeypatch.setattr(root.collector, "plan", lambda: asked.append("plan"))
    await root.triggers.on_published()
    await root.triggers.wait_for_space()
    await root.triggers.run_idle()
    assert asked == []


async def test_what_is_left_over_goes_in_idleness_although_the_limits_are_met(root):
    root.configure(ROOMY)
    root.caches.items = [item("t", kind="trash"), item("p")]
    await root.triggers.run_idle()
    assert root.caches.removed == [], "the sums have nothing of it"
    await root.store.index.database.write(
        lambda connection: connection.execute("INSERT INTO disk_usage VALUES ('trash', 1000)")
    )
    await root.triggers.run_idle()
    assert root.caches.removed == ["t"]


async def test_a_root_of_an_older_version_is_only_reported_for_a_week(root):
    made = await root.publish("a")
    begins = from_timestamp(time.time() + 3 * DAY)
    await root.store.index.collection.put_state(BEGINS, begins)
    for _ in range(2):
        await root.triggers.on_published()
        await root.triggers.wait_for_space()
    assert await root.prefixes() == {made.id}
    events = [each for each in await root.store.index.events.list_since(0) if each.kind == "cache-to-collect"]
    assert [(each.fields["begins"], each.fields["steps"]) for each in events] == [(begins, 1)], "once a day"
    assert (await root.triggers.find_next()).begins == begins
    await root.collect()  # a person
    assert await root.prefixes() == set()


async def test_the_week_ends_although_the_clock_was_wrong(root):
    await root.store.index.collection.put_state(BEGINS, from_timestamp(time.time() + 4000 * DAY))
    assert await root.triggers.find_begin() < from_timestamp(time.time() + 8 * DAY)
    await root.store.index.collection.put_state(BEGINS, from_timestamp(time.time() - 1))
    assert await root.triggers.find_begin() is None


# -------------------------------------------------------------------- images
async def test_an_engine_without_images_of_roost_is_not_asked(root):
    await root.publish("a")
    await root.collect(everything=True)
    assert root.images.asked == 0


async def test_images_of_a_silent_engine_are_needed(root):
    image = await put_image(root, "i-1")
    root.images.uses = None
    assert (await root.collect(everything=True)).results == []
    root.images.uses = {"sha256:config": ("container:abc",)}
    assert (await root.collect(everything=True)).results == []
    root.images.uses = {}
    await root.collect(everything=True)
    assert root.images.removed == [image]


async def put_image(root, name):
    moment = from_timestamp(time.time() - DAY)
    await root.store.index.database.write(
        lambda connection: (
            connection.execute(
                "INSERT INTO artifacts (id, kind, key, platform, state, path, lease_path, bytes, shared_bytes, "
                "created, last_used, activation, guards) "
                "VALUES (?, 'image', 'k', 'linux-64', 'ready', 'roost/x:k', '', 5, 0, ?, ?, '[]', '[]')",
                (name, moment, moment),
            ),
        )
    )
    from roost.model.records import ImageRecord
    from roost.store.index.tables.images import put_image as put

    record = ImageRecord(
        key="k", config_digest="sha256:config", definition_digest="d", lock_digest="l", platform="linux-64",
        base_digest="b", name="roost/x:k",
    )  # fmt: skip
    await root.store.index.database.write(put, record)
    return name


def test_what_is_about_to_be_used_is_so_for_moments_only():
    assert HANDED_OUT_SECONDS <= 10
