"""Exporting and importing a bundle, against tar and sha256sum on the same bytes, in pairs.

    python -m tests.bench.bench_bundle [PAIRS]

Prints the median ratios (the goal is 1.5 at the most) and by how much the daemon has grown meanwhile. Uses the tests'
own channel, made when it is not there yet. Everything is synced on both sides.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tests.bench import measuring
from tests.support.roost_process import Roost, new_roost

SPECS = ["python=3.11", "numpy", "pandas", "scikit-learn", "scipy"]


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    folder = subprocess.check_output([sys.executable, "-m", "tests.support.channel.build"], text=True).strip()
    made = [new_roost(), new_roost()]
    try:
        measure(made[0], made[1], Path(folder, "conda-forge").as_uri(), pairs)
    finally:
        for roost in made:
            roost.end()


def measure(roost: Roost, other: Roost, channel: str, pairs: int) -> None:
    for each in (roost, other):
        each.config.write_text(f'[conda.mirrors]\n"conda-forge" = ["{channel}"]\n')
        each.ok("daemon", "start")
    roost.write("roost.toml", f"[conda]\ndependencies = {json.dumps(SPECS)}\n")
    roost.ok("build")
    bundle, plain = roost.folder / "b.roost", roost.folder / "plain.tar"
    before = [resident(each) for each in (roost, other)]
    found = roost.json("cache", "bundle", "export", "-o", str(bundle))
    print(f"{found['files']} files, {found['bytes'] / 1e6:.0f} MB")
    stored = other.root / "packages/conda/archives"
    unpacked = roost.folder / "unpacked"
    other.ok("cache", "bundle", "import", str(bundle))
    plain_copy(bundle, unpacked)
    writing = measuring.in_turns(
        {
            "roost": lambda: roost.ok("cache", "bundle", "export", "-o", str(bundle)),
            "tar": lambda: shell(f"tar cf {plain} -C {unpacked} . && sync {plain} && sha256sum {plain}"),
        },
        pairs,
    )
    ratio("export", writing)

    def read() -> None:
        shutil.rmtree(stored)
        other.ok("cache", "bundle", "import", str(bundle))

    ratio("import", measuring.in_turns({"roost": read, "tar": lambda: plain_copy(bundle, unpacked)}, pairs))
    for name, each, was in zip(("export", "import"), (roost, other), before, strict=True):
        print(f"{name}: the daemon's peak is {resident(each) - was:.1f} MiB above what it was")


def plain_copy(bundle: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shell(f"sha256sum {bundle} && tar xf {bundle} -C {folder} && sync -f {folder}")


def shell(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, stdout=subprocess.DEVNULL)


def ratio(name: str, taken: dict[str, list[float]]) -> None:
    ratios = [mine / other for mine, other in zip(taken["roost"], taken["tar"], strict=True)]
    times = ", ".join(f"{which} {statistics.median(each):.2f} s" for which, each in taken.items())
    print(f"{name}: {times}; median ratio of {len(ratios)} pairs: {statistics.median(ratios):.2f} (goal 1.5)")


def resident(roost: Roost) -> float:
    """The daemon's largest memory so far, in MiB."""
    with open(f"/proc/{roost.daemon_pid()}/status") as stream:
        (line,) = [each for each in stream if each.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
