"""What looking around takes a person, over an index with many runs: `list` and `which` within 100 ms, `doctor` within
2 s, a bill of materials within 0.5 s, a completion within 10 ms.

    python -m tests.bench.bench_inspection [--runs 100000] [--packages 300] [--rounds 15]

Fills an index with that many runs of other definitions, and publishes a prefix of that many conda packages and as many
wheels for an environment file. Then runs the commands, each once in every round, and prints median and 99th percentile
with the client's own start, and what the daemon takes of it. A first round is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import msgspec
from tests.bench.bench_index import NOW, PLATFORM, digest
from tests.bench.measuring import folder, in_turns, line, served

from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.records import NewGeneration, RunRecord
from roost.store.artifacts.publish import FillResult
from roost.store.store import Store

ROOST = os.path.join(sysconfig.get_path("scripts"), "roost")
COMMANDS = (
    "list", "which", "why package-1", "tree", "list 'package-1*' --sort size", "cache df --by environment",
    "doctor", "lock --format cyclonedx", "lock --format spdx",
)  # fmt: skip
GOALS = {"list": 100, "which": 100, "doctor": 2000, "lock --format cyclonedx": 500, "lock --format spdx": 500}
COMPLETION = """
COMP_LINE="roost runs show r"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=($COMP_LINE); COMP_CWORD=3
for round in {1..50}; do
    begin=$EPOCHREALTIME; _roost_complete; end=$EPOCHREALTIME
    [ ${#COMPREPLY[@]} -gt 0 ] || exit 1
    echo $((${end/./} - ${begin/./}))
done
"""
SITE = "lib/python3.11/site-packages"


def make_lock(count):
    conda = tuple(
        CondaPackage(
            name=f"package-{n}" if n else "python", version=f"3.11.{n}", build="h0_0", subdir=PLATFORM,
            file_name=f"package-{n}-3.11.{n}-h0_0.conda", sha256=f"{n:064x}", size=1000 + n,
            url=f"https://conda.example/conda-forge/{PLATFORM}/package-{n}-3.11.{n}-h0_0.conda",
            record={"depends": [f"package-{n * k}" for k in (2, 3, 5) if n * k < count and n] + ["__glibc >=2.17"],
                    "license": "BSD-3-Clause", "timestamp": n, "build_number": 0},
        )
        for n in range(count)
    )  # fmt: skip
    wheels = tuple(Wheel(name=f"wheel-{n}", version="1.0", sha256=f"{n:064x}", size=n + 1) for n in range(count))
    return Lock(platform=PLATFORM, provider=CondaPython(), conda=conda, wheels=wheels, system={"__glibc": "2.28"})


async def fill_prefix(path, count):
    Path(path, "bin").mkdir()
    os.symlink("/bin/true", os.path.join(path, "bin", "python"))
    for n in range(count):
        info = Path(path, SITE, f"wheel_{n}-1.0.dist-info")
        info.mkdir(parents=True)
        needs = "".join(
            f"Requires-Dist: wheel-{n * k} >=1; python_version > '3'\n" for k in (2, 3) if 0 < n * k < count
        )
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: wheel-{n}\nVersion: 1.0\n{needs}\nText.\n")
    return FillResult(activation=())


def add_runs(connection, start, stop):
    for number in range(start, stop):
        definition = digest("definition", number // 100)
        run = RunRecord(
            id=f"r-{number}", state="succeeded", target="local", command=("python", "train.py"), cwd="/", created=NOW,
            definition_digest=definition, settings_digest=digest("settings", 1), environment_name=f"e{number // 100}",
            environment_version=1,
        )  # fmt: skip
        row = (run.id, run.state, definition, NOW, msgspec.json.encode(run))
        connection.execute(
            "INSERT INTO runs (id, state, definition_digest, created, record) VALUES (?, ?, ?, ?, ?)", row
        )


async def publish(root, definition, count, runs):
    store = await Store.open(root)
    generation = NewGeneration(definition_digest=definition, platform=PLATFORM)
    await store.artifacts.publish_prefix(
        lock=make_lock(count), generation=generation, build_id="b", fill=lambda path: fill_prefix(path, count)
    )
    for start in range(0, runs, 10_000):
        await store.index.database.write(add_runs, start, min(runs, start + 10_000))
    await store.close()


def main(runs, packages, rounds):
    with folder() as place:
        root, work = os.path.join(place, "r"), os.path.join(place, "w")
        os.mkdir(work)
        pip = "".join(f"    - wheel-{n}\n" for n in (1, 5, 7, 11))
        Path(work, "environment.yml").write_text(f"dependencies:\n  - python=3.11\n  - package-1\n  - pip:\n{pip}")
        environ = {**os.environ, "ROOST_HOME": root, "ROOST_CONFIG": f"{root}.toml"}
        what = {"what": {"cwd": work}}
        with served(root):
            definition = json.loads(
                subprocess.run(
                    [ROOST, "digest", "--json"], cwd=work, env=environ, capture_output=True, check=True
                ).stdout
            )["definition_digest"]
        asyncio.run(publish(root, definition, packages, runs))
        with served(root) as daemon:
            actions = {words: _runner(words, work, environ) for words in COMMANDS}
            routes = {
                "daemon: list": lambda: daemon.ask("POST", "/v1/packages", what),
                "daemon: tree": lambda: daemon.ask("POST", "/v1/packages", {**what, "needs": True}),
                "daemon: which": lambda: daemon.ask("POST", "/v1/which", what),
                "bare interpreter": lambda: subprocess.run([sys.executable, "-I", "-c", ""], check=True),
            }
            in_turns({**actions, **routes}, 1)
            for name, seconds in in_turns({**actions, **routes}, rounds).items():
                line(name, seconds, GOALS.get(name))
            line("completion of runs in bash", _complete(environ), 10)


def _complete(environ):
    """Seconds of fifty completions of an id, in one shell."""
    script = subprocess.run(
        [ROOST, "completion", "bash"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    done = subprocess.run(["bash", "-c", script + COMPLETION], env=environ, capture_output=True, text=True, check=True)
    return [int(each) / 1e6 for each in done.stdout.split()]


def _runner(words, work, environ):
    # (doctor notices that the prefix of this bench has no Python to start)
    return lambda: subprocess.run(
        f"{ROOST} {words}", shell=True, cwd=work, env=environ, check=words != "doctor", stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--packages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    main(options.runs, options.packages, options.rounds)
