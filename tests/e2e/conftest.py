"""What the end-to-end tests share: roost as installed, on a root of its own, with a local channel and index."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.client import Workspace


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    """A package index on loopback, empty."""
    index = PipIndex()
    yield index
    index.close()


@pytest.fixture
def roost(pip_index: PipIndex) -> Iterator[Roost]:
    """roost with the loopback index, and no channel."""
    made = new_roost()
    made.config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n')
    yield made
    made.end()


@pytest.fixture
def conda_roost(roost: Roost, channel_url: str) -> Roost:
    """roost for which conda-forge is the local channel."""
    mirrors = f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    roost.config.write_text(roost.config.read_text() + mirrors)
    return roost


@pytest.fixture
def workspace(roost: Roost, pip_index: PipIndex, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The workspace of the test's root, for this process."""
    for name in ("ROOST_HOME", "ROOST_CONFIG"):
        monkeypatch.setenv(name, roost.environ[name])
    monkeypatch.delenv("ROOST_SOCKET", raising=False)
    monkeypatch.chdir(roost.folder)
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    return Workspace.from_config()
