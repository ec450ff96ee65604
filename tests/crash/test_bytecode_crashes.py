"""SIGKILL while byte-code of a ready prefix is completed: no part of a file is ever readable, and the rest follows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.bytecode_prefix import MODULES, bytecode_of, list_due, make_prefix, wait_until_complete
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.daemon.prefixes.bytecode_digests import load_digests
from roost.daemon.prefixes.compilation import complete_bytecode, delete_unfinished

POINTS = ("compiled", "synced", "digests-saved", "stored:3", "linked:3")


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_point_and_completed_by_the_next(tmp_path: Path, point: str) -> None:
    task = make_prefix(tmp_path)
    killed = subprocess.run(
        [sys.executable, "-m", "tests.support.bytecode_prefix", str(tmp_path)],
        env={**os.environ, "ROOST_FAILPOINT": f"bytecode.{point}"},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    stored = {str(path): path.read_bytes() for path in Path(task.store).glob("[0-9a-f]*/**/*.pyc")}
    linked = bytecode_of(task.prefix)
    assert (len(stored), len(linked)) == {"stored:3": (3, 0), "linked:3": (7, 3)}.get(point, (0, 0))
    for path in stored:
        folder, _, name = path.partition("/part/")
        assert f"part/{name}" in load_digests(folder), "stored without a digest"
    delete_unfinished(task.store)
    assert asyncio.run(complete_bytecode(task)) == len(MODULES) - len(stored)
    assert bytecode_of(task.prefix) == dict.fromkeys(bytecode_of(task.prefix), 2)
    assert len(bytecode_of(task.prefix)) == len(MODULES)
    assert len(list(Path(task.store).iterdir())) == 1


@pytest.fixture
def roost() -> Iterator[Roost]:
    index = PipIndex()
    for name in ("one", "two"):
        index.wheel(name, "1.0")
    made = new_roost()
    made.config.write_text(f'[pip]\nindex_url = "{index.url}"\n')
    yield made
    made.end()
    index.close()


def test_the_command_starts_first_and_the_next_daemon_goes_on(roost: Roost) -> None:
    roost.write("requirements.txt", "one\ntwo\n")
    roost.variables["ROOST_FAILPOINT"] = "bytecode.complete"
    built = roost.json("build")["build"]
    prefix = built["artifacts"][0]["path"]
    assert list_due(roost.root) == [prefix]
    deadline = time.monotonic() + 60
    while roost.daemon_pid() is not None:  # killed after everything was linked
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(list(Path(prefix).rglob("site-packages/__pycache__/*.pyc"))) == 2
    del roost.variables["ROOST_FAILPOINT"]
    for path in Path(prefix).rglob("site-packages/__pycache__/one.*.pyc"):
        path.unlink()
    roost.ok("daemon", "start")
    wait_until_complete(roost.root)
    assert len(list(Path(prefix).rglob("site-packages/__pycache__/*.pyc"))) == 2
    answer = roost.json("cache", "verify")
    assert (answer["findings"], answer["rewritten"]) == ([], 0)
    check = "import sys, one, two; print(one.__cached__ is not None, one.value)"
    assert roost.ok("exec", "--", "python", "-c", check) == "True 1.0\n"

    # An edit in place reaches the store and every prefix, so it is found although no manifest has the file.
    (late,) = Path(prefix).rglob("site-packages/__pycache__/two.*.pyc")
    with open(late, "r+b") as stream:
        stream.seek(20)
        stream.write(b"edited")
    found = roost.run("cache", "verify", "--json")
    assert (found.returncode, json.loads(found.stdout)["findings"][0]["files"]) == (1, [str(late)])
    assert roost.json("cache", "verify", "--repair")["findings"][0]["replaced_by"]
    wait_until_complete(roost.root)
    assert roost.ok("exec", "--", "python", "-c", check) == "True 1.0\n"
