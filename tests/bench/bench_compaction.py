"""How long readers and writers wait while the index is made smaller.

    python -m tests.bench.bench_compaction [--count 1000000] [--folder DIR]

Fills an index with that many definitions (about a kilobyte each), nine of ten without a reference, and as many builds
for a tenth of them; then deletes by age and gives the free pages back, copies the index, and checkpoints its WAL, while
a reader and a writer ask again and again. Prints the size before and after, and the median, the 99th percentile and the
longest wait of both in each phase. Goal: 50 ms at most. At last, the time that writing the whole index anew takes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import statistics
import time
import zlib
from collections.abc import Awaitable, Callable

from tests.bench.measuring import folder

from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile
from roost.daemon.config.source import ConfigSource
from roost.daemon.retention.ages import AgeLimits
from roost.daemon.retention.compaction import Compaction
from roost.daemon.retention.index_copy import IndexCopy
from roost.model.records import StepObservation
from roost.store.clock import utc_now
from roost.store.store import Store

OLD = "2020-01-01T00:00:00.000000Z"
PLATFORM = "linux-64"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def fill(connection: sqlite3.Connection, start: int, stop: int) -> None:
    form = zlib.compress(os.urandom(700))
    connection.executemany(
        "INSERT INTO definitions (id, digest, canonical, created) VALUES (?, ?, ?, ?)",
        [(number + 1, digest(number), form, OLD) for number in range(start, stop)],
    )
    connection.executemany(
        "INSERT INTO sightings (definition, name, source) VALUES (?, ?, '')",
        [(number + 1, f"n{number}") for number in range(start, stop)],
    )
    connection.executemany(
        "INSERT INTO builds (id, state, definition_digest, created, record) VALUES (?, 'succeeded', ?, ?, ?)",
        [(f"b-{number}", digest(number), OLD, b"{}") for number in range(start, stop, 10)],
    )
    connection.executemany(
        "INSERT INTO bodies (digest, definition_digest, settings_digest, body) VALUES (?, ?, '', x'')",
        [(f"body-{number}", digest(number)) for number in range(start, stop, 10)],
    )


async def ask(query: Callable[[int], Awaitable[object]], waits: list[float], stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        began = time.perf_counter()
        await query(number)
        waits.append(time.perf_counter() - began)
        number += 1
        await asyncio.sleep(0.002)


async def measure(store: Store, name: str, work: Callable[[], Awaitable[object]], count: int) -> None:
    stop, reads, writes = asyncio.Event(), [], []
    readers = [
        asyncio.create_task(ask(lambda n: store.index.load_facts(digest(n * 7919 % count), PLATFORM), reads, stop)),
        asyncio.create_task(
            ask(lambda n: store.index.durations.record(StepObservation(step="solve", seconds=n)), writes, stop)
        ),
    ]
    began = time.perf_counter()
    result = await work()
    seconds = time.perf_counter() - began
    stop.set()
    await asyncio.gather(*readers)
    print(f"{name}: {seconds:.1f} s{f', {result} rows' if isinstance(result, int) else ''}")
    for kind, waits in (("read", reads), ("write", writes)):
        ordered = sorted(waits)
        high = ordered[int(len(ordered) * 0.99)]
        print(
            f"  {kind}: median {statistics.median(ordered) * 1e3:.2f} ms, p99 {high * 1e3:.1f} ms, "
            f"longest {ordered[-1] * 1e3:.1f} ms of {len(ordered)}"
        )


async def run(root: str, count: int) -> None:
    store = await Store.open(root)
    index = store.index
    limits = AgeLimits(store, ConfigSource(Config(settings=ConfigFile())))
    step = 20_000
    for start in range(0, count, step):
        await index.database.write(fill, start, min(count, start + step))
    await index.database.checkpoint()
    print(f"{count:,} definitions, {os.path.getsize(store.layout.index_path) / 1e6:.0f} MB")

    async def nothing() -> None:
        await asyncio.sleep(5)

    await measure(store, "nothing", nothing, count)
    await measure(store, "copy of the index", IndexCopy(store.layout).run, count)
    await measure(store, "deletion of builds", lambda: limits.delete_builds(utc_now()), count)
    await measure(store, "deletion of definitions", lambda: limits.delete_definitions(utc_now()), count)
    await measure(store, "compaction and checkpoint", Compaction(index).run, count)
    print(f"{os.path.getsize(store.layout.index_path) / 1e6:.0f} MB afterwards")
    await store.close()
    connection = sqlite3.connect(f"{root}/index.db.copy", isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("VACUUM")
    began = time.perf_counter()
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA auto_vacuum = 2")
    connection.execute("VACUUM")
    connection.close()
    size = os.path.getsize(f"{root}/index.db.copy") / 1e6
    print(f"writing {size:.0f} MB anew, once after an upgrade: {time.perf_counter() - began:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--folder")
    options = parser.parse_args()
    if options.folder:
        asyncio.run(run(options.folder, options.count))
        return
    with folder() as root:
        asyncio.run(run(root, options.count))


if __name__ == "__main__":
    main()
