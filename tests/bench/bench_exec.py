"""What `roost exec -- python -c pass` costs against the bare interpreter of the same prefix, in pairs.

    python -m tests.bench.bench_exec [PAIRS]

Prints medians in milliseconds and the median of the pairs' ratios, for the launcher with a plan, and for the Python
client that it falls back to. The goals: 1.2 to 1.3, and 2.0.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from tests.support.installed import Installed

COMMAND = ("exec", "--", "python", "-c", "pass")


def milliseconds(roost: Installed, words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=roost.work, env=roost.environ, check=True)
    return (time.perf_counter() - began) * 1000


def measure(roost: Installed, pairs: int) -> dict[str, list[tuple[float, float]]]:
    built = json.loads(roost("build", "--json").stdout.splitlines()[-1])["build"]
    bare = [f"{built['artifacts'][0]['path']}/bin/python", "-c", "pass"]
    asked = {
        "launcher": [str(roost.bin / "roost"), *COMMAND],
        "Python client": [str(roost.bin / "roost-client"), *COMMAND],
        "bare": bare,
    }
    for words in asked.values():
        milliseconds(roost, words)
    assert roost.plans(), "no launch plan was left: the launcher would be measured with the client behind it"
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for _ in range(pairs):
        base = milliseconds(roost, bare)
        for name, words in asked.items():
            spent = milliseconds(roost, words)
            found[name].append((spent, spent / base))
    return found


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    roost = Installed()
    try:
        for name, values in measure(roost, pairs).items():
            spent, ratio = (statistics.median(column) for column in zip(*values, strict=True))
            print(f"{name:14} {spent:7.1f} ms   {ratio:5.2f} times the bare interpreter")
    finally:
        roost.remove()


if __name__ == "__main__":
    main()
