"""A whole plan for a known definition inside the daemon, with few definitions in the index and with many.

    python -m tests.bench.bench_plan [--counts 1000,1000000] [--plans 5000] [--folder DIR]

Reads and digests a real environment file, gathers the facts, checks the prefix for drift and decides: what
``POST /v1/plans`` does, without the socket. Prints median and 99th percentile in milliseconds, and the ratio between
the largest and the smallest index. The indexes are those of bench_index.py (a --folder is kept and used again).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import time

from tests.bench.bench_index import filled
from tests.bench.measuring import folder, line

from roost.daemon.config.config import Config
from roost.daemon.config.source import ConfigSource
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolve import resolve
from roost.daemon.definitions.stamps import stamp
from roost.daemon.engines.engine_set import Engines
from roost.daemon.planning.planner import Planner
from roost.daemon.workers.pool import WorkerPool
from roost.model.locks.lock import CondaPython, Lock
from roost.model.records import FileStamp, NewGeneration
from roost.store.artifacts.publish import FillResult
from roost.store.disk.layout import Layout
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector

PACKAGES = "\n".join(f"  - package-{n}>={n}" for n in range(26))
FILE = f"name: bench\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n{PACKAGES}\n"


async def prepared(place, count):
    """A store over a filled index, in which the definition of ``FILE`` is known and its prefix ready."""
    root = os.path.join(place, f"root-{count}")
    os.makedirs(root, exist_ok=True)
    index = await filled(place, count)
    await index.close()
    for suffix in ("", "-wal", "-shm"):
        source = os.path.join(place, f"index-{count}.db{suffix}")
        if os.path.exists(source) and not os.path.exists(os.path.join(root, f"index.db{suffix}")):
            os.link(source, os.path.join(root, f"index.db{suffix}"))
    return root


async def publish(root):
    """Recovery would drop the filled index's rows, whose prefixes do not exist: open without it."""
    from roost.store.index.index import Index

    layout = Layout(root)
    layout.make_folders()
    return Store(layout, await Index.open(layout.index_path), None, None)


async def plans(store, number, path):
    source = ConfigSource(Config())
    planner = Planner(store, Engines(store.layout, source), source)
    what = EnvironmentSelector(cwd=os.path.dirname(path))
    resolved = (await resolve(what, planner.defaults, workers=WorkerPool(store.layout.workers))).for_prefix()
    await store.index.definitions.record_sighting(resolved.digest, resolved.canonical, "bench", path)
    lock = Lock(platform=resolved.platform, provider=CondaPython(), system={"__bench": path})
    new = NewGeneration(definition_digest=resolved.digest, platform=resolved.platform)

    async def fill(prefix):
        python = os.path.join(prefix, "python")
        await asyncio.to_thread(shutil.copy, sys.executable, python)
        return FillResult(stamps=(FileStamp(path=python, identity=stamp(python)),) * 5)

    await store.artifacts.publish_prefix(lock=lock, generation=new, build_id="b", fill=fill)
    seconds = []
    for _ in range(number):
        started = time.perf_counter()
        resolved = (await resolve(what, planner.defaults, workers=WorkerPool(store.layout.workers))).for_prefix()
        planned = await planner.plan(resolved, Request(definition=resolved.definition), what)
        seconds.append(time.perf_counter() - started)
        assert planned.plan.action == "reuse-prefix"
    return seconds


async def measure(counts, number, kept):
    with folder(kept) as place:
        path = os.path.join(place, "environment.yml")
        with open(path, "w") as file:
            file.write(FILE)
        stores = {count: await publish(await prepared(place, count)) for count in counts}
        taken = {count: [] for count in counts}
        for _ in range(5):
            for count in counts:
                taken[count] += (await plans(stores[count], number // 5 + 50, path))[50:]
        medians = {count: line(f"plan, {count:,}", seconds) for count, seconds in taken.items()}
        print(f"{'ratio of medians':<28} {medians[max(counts)] / medians[min(counts)]:.2f}")
        for store in stores.values():
            await store.index.close()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--counts", default="1000,1000000")
parser.add_argument("--plans", type=int, default=5000)
parser.add_argument("--folder", help="where to put the indexes (about 2 GB for 1,000,000)")

if __name__ == "__main__":
    arguments = parser.parse_args()
    asyncio.run(measure([int(count) for count in arguments.counts.split(",")], arguments.plans, arguments.folder))
