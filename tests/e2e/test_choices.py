"""What a request chooses among the things that its file offers, and adds to it: over the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.channel.pythons import Interpreter, find_interpreters
from tests.support.interpreters import OWN_MINOR, home_with, need_pythons
from tests.support.pip_index import PipIndex, wheel_bytes
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
    project = roost.write("pyproject.toml", PROJECT)
    cases = {
        (): "base tool",
        ("--extra", "Fast", "--extra", "slow"): "base fast slow tool",
        ("--extra", "all"): "base fast slow tool",
        ("--group", "docs"): "base docs more tool",
    }
    for options, expected in cases.items():
        first = roost.run("run", *options, *SAY)
        assert (first.stdout.strip(), first.returncode) == (expected, 0), first.stderr
        assert first.stderr.count("roost: with group") == ("all" not in options), "another definition is stated"
    again = roost.run("run", "--group", "docs", *SAY)
    assert again.stdout.strip() == "base docs more tool"
    assert "with group" not in again.stderr, "it is said once"
    [plan] = roost.json("plan", "--extra", "fast")["plans"]
    assert plan["reasons"][-1] == {
        "code": "choices-read",
        "message": "With group dev and extra fast; without groups docs, more (--group) and extras slow, all (--extra)",
    }

    project.write_text(PROJECT + '[tool.uv]\nconflicts = [[{ extra = "fast" }, { extra = "slow" }]]\n')
    error = roost.failed(3, "plan", "--extra", "fats")
    assert error["code"] == "choice-unknown"
    assert "did you mean 'fast'" in error["message"]
    assert "fast, slow, all" in error["hint"]
    error = roost.failed(3, "plan", "--extra", "all")
    assert error["code"] == "choices-conflict"
    assert "extra 'fast' and extra 'slow'" in error["message"]
    roost.write("requirements/base.txt", "base\n")
    error = roost.failed(3, "plan", "-f", "requirements/base.txt", "--group", "docs")
    assert error["code"] == "choice-unavailable"
    assert "--group docs" in error["message"]


WHICH = ("--", "python", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def test_the_python_of_an_option_comes_before_that_of_a_file(roost: Roost, pip_index: PipIndex, tmp_path: Path) -> None:
    (python,) = need_pythons(1)
    roost.variables |= home_with(tmp_path / "home", python)
    pip_index.wheel("base", "1.0")
    roost.write("requirements.txt", "base\n")
    digest = roost.json("digest")["definition_digest"]

    def minor(*options: str) -> str:
        return roost.ok("exec", *options, *WHICH).strip()

    assert (minor(), minor("--python", python.minor), minor("--python", python.version)) == (
        OWN_MINOR,
        python.minor,
        python.minor,
    )
    file = roost.write(".python-version", f"# ours\n{python.version}\n3.99\n")
    assert minor() == python.minor, "a launch plan notices that the file appeared"
    assert [each["path"] for each in roost.json("digest")["inputs"]][-1] == str(file)
    assert minor("--python", OWN_MINOR) == OWN_MINOR
    assert list((roost.root / "launch").rglob(f"@choices/python={OWN_MINOR}/@exec")), "the next one needs no daemon"
    file.write_text("pypy3.10\n")
    done = roost.run("run", *WHICH)
    assert done.stdout.strip() == OWN_MINOR
    assert ".python-version:1:1: 'pypy3.10' is not a version such as 3.12" in done.stderr
    file.unlink()
    assert roost.json("digest")["definition_digest"] == digest

    roost.write("requirements.txt", "base\n# edited\n")
    above = roost.write("pyproject.toml", f'[project]\nname = "own"\nrequires-python = "=={OWN_MINOR}.*"\n')
    error = roost.failed(3, "plan", "-f", "pyproject.toml", "--python", python.minor)
    assert error["code"] == "python-conflict"
    assert f"--python {python.minor} is outside requires-python '=={OWN_MINOR}.*'" in error["message"]
    assert (error["location"]["path"], error["location"]["line"]) == (str(above), 3)
    file.write_text(f"{python.minor}\n")
    done = roost.run("plan", "-f", "pyproject.toml")
    assert f"{python.minor} is outside requires-python" in done.stderr
    assert "this file is not used" in done.stderr
    file.unlink()

    error = roost.failed(2, "plan", "--python", "pypy3.10")
    assert "expected a version such as 3.12" in error["message"]


def test_packages_are_added_for_one_request(roost: Roost, pip_index: PipIndex) -> None:
    fill(pip_index)
    project = roost.write("pyproject.toml", PROJECT)
    before = project.read_bytes()
    roost.ok("run", *SAY)
    pip_index.wheel("base", "2.0")
    versions = roost.json("env", "list")["environments"]
    plain = roost.json("plan")
    value = ("--", "python", "-c", "import base; print(base.value)")
    added = roost.ok("run", "--with", "slow>=1", "--", "python", "-c", "import base, slow; print(base.value)")
    assert added == "1.0\n", "the versions without additions are preferred"
    assert roost.ok("exec", "--with", "base==2.0", *value) == "2.0\n"
    assert roost.json("plan")["lock_digest"] == plain["lock_digest"]
    assert roost.json("env", "list")["environments"] == versions, "no version is registered"
    assert project.read_bytes() == before
    [run] = [each for each in roost.json("runs", "list")["runs"] if each["options"]]
    assert run["options"] == {"with": ["slow>=1"]}
    assert run["environment"]["version"] is None

    roost.write("pyproject.toml", PROJECT.replace('"base"]', '"base", "fast"]'))
    assert roost.ok("run", *value) == "1.0\n", "what was added once has no part in the next lock of the file"
    asked = roost.json("build", "--with", "slow")["build"]
    assert [each["text"] for each in asked["changes"]] == ["+ slow 1.0"]

    roost.ok("env", "register", "--name", "train")
    assert roost.ok("run", "-e", "train", "--with", "docs", *SAY).strip() == "base docs fast tool"
    [train] = [each for each in roost.json("env", "list")["environments"] if each["name"] == "train"]
    assert train["version"] == 1
    assert roost.failed(125, "run", "-e", "train", "--extra", "fast", *SAY)["code"] == "usage"
    assert "--image" in roost.failed(125, "run", "--image", "debian:12", "--with", "docs", *SAY)["message"]
    assert roost.failed(2, "env", "register", "--name", "other", "--with", "docs")["code"] == "usage"
    error = roost.failed(3, "plan", "--with", "a b")
    assert error["message"].startswith("--with a b: ")


def test_packages_alone_are_an_environment(roost: Roost, pip_index: PipIndex) -> None:
    fill(pip_index)
    assert roost.failed(125, "run", *SAY)["code"] == "definition-not-found"
    done = roost.run("run", "--with", "base", "--with", "pip:tool", *SAY)
    assert (done.stdout.strip(), done.returncode) == ("base tool", 0), done.stderr
    name, content = wheel_bytes("docs", "3.0")
    (roost.folder / name).write_bytes(content)
    assert roost.ok("exec", "--with", f"./{name}", *SAY).strip() == "docs"
    roost.write("base", "a file of the same name")
    assert roost.ok("run", "--with", "base", *SAY).strip() == "base"
    assert roost.json("env", "list")["environments"] == []
    assert roost.failed(3, "plan", "--with", "-r list.txt")["code"] == "addition-refused"


def find_condas_python() -> Interpreter:
    """A Python of the local channel that a user without one of his own does not have."""
    for each in find_interpreters():
        if each.minor != OWN_MINOR and not Path(f"/usr/bin/python{each.minor}").exists():
            return each
    pytest.skip("every Python of the channel is one of this machine")


def test_condas_python_is_taken_if_none_here_fits(own_conda_roost: Roost, pip_index: PipIndex, tmp_path: Path) -> None:
    roost, python = own_conda_roost, find_condas_python()
    fill(pip_index)
    roost.write("pyproject.toml", PROJECT)
    roost.variables |= home_with(tmp_path / "home")
    [plan] = roost.json("plan", "--python", python.minor)["plans"]
    [reason] = [each for each in plan["reasons"] if each["code"] == "python-from-conda"]
    assert f"No Python on this machine fits =={python.minor}.* (found " in reason["message"]
    assert "conda's from conda-forge is taken" in reason["message"]
    assert [step["kind"] for step in plan["steps"]][:2] == ["solve", "lock-pip"]
    which = "import sys, base; print('%d.%d' % sys.version_info[:2], base.value)"
    done = roost.run("run", "--python", python.minor, "--", "python", "-c", which)
    assert done.stdout.strip() == f"{python.minor} 1.0", done.stderr
    assert "conda's from conda-forge is taken" in done.stderr
    again = roost.run("run", "--python", python.minor, "--", "python", "-c", which)
    assert (again.stdout, "conda's" in again.stderr) == (done.stdout, False)

    roost.write("pyproject.toml", PROJECT.replace('version = "1"', 'version = "1"\nrequires-python = ">=3.90"'))
    error = roost.failed(4, "build")
    error = error.get("error", error)
    assert error["code"] == "no-interpreter"
    assert f"{OWN_MINOR}" in error["message"]
    assert " at /" in error["message"]
    assert "None comes from conda-forge either" in error["message"]
    assert "--python" in error["hint"]
