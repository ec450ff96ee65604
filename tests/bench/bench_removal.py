"""What a removal from the caches costs others, and how fast it ends for a request.

    python -m tests.bench.bench_removal [MEGABYTES] [ROUNDS]

Prints how much longer a warm `roost exec` takes while files are deleted, in pairs (the goal: 15 % at most), how fast
they go, how long a cancellation takes to end the deletion (100 ms at most), and what the sums, the list of items and
the look at /proc take with 100,000 packages and 1,000 prefixes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.measuring import ending_process, line
from tests.support.installed import Installed

from roost.daemon.caches.reaping import REAP, ReapRequest
from roost.daemon.workers.pool import WorkerPool
from roost.model.caches import CachedFile
from roost.store.disk.process_uses import find_process_uses
from roost.store.index.index import Index

COMMAND = ("exec", "--", "python", "-c", "pass")
FILE_BYTES = 50_000
"""The mean of 12,000 files of scientific packages."""
EXECS = 15
"""In each half of a pair."""


class Removal:
    """Deletes trees one after the other in a worker, as the daemon does, from a thread with a loop of its own."""

    def __init__(self, folder: Path) -> None:
        self.freed, self.seconds, self.cancelled = 0, 0.0, list[float]()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._pool = WorkerPool(str(folder))

    def start(self, trees: list[Path]) -> asyncio.Task[None]:
        made = asyncio.run_coroutine_threadsafe(self._begin(trees), self._loop)
        return made.result()

    async def _begin(self, trees: list[Path]) -> asyncio.Task[None]:
        return asyncio.create_task(self._delete(trees))

    async def _delete(self, trees: list[Path]) -> None:
        for tree in trees:
            began = time.perf_counter()
            self.freed += await self._pool.run(REAP, ReapRequest(path=str(tree), shrinks=False))
            self.seconds += time.perf_counter() - began

    def cancel(self, task: asyncio.Task[None]) -> None:
        async def end() -> None:
            began = time.perf_counter()
            task.cancel()
            await asyncio.wait([task])
            self.cancelled.append(time.perf_counter() - began)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._pool.close(), self._loop).result()


def make_trees(folder: Path, megabytes: int, count: int) -> list[Path]:
    """``count`` trees of that size in all, in folders of 100 files."""
    block, made = os.urandom(FILE_BYTES), []
    for number in range(count):
        tree = folder / f"tree-{number}"
        for index in range(megabytes * 1_000_000 // FILE_BYTES // count):
            target = tree / str(index // 100)
            if index % 100 == 0:
                target.mkdir(parents=True)
            (target / str(index)).write_bytes(block)
        made.append(tree)
    os.sync()
    return made


def execute(roost: Installed) -> float:
    began = time.perf_counter()
    subprocess.run([str(roost.bin / "roost"), *COMMAND], cwd=roost.work, env=roost.environ, check=True)
    return time.perf_counter() - began


def measure_execs(roost: Installed, megabytes: int, rounds: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="removal-", dir=roost.base))
    os.mkdir(folder / "workers")
    removal = Removal(folder / "workers")
    trees = make_trees(folder, megabytes, rounds * 20)
    alone: list[float] = []
    beside: list[float] = []
    ratios: list[float] = []
    for number in range(rounds):
        before = [execute(roost) for _ in range(EXECS)]
        task = removal.start(trees[number * 20 : number * 20 + 20])
        during: list[float] = []
        while len(during) < EXECS and not task.done():
            during.append(execute(roost))
        if not task.done():
            removal.cancel(task)
        alone += before
        beside += during
        ratios.append(statistics.median(during) / statistics.median(before))
        os.sync()
    removal.close()
    line("exec alone", alone)
    line("exec while files go", beside)
    print(f"ratio of the medians of pairs: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")
    if removal.seconds:
        print(f"freed {removal.freed / removal.seconds / 1e6:,.0f} MB/s in trees that went to their end")
    if removal.cancelled:
        line("end of a cancelled deletion", removal.cancelled, goal=100)
    shutil.rmtree(folder)


async def measure_index(packages: int, prefixes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = await Index.open(os.path.join(folder, "index.db"))
        for start in range(0, packages, 10_000):
            await index.caches.put(
                CachedFile(id=f"packages/{n}", kind="package", key=f"conda:{n}", bytes=1, stamp=1, last_used="t")
                for n in range(start, min(start + 10_000, packages))
            )

        def use(connection) -> None:
            connection.executemany(
                "INSERT INTO artifacts (id, kind, key, platform, state, path, lease_path, bytes, shared_bytes, created,"
                " last_used, activation, guards) VALUES (?, 'prefix', ?, '', 'ready', ?, '', 1, 0, '', '', '[]', '[]')",
                [(f"p{n}", f"sha256:{n:064x}", f"/p{n}") for n in range(prefixes)],
            )
            connection.executemany(
                "INSERT INTO cache_uses (key, artifact) VALUES (?, ?)",
                [(f"conda:{(n * 97 + m) % packages}", f"p{n}") for n in range(prefixes) for m in range(100)],
            )

        await index.database.write(use)
        taken: dict[str, list[float]] = {"sums": [], "list": [], "names": []}
        for _ in range(20):
            began = time.perf_counter()
            await index.collection.map_usage()
            taken["sums"].append(time.perf_counter() - began)
        for _ in range(5):
            began = time.perf_counter()
            items = await index.caches.list_items()
            taken["list"].append(time.perf_counter() - began)
            assert len(items) == packages
            began = time.perf_counter()
            await index.caches.map_stamps()
            taken["names"].append(time.perf_counter() - began)
        await index.close()
    for name, values in taken.items():
        line(f"{name} of {packages:,} items", values)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    asyncio.run(measure_index(100_000, 1_000))
    looks = []
    for _ in range(10):
        began = time.perf_counter()
        find_process_uses(["/nowhere/prefixes/a", "/nowhere/prefixes/b"])
        looks.append(time.perf_counter() - began)
    line(f"look at {sum(name.isdigit() for name in os.listdir('/proc'))} processes", looks)
    roost = Installed()
    try:
        assert roost("build").returncode == 0
        execute(roost)
        execute(roost)
        assert roost.plans()
        measure_execs(roost, megabytes, rounds)
    finally:
        roost.remove()


if __name__ == "__main__":
    with ending_process():
        main()
