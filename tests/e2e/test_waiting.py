"""Who waits for somebody else's build is told so."""

from __future__ import annotations

import time

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost


def test_a_build_that_waits_for_another_of_the_same_definition_says_so(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("toy", "1.0")
    roost.write("requirements.txt", "toy\n")
    pip_index.hanging.add(pip_index.projects["toy"][0])
    first = roost.start("build", "--rebuild")
    deadline = time.monotonic() + 60
    while not any(path.startswith("/files/toy") for path in pip_index.asked):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    second = roost.start("build", "--as-of", "2026-01-01")
    assert second.stderr is not None
    lines = iter(second.stderr.readline, "")
    assert "roost: waiting: 1 other is being solved or built …\n" in lines
    pip_index.hanging.clear()
    pip_index.let_go.set()
    first.kill()
    assert any("done waiting for other builds" in line for line in lines), "its turn came"
