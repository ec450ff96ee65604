"""Garbage collection as people see it: what is in use stays whole, and what went comes back from its lock."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

LAZY = "import sys; print('ready', flush=True); sys.stdin.readline(); import greet; print(greet.value, flush=True)"


@pytest.fixture
def prefix(roost: Roost, pip_index: PipIndex) -> Path:
    """A prefix with ``greet``, which a command has used."""
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    roost.write("requirements.txt", "greet==1.0\n")
    return use(roost)


def use(roost: Roost) -> Path:
    """Run a command in the environment; its prefix."""
    return Path(roost.ok("exec", "--", "python", "-c", "import greet, sys; print(sys.prefix)").strip())


def lock_of(roost: Roost) -> str:
    return str(roost.json("plan")["lock_digest"])


def collect(roost: Roost, *options: str) -> Any:
    return roost.json("cache", "gc", "--all", *options)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def prefixes_of(view: Any, state: str = "removed") -> list[str]:
    return [step["id"] for step in view["steps"] if step["kind"] == "prefix" and step["state"] == state]


@pytest.fixture
def users(roost: Roost, prefix: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """A command, a shell, and a detached run in the environment."""
    started = [roost.start("exec", "--", "python", "-c", LAZY, stdin=subprocess.PIPE)]
    started.append(roost.start("shell", stdin=subprocess.PIPE))
    shell = started[1]
    assert started[0].stdout is not None and started[0].stdout.readline() == "ready\n"  # noqa: PT018
    assert shell.stdin is not None and shell.stdout is not None  # noqa: PT018
    shell.stdin.write("echo ready\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == "ready\n"
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_what_is_in_use_stays_whole_and_what_went_comes_back_from_its_lock(
    roost: Roost, pip_index: PipIndex, prefix: Path, users: list[subprocess.Popen[str]]
) -> None:
    digest, command, shell = lock_of(roost), *users
    view = collect(roost)
    assert prefixes_of(view) == []
    (kept,) = [each for each in view["kept"] if each["kind"] == "prefix"]
    assert "used by process" in kept["reason"]
    assert prefix.is_dir()
    # Modules that nobody has imported yet are there, in the command as in the shell.
    out, _ = command.communicate("\n", timeout=60)
    assert out == "1.0\n"
    out, _ = shell.communicate("python -c 'import greet; print(greet.value)'\nexit\n", timeout=60)
    assert out == "1.0\n"

    view = collect(roost, "--dry-run")
    assert view["dry_run"] is True
    assert prefix.is_dir(), "a dry run removes nothing"
    assert prefixes_of(collect(roost)) == prefixes_of(view, "planned") != []
    assert not prefix.exists()
    pages = pip_index.asked["/simple/greet/"]
    again = use(roost)
    assert again != prefix, "a path is used once"
    assert lock_of(roost) == digest
    assert pip_index.asked["/simple/greet/"] == pages, "no solve"


def test_a_package_that_can_not_be_had_any_more_is_named(roost: Roost, pip_index: PipIndex, prefix: Path) -> None:
    collect(roost)
    pip_index.files.clear()
    for cache in ("uv", "fetched"):  # whether or not the collection has taken them
        subprocess.run(["rm", "-rf", roost.root / "wheels" / cache], check=True)
    body = roost.failed(4, "build")
    assert "greet" in body["message"]


def test_a_prefix_that_is_asked_for_while_it_goes_is_built_again(roost: Roost, pip_index: PipIndex) -> None:
    hold, trace = roost.folder / "hold", roost.folder / "trace"
    roost.variables |= {
        "ROOST_FAILPOINT_HOLD": f"delete.unleased={hold}",
        "ROOST_FAILPOINT_TRACE": str(trace),
    }
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet==1.0\n")
    prefix = use(roost)
    hold.touch()
    collecting = roost.start("cache", "gc", "--all", "--json")
    wait_for(lambda: "point delete.unleased\n" in trace.read_text())
    assert prefix.is_dir(), "it has not been moved yet"
    answers: list[Path] = []
    asking = threading.Thread(target=lambda: answers.append(use(roost)))
    asking.start()
    asking.join(120)
    hold.unlink()
    out, errors = collecting.communicate(timeout=120)
    assert collecting.returncode == 0, errors
    assert json.loads(out)["freed_bytes"] > 0
    assert len(answers) == 1, "no error"
    assert answers[0] != prefix
    assert answers[0].is_dir()
    assert not prefix.exists()


def test_pins_protect_an_environment_until_they_are_removed(roost: Roost, prefix: Path) -> None:
    roost.ok("env", "register", "--name", "train")
    digest = lock_of(roost)
    assert roost.ok("cache", "pin", "train:1") == f"{digest} is pinned\n"
    assert prefixes_of(collect(roost)) == []
    assert prefix.is_dir()
    assert roost.json("cache", "df")["artifacts"][0]["protected_by"] == ["pin"]
    assert roost.ok("cache", "unpin", "train:1") == f"{digest} is no longer pinned\n"
    assert roost.ok("cache", "unpin", "train:1") == "It was not pinned\n"
    assert len(prefixes_of(collect(roost))) == 1
    assert roost.failed(7, "cache", "pin", "absent")["code"] == "environment-unknown"
    assert roost.failed(7, "cache", "pin", "p-0123456789abcdef")["code"] == "lease-target-unknown"


def test_the_text_names_rules_numbers_ages_and_the_next_run(roost: Roost, prefix: Path) -> None:
    text = roost.ok("cache", "gc", "--all", "--dry-run", "--explain")
    lines = text.splitlines()
    assert lines[0].split() == ["RULE", "KIND", "ID", "FREES", "AGE", "REASON"]
    (row,) = [line for line in lines if line.startswith("prefixes ") and "p-" in line]
    assert "it is built again from its lock when it is needed" in row
    for word in ("in use", "budget", "free", "floor", "cache.prefix_days", "would be freed by", "Next by itself: "):
        assert word in text, word
    assert "Nothing has to go" in roost.ok("cache", "gc")
    assert prefix.is_dir()


def test_a_build_beyond_the_budget_makes_the_least_recently_used_go(roost: Roost, prefix: Path) -> None:
    limits = "[cache]\nbudget_bytes = 1\nmin_free_bytes = 0\nprefix_days = 0\npackage_days = 0\n"
    roost.config.write_text(roost.config.read_text() + limits)
    roost.write("requirements.txt", "greet==2.0\n")
    newest = use(roost)
    wait_for(lambda: not prefix.exists())
    wait_for(lambda: "cache-collected" in roost.ok("events"))
    assert newest != prefix


def test_a_root_of_an_older_version_says_when_it_begins(roost: Roost, prefix: Path) -> None:
    roost.stop()
    with sqlite3.connect(roost.root / "index.db") as index:
        index.execute("INSERT INTO collection_state VALUES ('begins', '2999-01-01T00:00:00.000000Z')")
    index.close()
    text = roost.ok("cache", "gc", "--dry-run")
    assert "it only reports, since an older version made this root" in text
    assert "until 2999" not in text, "a clock that was wrong does not put it off for ever"
    assert len(prefixes_of(collect(roost))) == 1, "a person collects at once"
    assert os.listdir(roost.root / "trash") == []
