"""The decision for a known definition whose image the engine has, its check by the engine included.

    python tests/bench/bench_image_plan.py [PLANS]

``roost plan`` as a user has it, the client's start included: median and 90th percentile in milliseconds. Goal: 50.
Needs an engine (``DOCKER_HOST`` or the usual socket), or root and ``dockerd``; uses the tests' own channel.
"""

# ruff: noqa: E402 - what tests share is found by path

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "images"), str(HERE.parent / "e2e")]

import docker_parts
from image_machines import machine, write_numpy
from pip_index import PipIndex


def main(plans: int) -> None:
    built = subprocess.check_output([sys.executable, str(HERE.parent / "channel" / "build.py")], text=True)
    index = PipIndex()
    with (
        docker_parts.engine("bench") as host,
        machine((Path(built.strip()) / "conda-forge").as_uri(), index, host) as roost,
    ):
        write_numpy(roost, docker_parts.import_image(host, "base", docker_parts.BASE))
        [image] = roost.json("build")["build"]["artifacts"]
        taken = []
        for _ in range(plans + 3):
            started = time.perf_counter()
            [plan] = roost.json("plan")["plans"]
            taken.append((time.perf_counter() - started) * 1000)
            assert plan["action"] == "reuse-image"
        taken = sorted(taken[3:])
        print(f"plan, image in the engine: median {statistics.median(taken):.1f} ms, ", end="")
        print(f"90th percentile {taken[len(taken) * 9 // 10]:.1f} ms (goal 50)")
        subprocess.run(["docker", "-H", host, "rmi", "--force", image["reference"]], check=True, capture_output=True)
    index.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
