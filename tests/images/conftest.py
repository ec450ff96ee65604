"""Real parts for the tests of images: an engine, base images, registries."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.images import apt, prepared
from tests.support.images import debian as debian_parts
from tests.support.images import engines as docker_parts
from tests.support.images import registries as registry_parts
from tests.support.images.fault_registry import FaultRegistry, fault_registry
from tests.support.images.machines import Machine, machine
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost


def pytest_xdist_auto_num_workers() -> int:
    """``-n auto``: three times as many as processors. Two per processor leave a third of the processors' time unused
    here: the engine loads, and registries are waited for."""
    return 3 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 3 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """The address (``unix://…``) of a real engine; one for all processes of a test run."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    with docker_parts.engine(run_id) as host:
        yield host


@pytest.fixture(scope="session")
def newer_docker_host() -> Iterator[str]:
    """The address of an engine of Debian's next release, whose BuildKit knows here-documents; it has the base."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    with docker_parts.newer_engine(run_id) as host:
        docker_parts.import_image(host, "base", docker_parts.BASE)
        yield host


@pytest.fixture(scope="session")
def containerd_docker_host() -> Iterator[str]:
    """The address of an engine that keeps images in containerd's store; it has the base."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    with docker_parts.newer_engine(run_id, containerd=True) as host:
        docker_parts.import_image(host, "base", docker_parts.BASE)
        yield host


@pytest.fixture
def buildx(tmp_path: Path) -> dict[str, str]:
    """The variables with which the docker command has buildx: a folder for Docker's config, with the plugin."""
    plugins = tmp_path / "docker-config" / "cli-plugins"
    plugins.mkdir(parents=True)
    plugin = debian_parts.unpacked("docker-buildx") / "usr/libexec/docker/cli-plugins/docker-buildx"
    (plugins / plugin.name).symlink_to(plugin)
    return {"DOCKER_CONFIG": str(plugins.parent)}


@pytest.fixture(scope="session")
def base_image(docker_host: str) -> str:
    """A reference of a small real Debian, in the engine; it has no Python."""
    return docker_parts.import_image(docker_host, "base", docker_parts.BASE)


@pytest.fixture(scope="session")
def python_image(docker_host: str) -> str:
    """The same with ``/usr/bin/python3``: an image that brings its own Python."""
    return docker_parts.import_image(docker_host, "python", docker_parts.PYTHON)


@pytest.fixture
def apt_repository(docker_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a repository of Debian packages that containers of the engine reach."""
    with apt.repository(docker_host, tmp_path_factory.mktemp("apt")) as url:
        yield url


@pytest.fixture
def registries() -> Iterator[registry_parts.Registries]:
    """Two real registries on loopback, empty: the workspace's, and a global one."""
    with registry_parts.registry() as workspace, registry_parts.registry() as catalogue:
        yield registry_parts.Registries(workspace, catalogue)


@pytest.fixture
def docker_roost(docker_host: str) -> Iterator[Roost]:
    """roost as a user has it, with the tests' engine."""
    made = new_roost()
    made.config.write_text(f'[docker]\nhost = "{docker_host}"\n')
    yield made
    made.end()


@pytest.fixture
async def server() -> AsyncIterator[FaultRegistry]:
    """A registry that does what the test tells it to."""
    async with fault_registry() as made:
        yield made


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    """A package index on loopback, empty."""
    index = PipIndex()
    yield index
    index.close()


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    """The engine as the SDK has it, to look at what roost did there."""
    made = docker.DockerClient(base_url=docker_host)
    yield made
    made.close()


@pytest.fixture(scope="session")
def prepared_root(channel_url: str, docker_host: str, base_image: str) -> Path:
    """A root that has all that the usual definition needs, in an engine that has its layers."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    config = f'[docker]\nhost = "{docker_host}"\n[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    return prepared.prepared_root(run_id, config, docker_host, base_image)


@pytest.fixture(scope="session")
def registry_with_bases(docker_host: str, base_image: str, python_image: str) -> Path:
    """The data of a registry that has both images."""
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    return prepared.registry_with_bases(run_id, docker_host, base_image, python_image)


@pytest.fixture
def shared_base(registry_with_bases: Path, registries: registry_parts.Registries) -> str:
    """The base image in the global registry, as ``base:1``."""
    return prepared.add_base(registry_with_bases, registries.catalogue)


@pytest.fixture
def known_layers(registry_with_bases: Path, registries: registry_parts.Registries) -> None:
    """The layers of the base images in the global registry's repositories ``base``, ``python`` and ``tools``."""
    prepared.lend_layers(registry_with_bases, registries.catalogue, "base", "python", "tools")


@pytest.fixture
def new_machine(channel_url: str, pip_index: PipIndex, docker_host: str, prepared_root: Path) -> Iterator[Machine]:
    """Makes machines, with the options of ``tests.support.images.machines.machine``; they end with the test."""
    with contextlib.ExitStack() as stack:

        def make(**options) -> Roost:
            return stack.enter_context(
                machine(channel_url, pip_index, docker_host, **{"prepared": prepared_root, **options})
            )

        yield make
