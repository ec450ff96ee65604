"""What a prebuild takes from whoever waits, and how soon it begins.

    python -m tests.bench.bench_prebuild [--builds 7]

1. Seconds of a build of some 12,000 files that somebody waits for: alone, and beside prebuilds of another environment
   that never end. Pairs are measured in turn; the ratio of the medians is what a prebuild takes.
2. Milliseconds from a request until its prebuild begins, and from the request of somebody who waits until the prebuild
   of the same has given way.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench import measuring
from tests.bench.bench_build import channel
from tests.support.prebuilding import Prebuilding, open_services

from roost.daemon.config.schema import CondaSettings, ConfigFile, WatchSettings

WAITED = "channels: [conda-forge]\ndependencies: [python=3.11, numpy=2.1, pandas, scikit-learn, scipy]\n"
BEHIND = "channels: [conda-forge]\ndependencies: [python=3.11, numpy=2.1, pandas, scipy, pip]\n"


async def discard(parts, lock_digest):
    """Delete the prefix of a lock, so that it is built again."""
    for artifact in await parts.services.store.index.artifacts.list_all():
        if artifact.key == lock_digest and artifact.state == "ready":
            assert await parts.services.store.artifacts.delete(artifact.id)


async def build_again(parts, text):
    """Seconds of one build by somebody who waits."""
    result = await parts.build(text)
    await discard(parts, result.lock_digest)
    started = time.perf_counter()
    result = await parts.build(text)
    seconds = time.perf_counter() - started
    await discard(parts, result.lock_digest)
    return seconds


async def prebuild_for_ever(parts, counts):
    digest = (await parts.build(BEHIND)).lock_digest
    while True:
        await discard(parts, digest)
        report = await parts.prebuild(BEHIND)
        assert report.state == "ready", report
        counts.append(report)


async def measure(builds):
    mirrors = {"conda-forge": (channel(),)}
    settings = WatchSettings(max_load=0, on_battery=True)
    config = ConfigFile(conda=CondaSettings(mirrors=mirrors), watch=settings)
    alone, beside, begun, gave_way, prebuilt = [], [], [], [], []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, tempfile.TemporaryDirectory(dir="/tmp") as other:
        async with open_services(config) as services:
            parts, behind = Prebuilding(services, Path(folder)), Prebuilding(services, Path(other))
            await build_again(parts, WAITED)
            for _ in range(builds):
                alone.append(await build_again(parts, WAITED))
                running = asyncio.create_task(prebuild_for_ever(behind, prebuilt))
                await asyncio.sleep(1.0)
                beside.append(await build_again(parts, WAITED))
                running.cancel()
                await asyncio.wait([running])
                services.prebuilds.withdraw(BEHIND)
            for _ in range(builds):
                await replace(parts, begun, gave_way)
    print(f"alone  {statistics.median(alone):.2f} s   beside a prebuild  {statistics.median(beside):.2f} s")
    print(f"ratio  {statistics.median(beside) / statistics.median(alone):.2f}   prebuilds meanwhile: {len(prebuilt)}")
    measuring.line("request to the begin of its prebuild", begun)
    measuring.line("somebody asks until the prebuild gave way", gave_way)


async def replace(parts, begun, gave_way):
    """Request a prebuild, ask for the same in its middle, and note both times."""
    seen = asyncio.Queue()
    parts.services.prebuilds.listen(lambda report: seen.put_nowait((report, time.perf_counter())))
    started = time.perf_counter()
    parts.request(BEHIND)
    while (found := await seen.get())[0].state != "building":
        pass
    begun.append(found[1] - started)
    while not parts.services.builds.running:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    started = time.perf_counter()
    asking = asyncio.create_task(parts.build(BEHIND))
    while (found := await seen.get())[0].state not in ("waiting", "ready"):
        pass
    if found[0].reason == "asked":
        gave_way.append(found[1] - started)
    await discard(parts, (await asking).lock_digest)
    parts.services.prebuilds.withdraw(BEHIND)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--builds", type=int, default=7)

if __name__ == "__main__":
    builds = parser.parse_args().builds
    with measuring.ending_process():
        asyncio.run(measure(builds))
