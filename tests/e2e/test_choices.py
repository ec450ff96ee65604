"""What a request chooses among the things that its file offers, and adds to it: over the command line."""

from __future__ import annotations

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

NAMES = ("base", "fast", "slow", "tool", "docs", "more")
PROJECT = """[project]
name = "own"
version = "1"
dependencies = ["base"]
[project.optional-dependencies]
fast = ["fast"]
slow = ["slow"]
all = ["own[fast]", "own[slow]"]
[dependency-groups]
dev = ["tool"]
docs = ["docs", { include-group = "more" }]
more = ["more"]
"""
LIST = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
SAY = ("--", "python", "-c", LIST)


def fill(index: PipIndex) -> None:
    for name in NAMES:
        index.wheel(name, "1.0")


def test_extras_and_groups_are_chosen_and_named_once(roost: Roost, pip_index: PipIndex) -> None:
    fill(pip_index)
    roost.write("pyproject.toml", PROJECT)
    plain = roost.json("digest")["definition_digest"]
    cases = {
        (): "base tool",
        ("--extra", "fast"): "base fast tool",
        ("--extra", "Fast", "--extra", "slow"): "base fast slow tool",
        ("--extra", "all"): "base fast slow tool",
        ("--group", "docs"): "base docs more tool",
    }
    digests = set()
    for options, expected in cases.items():
        first = roost.run("run", *options, *SAY)
        assert (first.stdout.strip(), first.returncode) == (expected, 0), first.stderr
        assert first.stderr.count("roost: With group") == ("all" not in options), "another definition is stated"
        for command in ("run", "exec"):
            again = roost.run(command, *options, *SAY)
            assert again.stdout.strip() == expected
            assert "With group" not in again.stderr, "it is said once"
        digests.add(roost.json("digest", *options)["definition_digest"])
    assert roost.json("digest")["definition_digest"] == plain
    assert len(digests) == 4, "an extra that only names others is what they are together"
    [plan] = roost.json("plan", "--extra", "fast")["plans"]
    assert plan["reasons"][-1] == {
        "code": "choices-read",
        "message": "With group dev and extra fast; without groups docs, more (--group) and extras slow, all (--extra)",
    }


def test_choices_that_there_are_not_are_refused_by_name(roost: Roost) -> None:
    roost.write("pyproject.toml", PROJECT + '[tool.uv]\nconflicts = [[{ extra = "fast" }, { extra = "slow" }]]\n')
    roost.write("requirements/base.txt", "base\n")
    error = roost.failed(3, "plan", "--extra", "fats")
    assert error["code"] == "choice-unknown"
    assert "did you mean 'fast'" in error["message"]
    assert "fast, slow, all" in error["hint"]
    assert roost.failed(3, "plan", "--group", "fast")["code"] == "choice-unknown"
    error = roost.failed(3, "plan", "--extra", "all")
    assert error["code"] == "choices-conflict"
    assert "extra 'fast' and extra 'slow'" in error["message"]
    error = roost.failed(3, "plan", "-f", "requirements/base.txt", "--group", "docs")
    assert error["code"] == "choice-unavailable"
    assert "--group docs" in error["message"]
