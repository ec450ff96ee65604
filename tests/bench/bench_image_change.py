"""One package of twenty changed: what is pushed, how long it takes against Docker's own way, and what a pull is then.

    python -m tests.bench.bench_image_change [PAIRS]

Twenty packages (Python, pip, numpy, pandas, scipy, scikit-learn and smaller ones) on the tests' base image, pushed to a
registry on loopback. Then, in turns, one package of 3 MB gets a new version: ``roost build`` and ``roost image push``
against ``docker build`` and ``docker push`` of the equivalent Dockerfile (the same Python, ``RUN pip install -r`` from
the same index). Goals: bytes pushed at most that package's layer and 64 KiB; at least 10 times less time; a pull where
the old image is at least 5 times shorter than a whole one. Needs root, ``dockerd`` and ``docker-registry``.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from tests.support.images import engines as docker_parts
from tests.support.images.machines import machine
from tests.support.images.registries import Registries, registry
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

SLACK = 64 << 10
SIZE = 3 << 20
REAL = (
    "numpy==1.26.4",
    "pandas==2.2.3",
    "scikit-learn==1.5.2",
    "scipy==1.14.1",
    "joblib==1.4.2",
    "threadpoolctl==3.5.0",
    "python-dateutil==2.9.0.post0",
    "pytz==2024.2",
    "tzdata==2024.2",
    "six==1.17.0",
)
SMALL = tuple(f"small-{number}==1.0" for number in range(7))
DEFINITION = """name = "{name}"
[base]
image = "{base}"
[conda]
dependencies = ["python=3.11", "pip"]
[pip]
requirements = [{pip}]
"""
DOCKERFILE = """FROM {python}
COPY requirements.txt /requirements.txt
RUN /opt/roost/env/bin/python -m pip install --no-cache-dir --break-system-packages \\
    --index-url {index} --requirement /requirements.txt
"""


@dataclass
class Bench:
    """All the parts, and what was measured."""

    roost: Roost
    puller: Roost
    host: str
    puller_host: str
    index: PipIndex
    registries: Registries
    base: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)
    """Bytes that the registry got, and those of the changed package's layer."""
    pulls: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of a pull beside the old image, and of a whole one."""

    def define(self, version: int) -> list[str]:
        """Write the definition with the changed package in ``version``; its requirements."""
        wanted = [*REAL, *SMALL, f"changed=={version}.0"]
        for roost in (self.roost, self.puller):
            text = DEFINITION.format(name="twenty", base=self.base, pip=", ".join(f'"{item}"' for item in wanted))
            roost.write("roost.toml", text)
        return wanted

    def docker(self, *words: str, host: str | None = None) -> str:
        """Docker's command line; its standard output."""
        environ = {**os.environ, "DOCKER_BUILDKIT": "0"}
        command = ["docker", "-H", host or self.host, *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def build_and_push(self) -> None:
        self.roost.ok("build")
        self.roost.ok("image", "push")

    def their_build_and_push(self, folder: Path, version: int) -> None:
        name = f"{self.registries.workspace.host}/equivalent:{version}"
        self.docker("build", "--quiet", "--network", "host", "--tag", name, str(folder))
        self.docker("push", "--quiet", name)


def main(pairs: int) -> None:
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(_parts(stack))
        folder = _equivalent(bench)
        for version in range(pairs + 1):
            _round(bench, folder, version)
        for version in range(1, pairs + 1):
            _pulls(bench, version)
        _report(bench)


@contextlib.contextmanager
def _parts(stack: contextlib.ExitStack) -> Iterator[Bench]:
    host = stack.enter_context(docker_parts.engine("bench"))
    other = f"unix://{stack.enter_context(docker_parts.shared('benchpul'))}/d.sock"
    registries = Registries(stack.enter_context(registry()), stack.enter_context(registry()))
    index = PipIndex()
    stack.callback(index.close)
    _offer(index)
    url = (_channel() / "conda-forge").as_uri()
    roost, puller = (
        stack.enter_context(machine(url, index, address, registries=registries)) for address in (host, other)
    )
    roost.forks_daemon = puller.forks_daemon = False  # what is measured are daemons as a user's
    bench = Bench(roost, puller, host, other, index, registries, f"{registries.catalogue.host}/base:1")
    bench.docker("tag", docker_parts.import_image(host, "base", docker_parts.BASE), bench.base)
    bench.docker("push", "--quiet", bench.base)
    try:
        yield bench
    finally:
        _forget(bench)


def _channel() -> Path:
    built = subprocess.check_output([sys.executable, "-m", "tests.support.channel.build"], text=True)
    return Path(built.strip())


def _offer(index: PipIndex) -> None:
    """The real wheels that the channel was made of, and small ones."""
    for path in sorted((_channel().parent / "wheels").glob("*.whl")):
        index.add(path.name.split("-")[0].replace("_", "-").lower(), (path.name, path.read_bytes()))
    for item in SMALL:
        name, _, version = item.partition("==")
        index.wheel(name, version)


def _equivalent(bench: Bench) -> Path:
    """A folder with the Dockerfile; its base is the same Python, with pip, as an image."""
    text = DEFINITION.format(name="python", base=bench.base, pip="")
    bench.roost.write("python/roost.toml", text)
    [image] = bench.roost.json("build", "-f", "python/roost.toml")["build"]["artifacts"]
    folder = bench.roost.folder / "equivalent"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE.format(python=image["reference"], index=bench.index.url))
    return folder


def _round(bench: Bench, folder: Path, version: int) -> None:
    """A new version on both ways; the first one is the whole, and does not count."""
    code = f"data = '{base64.b64encode(random.Random(version).randbytes(SIZE * 3 // 4)).decode()}'\n"
    bench.index.add("changed", wheel_bytes("changed", f"{version}.0", (), code))
    (folder / "requirements.txt").write_text("\n".join(bench.define(version)) + "\n")
    before = _stored(bench)
    ours = _seconds(bench.build_and_push)
    sent = _stored(bench) - before
    theirs = _seconds(lambda: bench.their_build_and_push(folder, version))
    kind = "whole" if version == 0 else "one changed"
    print(
        f"{kind}: roost {ours:.2f} s, {sent:,} bytes; docker {theirs:.2f} s, {_stored(bench) - before - sent:,} bytes"
    )
    if version > 0:
        bench.ours.append(ours)
        bench.theirs.append(theirs)
        bench.sent.append((sent, _layer(bench.roost.json("image", "show"), "changed")))


def _stored(bench: Bench) -> int:
    """Bytes of all blobs that the workspace's registry holds."""
    return sum(path.stat().st_size for path in bench.registries.workspace.folder.glob("data/**/blobs/**/data"))


def _layer(shown: dict[str, Any], name: str) -> int:
    """Bytes of the layer that holds the package."""
    held = [x for x in shown["layers"] if len(x.get("packages", [])) < 15]  # the one on top names them all
    return next(x["size"] for x in held if any(p.startswith(f"{name} ") for p in x.get("packages", [])))


def _pulls(bench: Bench, version: int) -> None:
    """Where nothing is, and where the version before is."""
    bench.define(version)
    _empty(bench)
    whole = _seconds(lambda: bench.puller.ok("image", "pull"))
    _empty(bench)
    bench.define(version - 1)
    bench.puller.ok("image", "pull")
    bench.define(version)
    beside = _seconds(lambda: bench.puller.ok("image", "pull"))
    print(f"pull: whole {whole:.2f} s, beside the old image {beside:.2f} s")
    bench.pulls.append((beside, whole))


def _empty(bench: Bench) -> None:
    client = docker.from_env(environment={"DOCKER_HOST": bench.puller_host})
    for image in client.images.list(all=True):
        with contextlib.suppress(docker.errors.NotFound):
            client.images.remove(image.id, force=True)
    client.close()


def _forget(bench: Bench) -> None:
    """The engine may be the machine's own: leave nothing in it."""
    for image in bench.roost.json("image", "list")["images"]:
        with contextlib.suppress(AssertionError):
            bench.docker("rmi", "--force", image["name"])
    for name in bench.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if name.startswith((bench.registries.workspace.host, bench.registries.catalogue.host)):
            bench.docker("rmi", "--force", name)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _report(bench: Bench) -> None:
    over = max(sent - layer for sent, layer in bench.sent)
    print(
        f"pushed: {bench.sent[-1][0]:,} bytes for a layer of {bench.sent[-1][1]:,}: {over:,} over it at the most",
        end=" ",
    )
    print(f"(goal {SLACK:,})")
    ratio = statistics.median(a / b for a, b in zip(bench.theirs, bench.ours, strict=True))
    ours, theirs = statistics.median(bench.ours), statistics.median(bench.theirs)
    print(f"build and push: roost {ours:.2f} s, docker {theirs:.2f} s: median ratio {ratio:.1f} (goal 10)")
    pulled = statistics.median(whole / beside for beside, whole in bench.pulls)
    print(f"pull: {pulled:.1f} times shorter than a whole one (goal 5)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
