"""The crash tests of whole builds use roost as the end-to-end tests do."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.roost_process import Roost


@pytest.fixture
def conda_roost(channel_url: str) -> Iterator[Roost]:
    """roost for which conda-forge is the local channel."""
    made = Roost(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")), Path(tempfile.mkdtemp(prefix="w", dir="/tmp")))
    made.config.write_text(f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n')
    yield made
    made.end()
