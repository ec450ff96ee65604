"""What ``roost add`` takes beyond the solve: pairs of ``roost plan --solve`` of the edited file, and ``roost add``.

    python -m tests.bench.bench_edits [--rounds 15]

Each round adds another package to a file of twenty, so that nobody knows its lock: to a requirements.txt, to a
pyproject.toml (which gets a bound, so that its text is edited twice) and to an environment.yml with ``python numpy
pandas scikit-learn`` of the tests' channel. Prints the medians, and the median of the differences of the pairs. The
goal is a second beyond the solve.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

NAMES = [f"package{number}" for number in range(20)]
PYPROJECT = '[project]\nname = "demo"\nversion = "1"\ndependencies = [\n%s]\n'
QUIET = "[watch]\nfiles = 0\n"
"""What was used is not made ready meanwhile."""
CONDA = ("python=3.11", "numpy", "pandas", "scikit-learn")


def begin(kind: str) -> tuple[str, str]:
    """Return the name and the text of a file."""
    if kind == "conda":
        return "environment.yml", "dependencies:\n" + "".join(f"  - {spec}\n" for spec in CONDA)
    if kind == "pyproject":
        return "pyproject.toml", PYPROJECT % "".join(f'    "{name}",\n' for name in NAMES)
    return "requirements.txt", "".join(f"{name}\n" for name in NAMES)


def edit(kind: str, text: str, package: str) -> str:
    """Return the text with the package, as ``add`` writes it."""
    if kind == "conda":
        return text.replace("  - numpy\n", f"  - {package}\n  - numpy\n")  # where it goes by its name
    return text.replace("\n]\n", f'\n    "{package}>=1.0",\n]\n') if kind == "pyproject" else text + f"{package}\n"


def timed(roost: Roost, *words: str) -> float:
    began = time.perf_counter()
    roost.ok(*words)
    return time.perf_counter() - began


def measure(roost: Roost, index: PipIndex, kind: str, rounds: int) -> str:
    name, text = begin(kind)
    pairs = []
    for number in range(rounds + 1):
        package = f"dated>=0.{number}" if kind == "conda" else f"{kind}{number}"
        index.wheel(package, "1.0")
        added = roost.write(f"{kind}/{name}", text)
        edited = roost.write(f"{kind}-{number}/{name}", edit(kind, text, package))
        solving = ("plan", "--solve", "-t", "local", "-f", str(edited))
        adding = ("add", "-f", str(added), package)
        order = (solving, adding) if number % 2 else (adding, solving)
        seconds = {words: timed(roost, *words) for words in order}
        pairs.append((seconds[solving], seconds[adding]))
        assert edited.read_text() == added.read_text(), added.read_text()
    pairs = pairs[1:]
    solved, took = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    beyond = sorted((after - before) * 1000 for before, after in pairs)
    return (
        f"{kind:<10} plan --solve {solved:6.0f} ms   add {took:6.0f} ms   "
        f"beyond {statistics.median(beyond):6.0f} ms (at most {beyond[-1]:.0f})   goal 1000 ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    command = [sys.executable, "-m", "tests.support.channel.build"]
    channels = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    roost, index = new_roost(), PipIndex()
    channel = (channels / "conda-forge").as_uri()
    roost.config.write_text(
        f'[pip]\nindex_url = "{index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel}"]\n{QUIET}'
    )
    for name in NAMES:
        index.wheel(name, "1.0")
    try:
        for kind in ("pip", "pyproject", "conda"):
            print(measure(roost, index, kind, rounds))
    finally:
        roost.end()
        index.close()


if __name__ == "__main__":
    main()
