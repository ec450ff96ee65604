"""Plans say what is really to be done, and builds learn from each other how long that takes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import pytest
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost

CODE = "".join(f"def function_{n}(a):\n    return [a, {n}]\n" for n in range(500))


def plan(roost: Roost, *packages: str) -> dict:
    roost.write("requirements.txt", "".join(f"{each}\n" for each in packages))
    return roost.json("plan", "-t", "local", "--solve")["plans"][0]


def step(found: dict, kind: str) -> dict:
    return next(each for each in found["steps"] if each["kind"] == kind)


@pytest.fixture
def sizes(pip_index: PipIndex) -> dict[str, int]:
    """Three packages of the index, with the bytes of their wheels."""
    made = {name: wheel_bytes(name, "1.0", code=CODE * number) for number, name in enumerate(("aa", "bb", "cc"), 1)}
    for name, (file_name, content) in made.items():
        pip_index.add(name, (file_name, content))
    return {name: len(content) for name, (_, content) in made.items()}


def build(roost: Roost, name: str) -> list[dict]:
    """Build an environment of one package; the plans that were published meanwhile. Returns once the index knows what
    came into the caches."""
    roost.write("requirements.txt", f"{name}\n")
    messages = [json.loads(line) for line in roost.ok("build", "-t", "local", "--json").splitlines()]
    deadline = time.monotonic() + 60
    while not query(roost, "SELECT 1 FROM cached_files WHERE key = ? AND files > 0", f"pip:{name}==1.0"):
        assert time.monotonic() < deadline, "the caches were not compared"
        time.sleep(0.02)
    return [message["plan"] for message in messages if message.get("event") == "plan"]


def query(roost: Roost, statement: str, *values: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(f"file:{roost.root / 'index.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, values).fetchall()


def test_plans_are_of_what_is_left_and_learned_rates_outlive_the_daemon(roost: Roost, sizes: dict[str, int]) -> None:
    empty = plan(roost, "aa", "bb")
    assert step(empty, "download")["bytes"] == sizes["aa"] + sizes["bb"]
    assert empty["seconds"] > 0
    shown = roost.ok("plan", "-t", "local")
    assert "known once the packages are chosen" in shown
    assert " in all" not in shown

    # A build publishes its plan again once its lock is known; before that, only the solve is predicted.
    before, after = build(roost, "aa")
    assert next(each["kind"] for each in before["steps"]) == "lock-pip"
    assert before["seconds"] is None
    assert step(before, "pip")["seconds"] is None
    assert [each["kind"] for each in after["steps"]] == ["download", "pip", "bytecode", "publish"]
    assert step(after, "download")["bytes"] == sizes["aa"]
    assert after["seconds"] > 0

    learned = plan(roost, "aa", "bb", "cc")
    assert step(learned, "download")["bytes"] == sizes["bb"] + sizes["cc"]
    assert step(learned, "pip")["packages"] == 3
    assert {"lock-pip", "pip", "bytecode", "publish", "total"} <= {
        row[0] for row in query(roost, "SELECT DISTINCT step FROM durations")
    }
    assert learned["seconds"] != empty["seconds"]
    solved = roost.ok("plan", "-t", "local", "--solve")
    assert "  time   about " in solved
    assert "known once" not in solved

    roost.ok("daemon", "stop")
    absurd = [("pip", 1e300, "{}"), ("pip", -1.0, "{}"), ("total", 5.0, '{"steps": 1e999}'), ("pip", 1.0, "nonsense")]
    with contextlib.closing(sqlite3.connect(roost.root / "index.db")) as connection, connection:
        connection.executemany("INSERT INTO durations (step, seconds, amounts) VALUES (?, ?, ?)", absurd)
    assert plan(roost, "aa", "bb", "cc")["seconds"] == learned["seconds"]
