"""What garbage collection costs: the plan, what a budget lets through, and a warm ``exec`` while much is removed.

    python -m tests.bench.bench_gc [--prefixes 1000] [--packages 100000] [--environments 200] [--removal-gb 10]

1. ``collect`` over that many prefixes with 300 packages each, and that many packages; and the same with the facts from
   an index of that size. Goal: 1 s.
2. That many environments of 1 MB are published under a budget of 20 MB, the least used going. Prints by how much the
   budget was exceeded at most; goal: the one that is being built.
3. With ``--removal-gb``: a root with prefixes of that size and one small environment, in which a command is started
   again and again, first alone, then while `roost cache gc --all` removes the rest. Goal: 15 % slower at most.
4. That many requests (``--requests 50``) come while prefixes of 4,000 files and packages are collected: how long the
   collection takes to stop, whatever it is doing then, and how much longer an answer of the index takes than without
   it. Goal: 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import random
import statistics
import subprocess
import tempfile
import time
from types import SimpleNamespace

import msgspec
from tests.bench.measuring import folder, line, timed
from tests.support.collection_root import NoImages
from tests.support.pip_index import PipIndex
from tests.support.roost_process import ROOST, new_roost
from tests.unit.daemon.gc.test_collector import EVERYTHING, Root

from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.reaping import REAP, ReapRequest
from roost.daemon.caches.remover import CacheRemover
from roost.daemon.config.config import Config
from roost.daemon.config.schema import CacheSettings, ConfigFile
from roost.daemon.config.source import ConfigSource
from roost.daemon.gc.collector import Collector
from roost.daemon.gc.gathering import FactsGatherer
from roost.daemon.gc.pauses import Pauses
from roost.daemon.gc.plan import collect
from roost.daemon.gc.values import CollectionFacts, CollectionLimits, StoredPrefix
from roost.daemon.jobs.holds import Holds
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.workers.pool import WorkerPool
from roost.model.caches import CacheItem
from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.store.artifacts.publish import FillResult
from roost.store.clock import from_timestamp
from roost.store.disk.file_ops import measure_tree
from roost.store.store import Store

LINKS = 300
MB = 1_000_000
FILE = 500_000


def facts_of(prefixes, packages):
    start = time.time() - 100 * 86400
    made = tuple(
        StoredPrefix(id=f"p-{n}", key=f"sha256:{n}", bytes=10 * MB, last_used=from_timestamp(start + n))
        for n in range(prefixes)
    )
    keys = {n: [] for n in range(packages)}
    for prefix in range(prefixes):
        for link in range(LINKS):
            keys[(prefix * 97 + link * 31) % packages].append(f"sha256:{prefix}")
    items = tuple(
        CacheItem(kind="package", id=f"i-{n}", bytes=MB, last_used=from_timestamp(start + n), linked_by=tuple(linked))
        for n, linked in keys.items()
    )
    return CollectionFacts(prefixes=made, items=items, free_bytes=10**9)


def measure_plan(prefixes, packages):
    facts, now = facts_of(prefixes, packages), from_timestamp(time.time())
    for name, budget in (("nothing goes", 10**18), ("half goes", packages * MB // 2), ("everything goes", 1)):
        wanted = CollectionLimits(budget_bytes=budget, prefix_days=14, package_days=7)
        taken, plans = zip(*[timed(collect, facts, wanted, now) for _ in range(5)], strict=True)
        line(f"plan: {name} ({len(plans[0].steps)})", taken, goal=1000)


async def measure_gathering(prefixes, packages, root_folder):
    """The facts of an index of that size and the plan of them, as a collection makes them."""
    store = await Store.open(root_folder)
    await store.index.database.write(fill_index, prefixes, packages)
    root = Root(store)
    root.configure(CacheSettings(budget_bytes=packages * MB // 2, min_free_bytes=0))
    root.caches.list_items = store.index.caches.list_items
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        await root.collector.plan()
        taken.append(time.perf_counter() - began)
    line("facts of an index, and plan", taken)
    await store.close()


def fill_index(connection, prefixes, packages):
    start = time.time() - 100 * 86400
    for n in range(prefixes):
        moment = from_timestamp(start + n)
        connection.execute(
            "INSERT INTO artifacts (id, kind, key, platform, state, path, lease_path, bytes, shared_bytes, created, "
            "last_used, activation, guards) VALUES (?, 'prefix', ?, 'linux-64', 'ready', ?, ?, ?, 0, ?, ?, '[]', '[]')",
            (f"p-{n}", f"sha256:{n}", f"/nowhere/{n}", f"/nowhere/{n}.lease", 10 * MB, moment, moment),
        )
        connection.executemany(
            "INSERT OR IGNORE INTO cache_uses (key, artifact) VALUES (?, ?)",
            [(f"k-{(n * 97 + link * 31) % packages}", f"p-{n}") for link in range(LINKS)],
        )
    connection.executemany(
        "INSERT INTO cached_files (id, kind, key, bytes, stamp, last_used) VALUES (?, 'package', ?, ?, 0, ?)",
        [(f"packages/{n}", f"k-{n}", MB, from_timestamp(start + n)) for n in range(packages)],
    )


async def measure_budget(environments, root_folder):
    """Publish environments under a budget of 20 of them; return the bytes beyond it, at most, in units of one."""
    store = await Store.open(root_folder)
    root = Root(store)
    root.configure(msgspec.structs.replace(EVERYTHING, budget_bytes=20 * MB))
    most = 0
    for number in range(environments):
        await root.triggers.wait_for_space()
        await publish(store, f"e{number}", 1)
        await age(store)
        most = max(most, measure_tree(store.layout.prefixes)[0])
        await root.triggers.on_published()
    await root.triggers.wait_for_space()
    left = measure_tree(store.layout.prefixes)[0]
    await store.close()
    print(f"budget of 20 MB, {environments} environments of 1 MB: {most / MB:.2f} MB at most, {left / MB:.2f} MB left")


async def age(store):
    """Let the time pass for which what was just published is about to be used."""
    moment = time.time() - 60
    for artifact in await store.index.artifacts.list_all():
        os.utime(artifact.lease_path, (moment, moment))
    await store.index.database.write(
        lambda connection: connection.execute("UPDATE artifacts SET last_used = ?", (from_timestamp(moment),))
    )


async def publish(store, name, megabytes, files=0):
    package = CondaPackage(
        name=name, version="1", build="0", subdir="noarch", file_name=f"{name}.conda", url="u",
        sha256=name.encode().hex().ljust(64, "0"),
    )  # fmt: skip

    async def fill(path):
        await asyncio.to_thread(write_files, path, megabytes)
        await asyncio.to_thread(write_small, path, files)
        return FillResult()

    lock = Lock(platform="linux-64", provider=CondaPython(), conda=(package,))
    return await store.artifacts.publish_prefix(lock=lock, generation=None, build_id="b", fill=fill)


def write_small(path, files):
    for number in range(files):
        folder = os.path.join(path, f"f{number // 100}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, str(number)), "wb") as stream:
            stream.write(b"x" * 20_000)


def write_files(path, megabytes):
    for number in range(megabytes * MB // FILE):
        with open(f"{path}/{number}", "wb") as stream:
            stream.write(os.urandom(FILE))


class Delays:
    """Requests that come while everything in a root is collected by the parts of the daemon."""

    def __init__(self, store):
        self.store = store
        pool = WorkerPool(store.layout.workers)
        engines = SimpleNamespace(holds=Holds(), workers=pool)
        self.pool, self.lifecycle = pool, Lifecycle(0)
        self.running = self.doing = None
        caches = CacheRemover(store.layout, store.index, engines, self.reap)
        root = store.layout.root
        source = ConfigSource(dataclasses.replace(Config(), settings=ConfigFile(cache=EVERYTHING)))
        gatherer = FactsGatherer(root, store.index, store.artifacts, caches, NoImages())
        pauses = Pauses(self.lifecycle)
        run = pauses.run

        async def run_noted(step):
            async def noted():
                self.running = asyncio.current_task()
                self.doing = step.args[0].kind
                return await step()

            return await run(noted)

        pauses.run = run_noted
        self.collector = Collector(root, source, gatherer, store.artifacts, caches, NoImages(), pauses)
        self.stops, self.answers, self.alone = {}, [], []

    async def reap(self, path, shrinks):
        self.doing = f"deletion of a {self.doing.split()[-1]}"
        return await self.pool.run(REAP, ReapRequest(path=path, shrinks=shrinks))

    async def fill(self, number):
        for which in range(3):
            await publish(self.store, f"p{number}-{which}", 0, files=4000)
        for which in range(3):
            for path in (f"wheels/uv/archive-v0/{number}-{which}", f"packages/conda/packages/p{number}-1-{which}"):
                target = os.path.join(self.store.layout.root, path, "info")
                os.makedirs(target)
                write_small(target, 1000)
        await age(self.store)
        await CacheLedger(self.store.layout, self.store.index).take_inventory()

    async def request(self):
        began = time.perf_counter()
        await self.store.index.pins.add("p-nothing")
        return time.perf_counter() - began

    async def measure(self, requests):
        number = 0
        while len(self.answers) < requests:
            number += 1
            await self.fill(number)
            self.alone += [await self.request() for _ in range(10)]
            collecting = asyncio.create_task(self.collect())
            while not collecting.done() and len(self.answers) < requests:
                await asyncio.sleep(0.001)
                if self.running is not None and not self.running.done():
                    await asyncio.wait([self.running], timeout=random.uniform(0, 0.25))
                    half = "prefix" in self.doing or len(self.answers) < requests // 2
                    if not self.running.done() and half:
                        await self.interrupt()
            await collecting
        await self.pool.close()

    async def interrupt(self):
        running, doing, began = self.running, self.doing, time.perf_counter()
        self.lifecycle.touch()
        answer = asyncio.create_task(self.request())
        await asyncio.wait([running])
        self.stops.setdefault(doing, []).append(time.perf_counter() - began)
        self.answers.append(await answer)

    async def collect(self):
        async for _ in self.collector.run(everything=True):
            pass


async def measure_delays(requests, root_folder):
    """Print how long a collection delays requests; the last of each line is the worst."""
    store = await Store.open(root_folder)
    delays = Delays(store)
    await delays.measure(requests)
    for kind, taken in sorted(delays.stops.items()):
        line(f"stop: {kind}", taken, goal=100)
    every = [seconds for taken in delays.stops.values() for seconds in taken]
    line("stop of a collection", every, goal=100)
    line("a request alone", delays.alone)
    line("a request that stops one", delays.answers)
    print(f"the worst: stop {max(every) * 1000:.1f} ms, request {max(delays.answers) * 1000:.1f} ms")
    await store.close()


def measure_removal(gigabytes):
    index = PipIndex()
    index.wheel("greet", "1.0")
    roost = new_roost()
    try:
        roost.config.write_text(f'[pip]\nindex_url = "{index.url}"\n')
        roost.write("requirements.txt", "greet\n")
        roost.ok("exec", "--", "true")
        roost.ok("cache", "pin", roost.json("plan")["lock_digest"])
        roost.stop()
        asyncio.run(fill_root(str(roost.root), gigabytes))
        roost.ok("exec", "--", "true")
        environ = roost.environ

        def start():
            subprocess.run([ROOST, "exec", "--", "true"], cwd=roost.folder, env=environ, check=True)

        alone = [timed(start)[0] for _ in range(200)]
        collecting = roost.start("cache", "gc", "--all", "--json")
        began, beside = time.monotonic(), []
        while collecting.poll() is None:
            beside.append(timed(start)[0])
        seconds = time.monotonic() - began
        line("exec alone", alone)
        line("exec while removing", beside)
        slower = statistics.median(beside) / statistics.median(alone) - 1
        print(f"{gigabytes} GB removed in {seconds:.1f} s; exec is {slower:.1%} slower   goal 15 %")
    finally:
        roost.end()
        index.close()


async def fill_root(path, gigabytes):
    store = await Store.open(path)
    for number in range(gigabytes):
        await publish(store, f"big{number}", 1000)
    await age(store)
    await store.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefixes", type=int, default=1000)
    parser.add_argument("--packages", type=int, default=100_000)
    parser.add_argument("--environments", type=int, default=200)
    parser.add_argument("--removal-gb", type=int, default=0)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--only-delays", action="store_true", help="measure 4 only")
    options = parser.parse_args()
    if options.only_delays:
        with folder() as place, tempfile.TemporaryDirectory(dir=place) as root:
            asyncio.run(measure_delays(options.requests, root))
        return
    measure_plan(options.prefixes, options.packages)
    with folder() as place, tempfile.TemporaryDirectory(dir=place) as root:
        asyncio.run(measure_gathering(options.prefixes, options.packages, root))
    with folder() as place, tempfile.TemporaryDirectory(dir=place) as root:
        asyncio.run(measure_budget(options.environments, root))
    with folder() as place, tempfile.TemporaryDirectory(dir=place) as root:
        asyncio.run(measure_delays(options.requests, root))
    if options.removal_gb:
        measure_removal(options.removal_gb)


if __name__ == "__main__":
    main()
