"""What it costs to prefer a former lock: solves with and without preferences, in pairs.

    python -m tests.bench.bench_preferences [--rounds 15]

Solves ``python numpy pandas scikit-learn`` against the tests' channel, 200 packages against
a channel of 60,000 records, and twenty packages against an index on loopback,
each with nothing preferred and with everything that the first solve chose. Prints the medians, and the median of the
ratios of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench.measuring import folder
from tests.support.conda_tools import close_workers, engine, lock_of, solve
from tests.support.pip_index import PipIndex

from roost.daemon.engines.conda.platforms import BASELINE_GLIBC
from roost.daemon.engines.host_python import engine as host_python
from roost.daemon.engines.uv.engine import PipConfig, PipEngine
from roost.daemon.engines.uv.request import PipLockRequest, describe_python
from roost.model.definition import PipItem
from roost.model.locks.preferences import prefer_conda_packages

SPECS = ("python=3.11", "numpy", "pandas", "scikit-learn")


async def compare(
    rounds: int, plain: Callable[[], Awaitable[object]], preferring: Callable[[], Awaitable[object]]
) -> str:
    pairs = []
    for number in range(rounds + 1):
        order = (plain, preferring) if number % 2 else (preferring, plain)
        seconds = {}
        for each in order:
            started = time.perf_counter()
            await each()
            seconds[each] = time.perf_counter() - started
        pairs.append((seconds[plain], seconds[preferring]))
    pairs = pairs[1:]
    medians = [statistics.median(column) * 1000 for column in zip(*pairs, strict=True)]
    ratio = statistics.median(after / before for before, after in pairs)
    return f"{medians[0]:.0f} ms without, {medians[1]:.0f} ms with preferences: {ratio:.2f}"


async def measure_conda(root: Path, channels: Path, rounds: int) -> str:
    conda = await asyncio.to_thread(engine, root, channels)
    preferred = prefer_conda_packages(lock_of(await solve(conda, *SPECS)))
    return await compare(rounds, lambda: solve(conda, *SPECS), lambda: solve(conda, *SPECS, preferred=preferred))


def write_large_channel(folder: Path) -> None:
    """Write the index of a channel of 200 packages with 300 versions each, every one of which needs the one before."""
    records = {}
    for number in range(200):
        needs = [f"package{number - 1}"] if number else []
        for version in range(300):
            name = f"package{number}-1.{version}-0.conda"
            records[name] = {
                "name": f"package{number}", "version": f"1.{version}", "build": "0", "build_number": 0,
                "depends": needs, "subdir": "noarch", "size": 1, "timestamp": 1700000000000,
                "sha256": hashlib.sha256(name.encode()).hexdigest(),
            }  # fmt: skip
    for subdir, content in (("noarch", records), ("linux-64", {})):
        (folder / "conda-forge" / subdir).mkdir(parents=True)
        data = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": content, "repodata_version": 1}
        (folder / "conda-forge" / subdir / "repodata.json").write_text(json.dumps(data))


async def measure_large(root: Path, rounds: int) -> str:
    await asyncio.to_thread(write_large_channel, root / "channels")
    conda = await asyncio.to_thread(engine, root, root / "channels")
    preferred = prefer_conda_packages(lock_of(await solve(conda, "package199")))
    return await compare(
        rounds, lambda: solve(conda, "package199"), lambda: solve(conda, "package199", preferred=preferred)
    )


async def measure_pip(root: Path, rounds: int) -> str:
    index = PipIndex()
    names = [f"package{number}" for number in range(20)]
    for name in names:
        for version in ("1.0", "2.0"):
            index.wheel(name, version)
    config = PipConfig(index_url=index.url, timeout=5, retries=0)
    pip = PipEngine(os.path.join(root, "wheels", "uv"), os.path.join(root, "wheels"), config)
    python = describe_python(host_python.choose_interpreter(">=3.10"))

    def lock(preferences: dict[str, str]) -> Awaitable[object]:
        items = [PipItem(kind="requirement", text=name) for name in names]
        request = PipLockRequest(
            items=items, python=python, platform="linux-64", glibc=BASELINE_GLIBC, preferences=preferences
        )
        return pip.lock(request)

    try:
        return await compare(rounds, lambda: lock({}), lambda: lock(dict.fromkeys(names, "1.0")))
    finally:
        index.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    command = [sys.executable, "-m", "tests.support.channel.build"]
    channels = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    with folder() as root:
        print("conda:", await measure_conda(Path(root), channels, rounds))
        print("large:", await measure_large(Path(root) / "large", rounds))
        print("pip:  ", await measure_pip(Path(root), rounds))
    await close_workers()


if __name__ == "__main__":
    asyncio.run(main())
