"""The crash tests of whole builds use roost as the end-to-end tests do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.roost_process import Roost, new_roost


@pytest.fixture
def conda_roost(channel_url: str) -> Iterator[Roost]:
    """roost for which conda-forge is the local channel."""
    made = new_roost()
    made.config.write_text(f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n')
    yield made
    made.end()
