"""What the end-to-end tests share: roost as installed, on a root of its own, with a local channel and index."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, clone, new_roost

from roost.client import Workspace


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    """A package index on loopback, empty."""
    index = PipIndex()
    yield index
    index.close()


@pytest.fixture
def private() -> Iterator[PipIndex]:
    """A second index, for packages that the first must not give."""
    index = PipIndex()
    try:
        yield index
    finally:
        index.close()


@pytest.fixture
def roost(pip_index: PipIndex, request: pytest.FixtureRequest) -> Iterator[Roost]:
    """roost with the loopback index, and no channel."""
    made = new_roost(forks_daemon="starts_daemon" not in request.keywords)
    made.config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n')
    yield made
    made.end()


@pytest.fixture
def own_conda_roost(roost: Roost, channel_url: str) -> Roost:
    """roost for which conda-forge is the local channel, and which has no packages: for tests that change files in place
    (they are the same in all prefixes and caches that are linked from one), or whose subject is unpacking."""
    mirrors = f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    roost.config.write_text(roost.config.read_text() + mirrors)
    return roost


@pytest.fixture
def conda_roost(own_conda_roost: Roost, conda_packages: Path) -> Roost:
    """The same with what the usual definitions need unpacked and compiled: it is linked, so change no file in place."""
    clone(conda_packages, own_conda_roost.root / "packages")
    return own_conda_roost


@pytest.fixture
def workspace(roost: Roost, pip_index: PipIndex, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of the test's root, for this process."""
    for name in ("ROOST_HOME", "ROOST_CONFIG"):
        monkeypatch.setenv(name, roost.environ[name])
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    monkeypatch.chdir(roost.folder)
    roost.begin()
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    return Workspace.from_config()
