"""An idle daemon costs little: no wake-ups, little memory, nothing heavy imported."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

HEAVY = (
    *("rattler", "docker", "uv", "hypothesis", "requests", "urllib3"),
    *("importlib.metadata", "tarfile", "zipfile"),
)
MEMORY_BYTES = 70 * 10**6
pytestmark = [pytest.mark.starts_daemon, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


def _status(pid: int, name: str) -> int:
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        found = re.search(rf"^{name}:\s+(\d+)", status.read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total


def test_it_sleeps_when_nobody_asks(daemons: Any) -> None:
    daemon = daemons.start("--start")
    before, deadline = -1, time.monotonic() + 30
    while before != (before := _status(daemon.process.pid, "voluntary_ctxt_switches")) and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(3)
    assert _status(daemon.process.pid, "voluntary_ctxt_switches") == before


def test_it_is_small_before_its_first_build(daemons: Any) -> None:
    daemon = daemons.start("--start")
    for _ in range(5):
        daemon.ask("/v1/version")
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    resident = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert resident is not None
    assert int(resident[1]) * 1024 < MEMORY_BYTES


def test_nothing_heavy_is_imported_at_the_start() -> None:
    script = f"import sys, roost.daemon.serve; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
