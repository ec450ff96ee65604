"""What watching files costs: `python -m tests.bench.bench_watch [--seconds 20]`.

10,000 files in 500 folders are watched, each by an owner of its own. Prints the share of a core while nothing happens
(goal: 0.3 %), the memory added (goal: 20 MB), how long a save takes until its owner is told (goal: 20 ms), what 10,000
changes in two seconds cost, and the same idle figures for files that have to be polled.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
import time
from pathlib import Path

from tests.bench import measuring

from roost.daemon.watch.files.mounts import parse_mounts
from roost.daemon.watch.files.watcher import FileWatcher

FOLDERS, FILES = 500, 20
STORM = """
import sys, time
paths = sys.argv[1:]
began = time.monotonic()
for number, path in enumerate(paths):
    with open(path, "w") as file:
        file.write(str(number) + "changed")
    time.sleep(max(0.0, began + 2.0 * number / len(paths) - time.monotonic()))
"""


def resident():
    """MiB."""
    with open("/proc/self/status") as stream:
        found = re.search(r"^VmRSS:\s+(\d+)", stream.read(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def make(root):
    paths = []
    for number in range(FOLDERS):
        folder = Path(root, "project", str(number))
        folder.mkdir(parents=True)
        for name in range(FILES):
            path = folder / f"environment-{name}.yml"
            path.write_text(f"dependencies: [python=3.{name}, numpy]\n" * 20)
            paths.append(str(path))
    return paths


async def idle(name, seconds):
    await asyncio.sleep(6)  # what was not settled is looked at once more
    worked = time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - worked) / seconds
    print(f"{name}: {100 * share:.3f} % of a core in {seconds:g} s idle")


async def saves(path, told, count=200):
    """Seconds from the rename of a save to the call of its owner."""
    taken = []
    for number in range(count):
        Path(f"{path}~").write_text(f"save {number}")
        told.clear()
        os.rename(f"{path}~", path)
        began = time.perf_counter()
        await told.wait()
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return taken


async def storm(paths, changed):
    changed.clear()
    worked, before = time.process_time(), resident()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STORM, *paths)
    longest, last = 0.0, time.perf_counter()
    while process.returncode is None or len(changed) < len(paths):
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), 0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
        await asyncio.sleep(0.001)
    print(
        f"{len(paths)} changes in 2 s: {len(changed)} owners told, {time.process_time() - worked:.2f} s of processor"
        f" time, {resident() - before:.1f} MiB, event loop held up {1000 * longest:.0f} ms at most"
    )


async def measure(root, seconds):
    paths = make(root)
    changed, told = set(), asyncio.Event()

    def note(owners):
        changed.update(owners)
        told.set()

    before = resident()
    watcher = FileWatcher(note)
    began, worked = time.perf_counter(), time.process_time()
    for path in paths:
        await watcher.watch(path, [path])
    print(
        f"{len(paths)} files: watched in {time.perf_counter() - began:.2f} s, {time.process_time() - worked:.2f} s of"
        f" processor time; {resident() - before:.1f} MiB added"
    )
    await idle("inotify", seconds)
    measuring.line("save to call", await saves(paths[0], told), 20)
    began = time.perf_counter()
    await watcher.look_again()
    print(f"full look: {time.perf_counter() - began:.3f} s")
    await storm(paths, changed)
    await watcher.close()
    remote = parse_mounts(f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:2 / {root} rw - nfs4 b rw")
    watcher = FileWatcher(note, find_mounts=lambda: remote)
    await watcher.watch("all", paths)
    await idle("polling", max(seconds, 40))
    await watcher.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    with measuring.folder() as root:
        asyncio.run(measure(root, arguments.seconds))


if __name__ == "__main__":
    main()
