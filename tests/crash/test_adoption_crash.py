"""SIGKILL while a prefix of an older root gets its manifest: the next use gives it one, and it is served meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.older_roots import expected, root_of_format_1
from tests.support.roost_process import Roost

PREFIX = expected("plan")["plans"][0]["artifact"]["path"]
MANIFEST = Path(f"{PREFIX}.manifest")


def wait_until_answers_end(roost: Roost) -> None:
    deadline = time.monotonic() + 60
    while roost.run("daemon", "status").returncode == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert roost.run("daemon", "status").returncode == 5


@pytest.mark.parametrize("damage", ["none", "cut", "changed prefix"])
def test_a_daemon_that_dies_before_the_index_knows_the_manifest(damage: str) -> None:
    with root_of_format_1() as older:
        deadly = {"ROOST_FAILPOINT": "adopt.manifest-written"}  # of a daemon that the command starts, too
        older.ok("daemon", "start", variables=deadly)
        older.run("exec", "--", "true", variables=deadly)  # its answer may come before the daemon dies, or not
        wait_until_answers_end(older)
        assert MANIFEST.exists()
        if damage == "cut":
            MANIFEST.write_bytes(MANIFEST.read_bytes()[:100])
        if damage == "changed prefix":
            (Path(PREFIX) / "share/dated.txt").write_text("3\n")
        say = ("run", "--", "sh", "-c", "cat $CONDA_PREFIX/share/dated.txt; echo $CONDA_PREFIX")
        older.ok("run", "--", "true")
        deadline = time.monotonic() + 60
        while older.json("cache", "verify")["older"] and time.monotonic() < deadline:
            time.sleep(0.05)
        content, place = older.ok(*say).split()
        assert content == "2"
        assert (place == PREFIX) == (damage != "changed prefix")
        answer = older.json("cache", "verify")
        assert (answer["findings"], answer["older"]) == ([], 0)
