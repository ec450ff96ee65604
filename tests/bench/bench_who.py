"""Where a package is used, over many locks, asked of a daemon over its socket: goal 100 ms for the count and 100 rows.

    python -m tests.bench.bench_who [--locks 100000] [--packages 200] [--asks 15] [--folder DIR]

Fills an index: each lock with that many packages (numpy in all of them, in twenty versions of two builds), a generation
of a definition of its own, a version of an environment and a run; images and prefixes of some. Then asks for a package
that is everywhere, for half its versions, for one, for a rare package and for none. Prints median and 99th percentile,
the daemon's memory, bytes for each pair of lock and package, and what it adds to keeping a lock (goal: below 2 ms, in
pairs with and without it). A --folder is kept and used again by the next run (300 MB for 100,000 locks).
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import sys
import time
import zlib
from urllib.parse import quote

import msgspec
from tests.bench.bench_index import NOW, PLATFORM, digest
from tests.bench.measuring import folder, in_turns, line, served, timed

from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.model.records import ImageRecord, RunRecord
from roost.store.index.packages import SPAN_BITS
from roost.store.index.tables import locks as lock_queries
from roost.store.store import Store

NAMES = 3000
BUILDS = 40
EVERYWHERE = 20
RARE = "rare"
ASKS = {
    "numpy": "numpy",
    "half of numpy": "numpy<1.30",
    "one numpy": "numpy==1.26.0",
    "numpy=1.26, conda's way": "numpy=1.26",
    "rare": RARE,
    "none": "unheard-of",
}
GOAL = 100


def packages():
    """``(id, name's id, name, version, build)``; name 0 is numpy, and the first few are in every lock."""
    for name in range(NAMES + 1):
        text = {0: "numpy", NAMES: RARE}.get(name, f"package-{name}")
        for number in range(BUILDS):
            yield name * BUILDS + number + 1, name + 1, text, f"1.{20 + number // 2}.0", f"py31{number % 2}_0"


def chosen(random_, count):
    """The names of one lock: some everywhere, others the oftener the smaller their number."""
    names = set(range(EVERYWHERE))
    while len(names) < count:
        names.update(random_.choices(range(NAMES), cum_weights=WEIGHTS, k=count - len(names)))
    return names


WEIGHTS = list(itertools.accumulate((number + 1) ** -0.8 for number in range(NAMES)))


def names(connection):
    rows = list(packages())
    connection.executemany("INSERT OR IGNORE INTO package_names VALUES (?, ?)", {(row[1], row[2]) for row in rows})
    connection.executemany("INSERT INTO packages VALUES (?, ?, 'conda', ?, ?, ?)", rows)


def locks(connection, start, stop, count, seed):
    """All that belongs to the locks from ``start`` to below ``stop``."""
    random_ = random.Random(seed)
    body = zlib.compress(b"{}")
    for number in range(start, stop):
        lock, definition = digest("lock", number), digest("definition", number)
        environment(connection, number, definition)
        connection.execute("INSERT INTO locks VALUES (?, ?, ?, ?, ?)", (number + 1, lock, PLATFORM, body, NOW))
        held = [*chosen(random_, count), *([NAMES] if number % 5000 == 7 else [])]
        connection.executemany(
            "INSERT INTO contents VALUES (?, ?, ?, ?, 0)",
            [
                (number + 1 >> SPAN_BITS, name + 1, number + 1, name * BUILDS + random_.randrange(BUILDS) + 1)
                for name in held
            ],
        )
        connection.execute(
            "INSERT INTO generations VALUES (?, ?, 1, ?, ?, 1, NULL, NULL, NULL)", (definition, PLATFORM, lock, NOW)
        )
        uses(connection, number, definition, lock)


def environment(connection, number, definition):
    name, version = number // 100, number % 100 + 1
    if version == 1:
        connection.execute("INSERT INTO environments VALUES (?, ?, ?, 0)", (name + 1, f"environment-{name}", NOW))
    row = (number + 1, digest("body", number), definition, digest("settings", 1), b"")
    connection.execute("INSERT INTO bodies VALUES (?, ?, ?, ?, ?)", row)
    row = (name + 1, version, number + 1, "system-managed", NOW)
    connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, 0, NULL)", row)


def uses(connection, number, definition, lock):
    run = RunRecord(
        id=f"r-{number}", state="succeeded", target="local", command=("python", "train.py"), cwd="/", created=NOW,
        definition_digest=definition, settings_digest=digest("settings", 1), lock_digest=lock,
        environment_name=f"environment-{number // 100}", environment_version=number % 100 + 1,
    )  # fmt: skip
    connection.execute(
        "INSERT INTO runs (id, state, definition_digest, lock_digest, created, record) VALUES (?, ?, ?, ?, ?, ?)",
        (run.id, run.state, definition, lock, NOW, msgspec.json.encode(run)),
    )
    if number % 50 == 0:
        image = ImageRecord(
            key=digest("image", number), config_digest=digest("config", number), definition_digest=definition,
            lock_digest=lock, platform=PLATFORM, base_digest=digest("base", 1), name="roost/bench",
        )  # fmt: skip
        row = (image.key, image.config_digest, definition, lock, NOW, msgspec.json.encode(image))
        connection.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?, ?)", row)


def prefixes(store, count):
    """A few, with the folders that recovery looks for."""
    rows = []
    for number in range(0, count, max(1, count // 300)):
        path = os.path.join(store.layout.prefixes, f"bench-{number}")
        os.mkdir(path)
        lease = store.layout.lease_of(path)
        with open(lease, "w"):
            pass
        rows.append((f"p-{number}", digest("lock", number), PLATFORM, path, lease, NOW, NOW))
    return rows


def add_prefixes(connection, rows):
    connection.executemany(
        "INSERT INTO artifacts VALUES (?, 'prefix', ?, ?, 'ready', ?, ?, 1, 1, ?, ?, '[]', '[]', 'b')", rows
    )


async def fill(root, count, each):
    store = await Store.open(root)
    if not await store.index.packages.list_versions("numpy"):
        began = time.perf_counter()
        await store.index.database.write(names)
        for start in range(0, count, 5_000):
            await store.index.database.write(locks, start, min(count, start + 5_000), each, start)
        await store.index.database.write(add_prefixes, await asyncio.to_thread(prefixes, store, count))
        print(f"filled {count:,} locks in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    await store.close()


def new_lock(random_, number, each):
    packages = tuple(
        CondaPackage(
            name=f"package-{name}", version=f"1.{20 + random_.randrange(20)}.0", build="py311_0", subdir=PLATFORM,
            file_name=f"package-{name}.conda", url="https://example.org/package.conda", sha256=f"{number:064x}",
            record={"depends": ["python >=3.11,<3.12.0a0", "python_abi 3.11.*"], "timestamp": number},
        )
        for name in sorted(chosen(random_, each))
    )  # fmt: skip
    return Lock(platform=PLATFORM, provider=CondaPython(), conda=packages)


async def keeping(root, each, pairs):
    """Seconds that keeping a lock takes without and with the index of its packages, in turns."""
    store, random_ = await Store.open(root), random.Random(os.urandom(8))  # a kept folder has those of the last run
    taken = {"keep a lock, unindexed": [], "keep a lock": []}
    whole = lock_queries.add_contents
    for _ in range(pairs):
        for name, add in zip(taken, (lambda *ignored: None, whole), strict=True):
            lock = new_lock(random_, random_.getrandbits(200), each)
            lock_queries.add_contents = add
            began = time.perf_counter()
            await store.index.locks.put(lock)
            taken[name].append(time.perf_counter() - began)
    medians = [line(name, seconds) for name, seconds in taken.items()]
    means = [sum(seconds) / pairs for seconds in taken.values()]
    print(f"{'the index adds':<28} median {(medians[1] - medians[0]) * 1000:8.3f} ms   ", end="")
    print(f"mean {(means[1] - means[0]) * 1000:.3f} ms   goal 2 ms")
    await store.close()


async def size(root, pairs):
    store = await Store.open(root)

    def pages(connection):
        query = "SELECT sum(pgsize) FROM dbstat WHERE name = 'contents'"
        return connection.execute(query).fetchone()[0]

    whole = os.path.getsize(store.layout.index_path)
    print(f"index.db {whole / 1e6:.0f} MB, of it packages by lock {await store.index.database.scan(pages) / pairs:.1f} "
          f"bytes for each of {pairs:,} pairs")  # fmt: skip
    await store.close()


def ask(root, asks, count):
    with served(root) as daemon:
        print(f"daemon's memory before: {daemon.resident():.1f} MiB")
        first, answer = timed(daemon.get, "/v1/who?package=numpy")
        assert answer["counts"]["locks"] == answer["counts"]["environments"] == count
        assert len(answer["environments"]) == len(answer["runs"]) == min(100, count)
        routes = {name: f"/v1/who?package={quote(spec)}" for name, spec in ASKS.items()}
        spec = timed(daemon.get, routes["half of numpy"])[0]
        print(f"first answer {first * 1000:.0f} ms, first with versions {spec * 1000:.0f} ms (imports rattler)")
        actions = {name: (lambda route=route: daemon.get(route)) for name, route in routes.items()}
        for name, seconds in in_turns(actions, asks).items():
            line(f"who: {name}", seconds, GOAL)
        for name in ("numpy", "half of numpy"):
            before = daemon.worked()
            for _ in range(asks):
                daemon.get(routes[name])
            print(f"the daemon worked for each answer, {name}: {(daemon.worked() - before) / asks * 1000:.1f} ms")
        print(f"daemon's memory after: {daemon.resident():.1f} MiB")


def main(count, each, asks, kept):
    with folder(kept) as place:
        root = os.path.join(place, f"r{count}")
        os.makedirs(root, mode=0o700, exist_ok=True)
        asyncio.run(fill(root, count, each))
        ask(root, asks, count)
        asyncio.run(size(root, count * each))
        asyncio.run(keeping(root, each, 150))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--locks", type=int, default=100_000)
parser.add_argument("--packages", type=int, default=200)
parser.add_argument("--asks", type=int, default=15)
parser.add_argument("--folder", help="where to put the index, to keep it")

if __name__ == "__main__":
    arguments = parser.parse_args()
    main(arguments.locks, arguments.packages, arguments.asks, arguments.folder)
