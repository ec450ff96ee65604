"""What `roost run -- python -c pass` of a known environment costs against the bare interpreter of its prefix, in pairs.

    python -m tests.bench.bench_run [PAIRS]

Prints medians in milliseconds and the median of the pairs' ratios: `exec`, which records nothing; `run` by the hot path
with `--` and with a script; `run` by the whole command line (`--ignore-image` is an option that only it knows); and
`uv run` of the same requirements, if uv is installed, which records nothing either. The goals: `exec` 1.2, `run` 3.0.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time

from tests.support.installed import BIN, Installed

COMMAND = ("python", "-c", "pass")


def milliseconds(roost: Installed, words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, cwd=roost.work, env=roost.environ, check=True, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def commands(roost: Installed, python: str) -> dict[str, list[str]]:
    """Return the command lines that are compared, by name. ``python``: the interpreter of the prefix."""
    (roost.work / "script.py").write_text("pass\n")
    program = str(roost.bin / "roost")
    found = {
        "exec": [program, "exec", "--", *COMMAND],
        "run": [program, "run", "--", *COMMAND],
        "run script.py": [program, "run", "script.py"],
        "run (all)": [program, "run", "--ignore-image", "--", *COMMAND],
    }
    uv = shutil.which("uv", path=f"{sys.prefix}/bin:{roost.environ['PATH']}")
    if uv is not None:
        isolated = ["--no-project", "--no-config", "--offline", "--python", python]
        with_lines = ["--with-requirements", "requirements.txt"]
        found["uv run"] = [uv, "run", *isolated, *with_lines, "--", *COMMAND]
    return {**found, "bare": [python, "-c", "pass"]}


def measure(roost: Installed, pairs: int) -> dict[str, list[tuple[float, float]]]:
    built = json.loads(roost("build", "--json").stdout.splitlines()[-1])["build"]
    asked = commands(roost, f"{built['artifacts'][0]['path']}/bin/python")
    for words in (*asked.values(), asked["exec"]):  # a plan needs files that have settled
        milliseconds(roost, words)
    assert roost.plans(), "no launch plan was left: exec would be measured with the client behind it"
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for _ in range(pairs):
        for name, words in asked.items():
            base = milliseconds(roost, asked["bare"])
            spent = milliseconds(roost, words)
            found[name].append((spent, spent / base))
    return found


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"the launcher and the client of {BIN}")
    roost = Installed()
    try:
        for name, values in measure(roost, pairs).items():
            spent, ratio = (statistics.median(column) for column in zip(*values, strict=True))
            print(f"{name:14} {spent:7.1f} ms   {ratio:5.2f} times the bare interpreter")
    finally:
        roost.remove()


if __name__ == "__main__":
    main()
