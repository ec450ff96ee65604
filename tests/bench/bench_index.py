"""What the index costs a plan, with few definitions and with many.

    python -m tests.bench.bench_index [--counts 1000,1000000] [--plans 5000] [--folder DIR]

Fills an index with that many definitions, each with a lock, a generation and a ready prefix, through SQL in bulk; then
asks for the facts of random known definitions, one after the other, as plans do. Prints median and 99th percentile of
the whole call (with its hop to the index's thread) in milliseconds, the same without the hop, and the ratio between
the largest and the smallest. A --folder is kept, and used again by the next run.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import sys
import time
import zlib

import msgspec
from tests.bench.measuring import folder, line

from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.model.records import StepObservation
from roost.store.index.index import Index
from roost.store.index.transactions import load_facts

STEPS = ("solve", "lock-pip", "download", "link", "pip", "bytecode", "scripts", "sync", "publish")
PLATFORM = "linux-64"
NOW = "2026-01-01T00:00:00.000000Z"


def digest(kind, number):
    return "sha256:" + hashlib.sha256(f"{kind}{number}".encode()).hexdigest()


def canonical(number):
    definition = {
        "format": 1,
        "conda": {"channels": ["conda-forge"], "dependencies": ["python=3.11", "numpy", f"package-{number}"]},
        "pip": {"requirements": [{"kind": "requirement", "text": f"six==1.{number}"}]},
    }
    return zlib.compress(json.dumps(definition).encode())


def lock_body():
    packages = tuple(
        CondaPackage(
            name=f"p{n}", version="1.0", build="0", subdir=PLATFORM, file_name=f"p{n}-1.0-0.conda",
            url=f"https://example.org/p{n}-1.0-0.conda", sha256=hashlib.sha256(str(n).encode()).hexdigest(),
        )
        for n in range(40)
    )  # fmt: skip
    return zlib.compress(msgspec.json.encode(Lock(platform=PLATFORM, provider=CondaPython(), conda=packages)))


def fill(connection, start, stop):
    body = lock_body() if stop <= 1000 else zlib.compress(b"{}")  # a plan asks whether the body is there, not for it
    for number in range(start, stop):
        definition, lock = digest("definition", number), digest("lock", number)
        connection.execute(
            "INSERT INTO definitions VALUES (?, ?, ?, ?)", (number + 1, definition, canonical(number), NOW)
        )
        connection.execute(
            "INSERT INTO sightings VALUES (?, ?, ?, ?)", (number + 1, number + 1, "train", f"/project/{number}/e.yml")
        )
        connection.execute("INSERT INTO locks VALUES (?, ?, ?, ?, ?)", (number + 1, lock, PLATFORM, body, NOW))
        connection.execute(
            "INSERT INTO generations (definition_digest, platform, number, lock_digest, created, current)"
            " VALUES (?, ?, 1, ?, ?, 1)",
            (definition, PLATFORM, lock, NOW),
        )
        connection.execute(
            "INSERT INTO artifacts (id, kind, key, platform, state, path, lease_path, bytes, shared_bytes, created,"
            " last_used, activation, guards, build_id)"
            " VALUES (?, 'prefix', ?, ?, 'ready', ?, '', 1, 1, ?, ?, '[]', '[]', 'b')",
            (f"p-{number}", lock, PLATFORM, f"/r/prefixes/{number}", NOW, NOW),
        )


async def filled(place, count):
    path = os.path.join(place, f"index-{count}.db")
    there = os.path.exists(path)
    index = await Index.open(path)
    if there:
        return index
    started = time.perf_counter()
    for start in range(0, count, 20_000):
        await index.database.write(fill, start, min(count, start + 20_000))
    for step in STEPS:
        for _ in range(15):
            await index.durations.record(StepObservation(step=step, seconds=1.0))
    print(f"filled {count:,} definitions in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return index


async def plans(index, count, number):
    """Seconds of each of ``number`` calls of ``load_facts`` for random known definitions."""
    chosen = random.Random(1)
    seconds = []
    for _ in range(number):
        definition = digest("definition", chosen.randrange(count))
        started = time.perf_counter()
        facts = await index.load_facts(definition, PLATFORM)
        seconds.append(time.perf_counter() - started)
        assert facts.known
        assert facts.lock_known
        assert facts.artifact is not None
    return seconds


def alone(connection, chosen):
    """Seconds of each query on the index's own thread: what the machine's scheduler adds to a hop is left out."""
    seconds = []
    for definition in chosen:
        started = time.perf_counter()
        load_facts(connection, definition, PLATFORM)
        seconds.append(time.perf_counter() - started)
    return seconds


async def measure(counts, number, kept):
    with folder(kept) as place:
        indexes = {count: await filled(place, count) for count in counts}
        taken = {count: [] for count in counts}
        for count in counts:  # once through, so that neither pays for the first use of its pages
            await plans(indexes[count], count, number)
        for _ in range(5):  # in turns, so that a busy moment of the machine meets both
            for count in counts:
                taken[count] += await plans(indexes[count], count, number // 5)
        medians = {count: line(f"facts, {count:,}", seconds) for count, seconds in taken.items()}
        print(f"{'ratio of medians':<28} {medians[max(counts)] / medians[min(counts)]:.2f}")
        for count in counts:
            chosen = [digest("definition", random.Random(n).randrange(count)) for n in range(number)]
            line(f"without hop, {count:,}", await indexes[count].database.read(alone, chosen))
        for count in counts:
            started = time.perf_counter()
            found = await indexes[count].definitions.list_candidates("train", "/project/7/e.yml")
            print(f"nearest, {count:,}: {len(found)} candidates in {(time.perf_counter() - started) * 1000:.1f} ms")
            await indexes[count].close()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--counts", default="1000,1000000")
parser.add_argument("--plans", type=int, default=5000)
parser.add_argument("--folder", help="where to put the indexes (about 2 GB for 1,000,000) for 1,000,000")

if __name__ == "__main__":
    arguments = parser.parse_args()
    asyncio.run(measure([int(count) for count in arguments.counts.split(",")], arguments.plans, arguments.folder))
