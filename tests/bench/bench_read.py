"""How the time to read hostile and large texts grows: ``python -m tests.bench.bench_read [NAME]``.

Prints the seconds for a size and for twice the size, and their ratio: 2 is linear, 4 is the square.
"""

from __future__ import annotations

import sys
import time

from tests.support.hostile import GROWING, HOSTILE, Write

from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource
from roost.model.syntax.pip_lines import parse_pip_lines
from roost.store.sources.files import LocalFiles

CHARACTERS = 100_000
PARTS = 2_000


def measure(file: str, text: str) -> float:
    """Return the seconds of the fastest of three readings."""
    seconds = []
    for _ in range(3):
        parse_pip_lines.cache_clear()
        start = time.perf_counter()
        read_source(DefinitionSource(path=f"/nowhere/{file}", data=text.encode()), LocalFiles())
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main(names: list[str]) -> None:
    """Measure all texts, or those that are named."""
    texts: dict[str, tuple[str, Write, int]] = {name: (*each, CHARACTERS) for name, each in HOSTILE.items()}
    texts |= {f"{name} (parts)": (file, write, PARTS) for name, (file, write, _) in GROWING.items()}
    for name, (file, write, size) in texts.items():
        if not names or name in names:
            small, large = (measure(file, write(count)) for count in (size, 2 * size))
            print(f"{small:8.3f} s {large:8.3f} s  {large / max(small, 1e-4):4.1f} times  {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
