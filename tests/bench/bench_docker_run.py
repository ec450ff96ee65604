"""Warm ``roost run -t docker -- python -c pass`` against the engine's own create, start, wait and remove.

    python -m tests.bench.bench_docker_run [PAIRS]

Both make the same container with the same options, in turns; the median of the pairs' ratios is what counts (1.1 at the
most). Needs an engine (``DOCKER_HOST`` or the usual socket), or root and ``dockerd``.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import docker
from tests.support.images import engines as docker_parts
from tests.support.roost_process import new_roost

from roost.daemon.engines.docker.options import container_body
from roost.daemon.engines.docker.values import ContainerSpec

COMMAND = ["python", "-c", "pass"]


def main(pairs: int) -> None:
    with docker_parts.engine("bench") as host:
        image = docker_parts.import_image(host, "python", docker_parts.PYTHON)
        roost = new_roost(forks_daemon=False)
        roost.config.write_text(f'[docker]\nhost = "{host}"\n')
        client = docker.APIClient(base_url=host, timeout=60)
        try:
            body = container_body(_spec(client.inspect_image(image)["Id"], roost.folder))
            words = ["run", "-q", "-t", "docker", "--image", image, "--", *COMMAND]
            _measure(pairs, lambda: roost.ok(*words), lambda: _own(client, body), lambda: _gone(client))
        finally:
            client.close()
            roost.end()


def _spec(image: str, folder: Path) -> ContainerSpec:
    return ContainerSpec(
        image=image, command=["/usr/bin/python3", *COMMAND[1:]], cwd=str(folder), user=f"{os.getuid()}:{os.getgid()}"
    )


def _own(client: docker.APIClient, body: dict[str, object]) -> None:
    container = client.create_container_from_config(body)["Id"]
    client.start(container)
    assert client.wait(container)["StatusCode"] == 0
    client.remove_container(container, v=True)


def _gone(client: docker.APIClient) -> None:
    """roost removes its container while the next command starts already: let that not slow the other side."""
    deadline = time.monotonic() + 5
    while client.containers(all=True, filters={"label": "org.roost.run"}) and time.monotonic() < deadline:
        time.sleep(0.02)


def _measure(pairs: int, ours: Callable[[], object], theirs: Callable[[], object], gone: Callable[[], None]) -> None:
    ours(), theirs(), gone()
    taken = [_pair(ours, theirs, gone, ours_first=number % 2 == 0) for number in range(pairs)]
    roost, engine = (statistics.median(each) * 1000 for each in zip(*taken, strict=True))
    low, ratio, high = statistics.quantiles([a / b for a, b in taken], n=4)
    print(f"roost run: {roost:.0f} ms; the engine's own: {engine:.0f} ms")
    print(f"ratio of pairs: {ratio:.3f} (half of them: {low:.3f} to {high:.3f})")


def _pair(
    ours: Callable[[], object], theirs: Callable[[], object], gone: Callable[[], None], *, ours_first: bool
) -> tuple[float, float]:
    """Each begins as often as the other: whoever comes second finds the machine busier, or warmer."""
    if ours_first:
        return _seconds(ours, gone), _seconds(theirs, gone)
    engine = _seconds(theirs, gone)
    return _seconds(ours, gone), engine


def _seconds(action: Callable[[], object], gone: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    taken = time.perf_counter() - started
    gone()
    return taken


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
