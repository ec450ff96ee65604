"""What takes minutes and stays out of the CI: ``python -m tests.soak [MINUTES]`` (30 without an argument).

Half of the time goes to the property tests and to generated requests, with a hundred times their examples, half to
killing daemons and stores at random and at every fail point, again and again. Then 300 different environments are
requested at once, garbage is collected under load (``tests.soak_collection``), and every benchmark runs once and prints
its figures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
FUZZED = ("tests/property", "tests/api/test_generated_requests.py", "tests/unit/daemon/watch/files")
KILLED = (
    "tests/crash",
    "tests/e2e/test_cancelling.py",
    "tests/e2e/test_editing.py",
    "tests/e2e/test_editing_cancelled.py",
    "tests/e2e/test_many_clients.py",
    "tests/e2e/test_removed_caches.py",
    "tests/e2e/test_watching.py",
)


def repeat(places: Sequence[str], seconds: float, **variables: str) -> int:
    """Run the tests in ``places`` until ``seconds`` are over or one fails; return how often they passed, or -1."""
    end, times = time.monotonic() + seconds, 0
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-x", "--timeout=7200", *places]
    while time.monotonic() < end:
        if subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **variables}, check=False).returncode != 0:
            return -1
        times += 1
    return times


def main(arguments: Sequence[str]) -> int:
    """Run everything; return 1 if a test or a benchmark failed."""
    seconds = 60 * float(arguments[0] if arguments else 30)
    report = [(" ".join(places), repeat(places, seconds / 2, **variables)) for places, variables in (
        (FUZZED, {"ROOST_TEST_SOAK": "1"}),
        (KILLED, {}),
    )]  # fmt: skip
    many = [sys.executable, "-m", "pytest", "-q", "--timeout=3600", "tests/e2e/test_bounded_work.py"]
    many += ["tests/e2e/test_removed_caches.py"]
    done = subprocess.run(many, cwd=REPOSITORY, env={**os.environ, "ROOST_TEST_ENVIRONMENTS": "300"}, check=False)
    report.append(("300 environments at once", 1 if done.returncode == 0 else -1))
    done = subprocess.run([sys.executable, "-m", "tests.soak_collection"], cwd=REPOSITORY, check=False)
    report.append(("collections under load", 1 if done.returncode == 0 else -1))
    for bench in sorted((REPOSITORY / "tests/bench").glob("bench_*.py")):
        print(f"=== {bench.stem}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"tests.bench.{bench.stem}"], cwd=REPOSITORY, check=False)
        report.append((bench.stem, 1 if done.returncode == 0 else -1))
    for name, times in report:
        print(f"{name}: {'FAILED' if times < 0 else f'passed {times} times'}")
    return int(any(times < 0 for _, times in report))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
