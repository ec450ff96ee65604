"""What `roost runs list` with filters takes over 100,000 recorded runs, with the client.

    python -m tests.bench.bench_run_history [RUNS]

Prints for each filter the median in milliseconds, and the processor time of client and daemon together, which says more
on a machine that is busy with other things; the same of the interpreter alone; and the size of the index. The goal is
100 ms with the client.
"""

from __future__ import annotations

import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
from statistics import median

from tests.support.installed import Installed

from roost.model.records import RunRecord
from roost.store.index.tables.records import insert_record

REPEATS = 15
FILTERS = {
    "none": (),
    "--env, a page": ("--env", "env7"),
    "--env NAME:VERSION": ("--env", "env7:3"),
    "--experiment": ("--experiment", "exp42"),
    "--experiment, none": ("--experiment", "nobody"),
    "--state": ("--state", "failed"),
    "--state, none": ("--state", "cancelled"),
    "--since, all": ("--since", "2020-01-01"),
    "--command, some": ("--command", "--epochs 777"),
    "--command, none": ("--command", "no such words"),
    "--cwd, none": ("--cwd", "/home/nobody"),
    "--tag": ("--tag", "best"),
    "--tag, none": ("--tag", "worst"),
    "all but none": (
        "--env",
        "env7",
        "--state",
        "failed",
        "--since",
        "2020-01-01",
        "--command",
        "train",
        "-t",
        "local",
    ),
}


def record_runs(path: str, number: int) -> None:
    """Put runs into an index that no daemon has open."""
    chance = random.Random(7)
    with sqlite3.connect(path) as index:
        for count in range(number):
            run = RunRecord(
                id=f"r20260101-{count // 100:06}-{count:06x}",
                state="failed" if chance.random() < 0.1 else "succeeded",
                target="local",
                command=("python", "train.py", "--epochs", str(count), "--lr", str(chance.random())),
                cwd=f"/home/me/project{count % 50}/src",
                definition_digest="sha256:" + "a" * 64,
                settings_digest="sha256:" + "b" * 64,
                lock_digest="sha256:" + "c" * 64,
                created=f"2026-01-01T{count // 5000:02}:00:00.{count:06}Z",
                environment_name=f"env{count % 200}",
                environment_version=count % 7 + 1,
                experiment=f"exp{count % 500}" if count % 3 == 0 else None,
                tags=("best",) if count % 1000 == 0 else (),
                variables={"OMP_NUM_THREADS": "4"},
            )
            insert_record(index, run)


def _measure(roost: Installed, words: list[str], daemon: int) -> str:
    """Return the median of the time that a command takes, and the mean of its processor time."""
    times, began = [], _processor_seconds(daemon)
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(words, cwd=roost.work, env=roost.environ, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    spent = (_processor_seconds(daemon) - began) / REPEATS
    return f"{median(times) * 1000:6.1f} ms, {spent * 1000:6.1f} ms of processor time"


def _processor_seconds(daemon: int) -> float:
    """Return the processor time of all children that have ended, and of the daemon."""
    own = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(f"/proc/{daemon}/schedstat", encoding="ascii") as file:  # of its main thread
        main_thread = int(file.read().split()[0]) / 1e9
    with open(f"/proc/{daemon}/stat", encoding="ascii") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    all_threads = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return own.ru_utime + own.ru_stime + max(main_thread, all_threads)


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    roost = Installed()
    try:
        assert roost("runs", "list").returncode == 0
        assert roost("daemon", "stop").returncode == 0
        record_runs(str(roost.root / "index.db"), number)
        assert roost("runs", "list").returncode == 0
        print(f"{number:,} runs, {(roost.root / 'index.db').stat().st_size / 1e6:.0f} MB")
        daemon = roost.json("daemon", "status")["pid"]
        print(f"{'the interpreter':24} {_measure(roost, [sys.executable, '-I', '-c', 'pass'], daemon)}")
        for name, words in FILTERS.items():
            command = [str(roost.bin / "roost"), "runs", "list", "-q", *words]
            print(f"{name:24} {_measure(roost, command, daemon)}")
    finally:
        roost.remove()


if __name__ == "__main__":
    main()
