"""Machines for tests of images: each a root of its own, with the local channel, and with an engine or without one."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

Machine = Callable[..., Roost]
"""What makes machines."""
TRAIN = """name = "{name}"
[inference]
stack = "{name}"
[base]
image = "{base}"
{more}
[conda]
dependencies = ["python=3.11", "{package}"]
"""


@contextlib.contextmanager
def machine(
    channel_url: str,
    index: PipIndex,
    docker_host: str | None,
    registries: Registries | None = None,
    extra: str = "",
    prepared: Path | None = None,
) -> Iterator[Roost]:
    """roost on a root of its own, which begins with what ``prepared`` has. Without ``docker_host`` there is no engine
    where it looks for one."""
    roost = new_roost(prepared)
    text = f'[pip]\nindex_url = "{index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    text += f'[docker]\nhost = "{docker_host or "unix:///tmp/no-engine.sock"}"\n{extra}\n'
    if registries is not None:
        text += f'[registries]\nworkspace = "{registries.workspace.host}/team"\n'
        text += f'catalogues = ["{registries.catalogue.host}"]\n'
    roost.config.write_text(text)
    try:
        yield roost
    finally:
        roost.end()


def of_this_test() -> str:
    """A word that no other test has. All share an engine and what it remembers of steps: with this word in them, none
    removes another's images."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    return hashlib.sha256(test.encode()).hexdigest()[:8]


def write_definition(roost: Roost, base: str, more: str = "", *, package: str = "six=1.16") -> None:
    """The definition of most of these tests, with a digest for each test. Small: an engine takes its time for each
    file."""
    name = f"train-{of_this_test()}"
    roost.write("roost.toml", TRAIN.format(name=name, base=base, more=more, package=package))


def forget(client: docker.DockerClient, *names: str) -> None:
    """Remove images, if they are there."""
    for name in names:
        with contextlib.suppress(docker.errors.NotFound):
            client.images.remove(name, force=True)
