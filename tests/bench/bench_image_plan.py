"""The decision for a known definition whose image the engine has, its check by the engine included.

    python -m tests.bench.bench_image_plan [PLANS]

Three ways: inside the daemon (the definition read and digested, the facts gathered, the engine asked, decided: what
the goal of 50 ms means), over the daemon's socket, and `roost plan` as a user has it, with the client's own start;
beside them what the engine alone takes to inspect the image.
Needs an engine (``DOCKER_HOST`` or the usual socket), or root and ``dockerd``; uses the tests' own channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import docker
from tests.bench.measuring import Served, line
from tests.support.images import engines as docker_parts
from tests.support.images.machines import machine, write_definition
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

from roost.daemon.config.config import load_config
from roost.daemon.config.source import ConfigSource
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolve import resolve
from roost.daemon.engines.engine_set import Engines
from roost.daemon.planning.planner import Planner
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector

WARM = 5


def main(plans: int) -> None:
    built = subprocess.check_output([sys.executable, "-m", "tests.support.channel.build"], text=True)
    with (
        contextlib.closing(PipIndex()) as index,
        docker_parts.engine("bench") as host,
        machine((Path(built.strip()) / "conda-forge").as_uri(), index, host) as roost,
    ):
        roost.forks_daemon = False  # what is measured is a daemon as a user's
        write_definition(roost, docker_parts.import_image(host, "base", docker_parts.BASE))
        [image] = roost.json("build")["build"]["artifacts"]
        _as_told(roost, host, image["digest"], plans)
        roost.ok("daemon", "stop")
        asyncio.run(_inside(roost, plans))
        subprocess.run(["docker", "-H", host, "rmi", "--force", image["reference"]], check=True, capture_output=True)


def _as_told(roost: Roost, host: str, digest: str, plans: int) -> None:
    client = docker.APIClient(base_url=host)
    line("the engine inspects it", _seconds(lambda: client.inspect_image(digest), plans))
    client.close()
    line("roost plan, as a user has it", _seconds(lambda: _reused(roost.json("plan")), max(plans // 10, 10)))
    served = Served(str(roost.root), None)
    body = {"what": {"cwd": str(roost.folder)}, "targets": ["docker"]}
    line("POST /v1/plans", _seconds(lambda: _reused(served.ask("POST", "/v1/plans", body)), plans))
    served.close()


def _reused(answer: dict) -> None:
    assert [plan["action"] for plan in answer["plans"]] == ["reuse-image"], answer


def _seconds(action: Callable[[], object], number: int) -> list[float]:
    taken = []
    for _ in range(number + WARM):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return taken[WARM:]


async def _inside(roost: Roost, plans: int) -> None:
    config = load_config({"ROOST_CONFIG": str(roost.config)})
    store = await Store.open(str(roost.root))
    source = ConfigSource(config)
    engines = Engines(store.layout, source)
    planner = Planner(store, engines, source)
    what, taken = EnvironmentSelector(cwd=str(roost.folder)), []
    for _ in range(plans + WARM):
        started = time.perf_counter()
        resolved = (await resolve(what, planner.defaults, workers=engines.workers)).for_image()
        planned = await planner.plan(resolved, Request(definition=resolved.definition), what)
        taken.append(time.perf_counter() - started)
        assert planned.plan.action == "reuse-image"
    taken = taken[WARM:]
    line("decided inside the daemon", taken, goal=50)
    print(f"{'':<28} 95th percentile {sorted(taken)[len(taken) * 95 // 100] * 1000:.3f} ms")
    await engines.close()
    (await engines.docker()).close()
    await store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
