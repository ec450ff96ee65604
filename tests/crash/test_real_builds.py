"""SIGKILL of the daemon at random moments of real builds: nothing half-made is ever served, and the next try works."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.roost_process import Roost

ROUNDS = 8
CHECK = "import numpy, six; print(numpy.__version__, (numpy.ones((3, 3)) @ numpy.ones(3)).sum())"


def ready_rows(root: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(f"file:{root}/index.db?mode=ro", uri=True)) as index:
        return index.execute("SELECT path, state FROM artifacts").fetchall()


def folders(root: Path) -> set[str]:
    return {str(p) for p in (root / "prefixes").iterdir() if p.is_dir()}


def kill_during(roost: Roost, delay: float) -> None:
    """Begin a build and kill the daemon ``delay`` seconds after it was announced."""
    pid = roost.daemon_pid()
    assert pid is not None
    building = roost.start("build", "--rebuild", "--json")
    timer = threading.Timer(delay, os.kill, (pid, signal.SIGKILL))
    timer.start()
    status = building.wait(60)
    timer.join()
    assert status in (0, 1, 4, 5), building.stderr.read() if building.stderr else ""


def wait_until_empty(*folders: Path) -> None:
    """What a killed daemon left is deleted in the background of the next."""
    deadline = time.monotonic() + 60
    while left := [path for folder in folders for path in folder.iterdir()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


@pytest.mark.long
@pytest.mark.timeout(280)
def test_killed_at_random_times_of_real_builds(conda_roost: Roost) -> None:
    roost = conda_roost
    roost.write("environment.yml", "channels: [conda-forge]\ndependencies: [python=3.11, numpy, six]\n")
    started = time.monotonic()
    first = roost.json("build")["build"]
    assert first["state"] == "succeeded"
    whole = time.monotonic() - started
    chance = random.Random(20260102)
    for number in range(ROUNDS):
        # Another definition each time, so that there is a prefix to make.
        six = "six=1.16" if number % 2 else "six=1.17"
        roost.write(
            "environment.yml", f"channels: [conda-forge]\ndependencies: [python=3.11, numpy, {six}, python-tzdata]\n"
        )
        drop_prefix(roost)
        kill_during(roost, chance.uniform(0, whole))
        roost.ok("daemon", "start")
        rows = ready_rows(roost.root)
        assert all(state == "ready" for _, state in rows), rows
        assert {path for path, _ in rows} == folders(roost.root)
        wait_until_empty(roost.root / "stage", roost.root / "trash")
        assert all(b["state"] not in ("solving", "building", "queued") for b in roost.json("builds", "list")["builds"])
        assert roost.ok("exec", "--", "python", "-c", CHECK).strip() == "2.1.3 9.0"


def drop_prefix(roost: Roost) -> None:
    """Break the newest prefix, so that the next build must make one anew."""
    for path, _ in ready_rows(roost.root):
        python = Path(path, "bin", "python")
        if python.exists() and len(ready_rows(roost.root)) > 1:
            python.unlink()


def test_the_next_try_after_a_kill_says_what_happened_to_the_last(conda_roost: Roost) -> None:
    roost = conda_roost
    roost.variables["ROOST_FAILPOINT"] = "publish.synced"
    roost.write("environment.yml", "channels: [conda-forge]\ndependencies: [python=3.11, six]\n")
    done = roost.run("build", "--json")
    assert done.returncode == 5, done.stderr
    body = json.loads((done.stdout.strip() or done.stderr.strip()).splitlines()[-1])
    assert body["retryable"]
    del roost.variables["ROOST_FAILPOINT"]
    builds = roost.json("builds", "list")["builds"]
    assert [(b["state"], b["error"]["code"]) for b in builds] == [("failed", "daemon-stopped")]
    assert folders(roost.root) == set()
    assert roost.json("build")["build"]["state"] == "succeeded"
