"""Limits of inotify that are really used up, and mounts that really change: in namespaces that end with the test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]


@pytest.mark.parametrize("scenario", ["limits", "mounts"])
def test_in_namespaces(scenario, tmp_path):
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode != 0:
        (pytest.fail if os.environ.get("ROOST_TEST_REQUIRE_ALL") else pytest.skip)("no user namespaces here")
    command = [*UNSHARE, sys.executable, "-m", "tests.support.file_watching", scenario, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[5])
    assert done.returncode == 0, done.stderr
