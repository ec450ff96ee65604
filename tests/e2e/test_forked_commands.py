"""The tests fork most commands from a process that has imported the client: these do what the launcher's do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support.forked_commands import run_forked
from tests.support.roost_process import CLIENT, ROOST, Roost

COMMANDS = (
    ("--version",),
    ("build", "--help"),
    ("no-such-command",),
    ("plan", "--json"),
    ("plan", "-f", "absent-ü.txt"),
    ("runs", "list"),
    ("env", "show", "--json", "ünknown"),
    ("daemon", "status", "--json"),
)


def launched(roost: Roost, *words: str) -> tuple[int, str, str]:
    done = subprocess.run([ROOST, *words], cwd=roost.folder, env=roost.environ, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def forked(roost: Roost, *words: str) -> tuple[int, str, str]:
    done = run_forked([CLIENT, *words], roost.folder, roost.environ, 60)
    assert done is not None
    return done.returncode, done.stdout, done.stderr


def test_a_forked_command_says_what_a_launched_one_says(roost: Roost) -> None:
    roost.write("requirements.txt", "# nothing\n")
    roost.ok("build")
    for variables in ({}, {"LC_ALL": "C"}, {"COLUMNS": "60"}):
        roost.variables = variables
        assert [forked(roost, *words) for words in COMMANDS] == [launched(roost, *words) for words in COMMANDS]


def test_commands_that_run_at_once_end_each_on_its_own(roost: Roost) -> None:
    roost.write("requirements.txt", "# nothing\n")
    run = roost.ok("run", "--detach", "--", "sh", "-c", "while [ ! -e end ]; do sleep 0.01; done").strip()
    following = threading.Thread(target=lambda: ended.append(forked(roost, "runs", "logs", "-f", run)[0]))
    ended: list[int] = []
    following.start()
    assert forked(roost, "runs", "list")[0] == 0
    assert ended == []
    roost.write("end", "")
    following.join(60)
    assert ended == [0]


def test_a_command_that_does_not_end_is_killed(roost: Roost) -> None:
    roost.write("requirements.txt", "# nothing\n")
    run = roost.ok("run", "--detach", "--", "sleep", "1000").strip()
    with pytest.raises(subprocess.TimeoutExpired):
        run_forked([CLIENT, "runs", "logs", "-f", run], roost.folder, roost.environ, 1)
    roost.ok("runs", "cancel", run)


def test_an_order_that_is_too_long_is_not_forked(tmp_path: Path) -> None:
    assert run_forked([sys.executable], tmp_path, {**os.environ, "LONG": "x" * 60_000}, 60) is None
