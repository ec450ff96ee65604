"""Linking a prefix from a warm cache, against py-rattler's own ``install`` of the same records, in pairs.

    python -m tests.bench.bench_link [PAIRS]

Prints the median ratio (the goal is 1.15 at the most) and what byte-code and activation add to a warm build. Uses the
tests' own channel, made when it is not there yet.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

from rattler import Client
from rattler import install as rattler_install
from rattler.networking import RetryMiddleware
from tests.bench import measuring
from tests.support.bytecode_prefix import complete_prefix

from roost.daemon.engines.conda.activation import compute_activation
from roost.daemon.engines.conda.channels import CondaConfig
from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.engines.conda.native.records import to_records
from roost.daemon.jobs.progress import Silent
from roost.daemon.prefixes.bytecode import link_stored
from roost.daemon.workers.pool import WorkerPool
from roost.model.locks.lock import CondaPackage, CondaPython, Lock

SPECS = ["python=3.11", "numpy", "pandas", "scikit-learn", "scipy", "pip"]


async def timed(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def bench(folder: Path, pairs: int) -> None:
    channel = (
        Path(subprocess.check_output([sys.executable, "-m", "tests.support.channel.build"], text=True).strip())
        / "conda-forge"
    )
    bytecode = str(folder / "bytecode")
    workers = WorkerPool(str(folder / "stage"))
    engine = CondaEngine(str(folder / "cache"), bytecode, CondaConfig(), workers)
    packages = await engine.solve(channels=[channel.as_uri()], specs=SPECS, platform="linux-64", system={})
    cold = await timed(engine.link(packages, str(folder / "cold")))
    print(f"cold: fetch and link {len(packages)} packages: {cold:.2f} s")
    lock = Lock(platform="linux-64", provider=CondaPython(), conda=tuple(packages))
    compiling = await timed(complete_prefix(folder / "cold", lock, bytecode))
    print(f"cold: byte-code, which comes later: {compiling:.2f} s")
    count = sum(len(files) for _, _, files in os.walk(folder / "cold"))
    theirs, ours, rest = [], [], []
    for number in range(pairs):
        for which in ("theirs", "ours") if number % 2 else ("ours", "theirs"):
            prefix = folder / f"{which}{number}"
            os.sync()
            if which == "theirs":
                theirs.append(await timed(plain(packages, prefix, engine.packages_dir)))
            else:
                ours.append(await timed(engine.link(packages, str(prefix))))
                rest.append(await timed(after(prefix, lock, bytecode)))
            shutil.rmtree(prefix)
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(f"warm: {count} files; py-rattler {statistics.median(theirs):.3f} s, roost {statistics.median(ours):.3f} s")
    print(f"warm: median ratio of {pairs} pairs: {statistics.median(ratios):.3f} (goal 1.15)")
    print(f"warm: byte-code and activation: {statistics.median(rest):.3f} s more")
    await workers.close()


async def plain(packages: list[CondaPackage], prefix: Path, cache: str) -> None:
    records = to_records(packages, lambda url: url)
    client = Client([RetryMiddleware(1)])
    await rattler_install(records, str(prefix), cache_dir=cache, client=client, show_progress=False)  # type: ignore[arg-type]


async def after(prefix: Path, lock: Lock, bytecode: str) -> None:
    await link_stored(str(prefix), str(prefix / "bin/python"), lock, bytecode, Silent())
    await compute_activation(str(prefix))


def main() -> None:
    with measuring.ending_process(), measuring.folder() as made:
        asyncio.run(bench(Path(made), int(sys.argv[1]) if len(sys.argv) > 1 else 9))


if __name__ == "__main__":
    main()
