"""What an idle daemon costs: `python -m tests.bench.bench_idle [SECONDS]`.

Prints its resident memory after the start, before its first build, and how often it woke in 10 seconds of nothing
(voluntary context switches of all its threads: each wait that ended). Goals: 70 MB at most, and no wake-ups.
"""

from __future__ import annotations

import glob
import re
import sys
import time

from tests.bench.measuring import folder, served


def wakeups(pid: int) -> int:
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path) as stream:
            total += int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", stream.read(), re.MULTILINE)[0])
    return total


def measure(root: str, seconds: float) -> None:
    began = time.perf_counter()
    with served(root) as daemon:
        print(f"start to first answer: {time.perf_counter() - began:.2f} s")
        print(f"resident: {daemon.resident():.1f} MiB")
        time.sleep(1)
        before = wakeups(daemon.process.pid)
        time.sleep(seconds)
        print(f"wake-ups in {seconds:g} s idle: {wakeups(daemon.process.pid) - before}")
        for _ in range(200):
            daemon.get("/v1/version")
        print(f"resident after 200 requests: {daemon.resident():.1f} MiB")


def main() -> None:
    with folder() as root:
        measure(root, float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)


if __name__ == "__main__":
    main()
