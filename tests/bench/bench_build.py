"""What a warm build costs beside linking: lock known, packages cached, byte-code kept.

    python -m tests.bench.bench_build [--builds 7]

Builds an environment of some 12,000 files from the tests' own channel, deletes the prefix and builds it again, as often
as asked. Prints the median seconds of each step, and of everything but linking (the figure to reach: 0.5 s).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import measuring

from roost.daemon.config.config import Config
from roost.daemon.config.schema import CondaSettings, ConfigFile
from roost.daemon.config.source import ConfigSource
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.solve import SolveJob, solve_lock
from roost.daemon.prefixes.fill import fill_prefix
from roost.model.definition import Conda, Defaults, Definition
from roost.store.store import Store

SPECS = ("python=3.11", "numpy=2.1", "pandas", "scikit-learn", "scipy", "pip", "activated")


class Timed(Silent):
    """Seconds of each step."""

    def __init__(self):
        self.begun, self.took = {}, {}

    def start(self, step, total=None):
        self.begun[step] = time.perf_counter()

    def finish(self, step):
        self.took[step] = time.perf_counter() - self.begun[step]


def channel():
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.channel.build"], stdout=subprocess.PIPE, text=True, check=True
    )
    return (Path(done.stdout.strip()) / "conda-forge").as_uri()


async def build(store, engines, lock):
    """One build: seconds of the whole, of its steps; the prefix is deleted again."""
    timed = Timed()

    async def fill(prefix):
        return (await fill_prefix(engines, lock, prefix, timed, {})).result

    started = time.perf_counter()
    artifact = await store.artifacts.publish_prefix(lock=lock, generation=None, build_id="b", fill=fill)
    whole = time.perf_counter() - started
    files = sum(len(names) for _, _, names in os.walk(artifact.path))
    assert await store.artifacts.delete(artifact.id)
    return whole, timed.took, files


async def measure(builds):
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    config = Config(settings=ConfigFile(conda=CondaSettings(mirrors={"conda-forge": (channel(),)})))
    store = await Store.open(root)
    try:
        engines = Engines(store.layout, ConfigSource(config))
        definition = Definition(conda=Conda(channels=("conda-forge",), dependencies=SPECS))
        lock = await solve_lock(
            engines, SolveJob(definition=definition, defaults=Defaults(), platform="linux-64"), Silent()
        )
        whole, steps, files = await build(store, engines, lock)
        print(f"{files} files, {len(lock.conda)} packages; cold: {whole:.2f} s {rounded(steps)}")
        runs = [await build(store, engines, lock) for _ in range(builds)]
        print(f"warm, median of {builds}: {statistics.median(run[0] for run in runs):.2f} s")
        for step in runs[0][1]:
            print(f"  {step:<10} {statistics.median(run[1][step] for run in runs):.2f} s")
        others = statistics.median(run[0] - run[1]["link"] for run in runs)
        print(f"everything but linking: {others:.2f} s")
    finally:
        await store.close()
        shutil.rmtree(root, ignore_errors=True)


def rounded(steps):
    return {step: round(seconds, 2) for step, seconds in steps.items()}


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--builds", type=int, default=7)

if __name__ == "__main__":
    builds = parser.parse_args().builds
    with measuring.ending_process():
        asyncio.run(measure(builds))
