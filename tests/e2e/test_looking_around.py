"""``list``, ``tree``, ``why`` and ``which`` over a real prefix of conda's and pip's packages, by one daemon."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

FILE = """\
name: train
channels: [conda-forge]
dependencies:
  - python=3.11
  - pandas
  - pip:
    - app==1.0
"""


@pytest.fixture
def train(conda_roost: Roost, pip_index: PipIndex) -> Roost:
    """A definition with packages of both, wheels that need each other, extras, and a marker of another system."""
    pip_index.wheel("app", "1.0", "base-lib[fast]>=1", "numpy>=1", 'never; sys_platform == "win32"')
    pip_index.wheel("base-lib", "2.0", 'speedup; extra == "fast"', 'docs-only; extra == "docs"', "ring")
    pip_index.wheel("ring", "1.0", "ring-two")
    pip_index.wheel("ring-two", "1.0", "ring")
    pip_index.wheel("speedup", "0.1")
    conda_roost.write("environment.yml", FILE)
    return conda_roost


def test_what_is_locked_why_and_where(train: Roost) -> None:
    _before_it_is_locked(train)
    train.ok("lock", "--write")
    _while_it_is_locked_only(train)
    train.ok("build")
    _lists(train)
    _trees(train)
    _programs(train)
    assert len(train.json("builds", "list")["builds"]) == 1, "looking builds nothing"
    _reasons(train)
    _other_whats(train)
    _disk_usage(train)


def _before_it_is_locked(train: Roost) -> None:
    for command in (["list"], ["tree"], ["why", "numpy"]):
        assert train.failed(7, *command)["code"] == "never-locked"
    assert "roost build" in train.failed(7, "which")["hint"]
    assert train.json("builds", "list")["builds"] == []


def _while_it_is_locked_only(train: Roost) -> None:
    listed = train.json("list")
    assert len(listed["packages"]) == 22
    assert listed["prefix"] is None
    assert train.failed(7, "which")["code"] == "not-built"
    done = train.run("tree")
    assert "app 1.0 (pip)  asked for: environment.yml:7:7 (?)" in done.stdout
    assert "what app, base-lib, ring, ring-two, speedup needs is not known" in done.stderr
    assert train.json("tree")["unknown"] == ["app", "base-lib", "ring", "ring-two", "speedup"]


def _lists(train: Roost) -> None:
    listed = train.json("list")
    fields = ("name", "version", "kind", "source", "asked")
    rows = [tuple(row[field] for field in fields) for row in listed["packages"]]
    assert ("pandas", "2.2.3", "conda", "conda-forge", True) in rows
    assert ("base-lib", "2.0", "pip", "127.0.0.1", False) in rows
    assert all(row["bytes"] > 0 for row in listed["packages"])
    assert Path(listed["prefix"], "conda-meta").is_dir()
    table = train.ok("list", "*P*", "--sort", "size", "--columns", "name,asked", "--conda").splitlines()
    assert table[:2] == ["NAME             ASKED", "pandas           environment.yml:5:5"]
    assert [row["name"] for row in train.json("list", "--asked")["packages"]] == ["app", "pandas", "python"]
    assert train.failed(7, "list", "nmpy")["hint"].startswith("Did you mean numpy?")
    assert "'colour' is no column" in train.run("list", "--columns", "colour").stderr


def _trees(train: Roost) -> None:
    tree = train.ok("tree")
    assert tree.splitlines()[:7] == [
        "app 1.0 (pip)  asked for: environment.yml:7:7",
        "├── base-lib 2.0 (pip)  [fast]>=1",
        "│   ├── ring 1.0 (pip)",
        "│   │   └── ring-two 1.0 (pip)",
        "│   │       └── ring 1.0 (pip) (cycle)",
        "│   └── speedup 0.1 (pip)",
        "└── numpy 2.1.3  >=1",
    ]
    assert train.ok("tree", "--invert", "numpy").splitlines() == [
        "numpy 2.1.3",
        "├── app 1.0 (pip)  needs numpy>=1",
        "└── pandas 2.2.3  needs numpy >=1.23.2",
    ]
    assert train.ok("tree", "app", "--depth", "1").splitlines()[1] == "├── base-lib 2.0 (pip)  [fast]>=1 (…)"
    assert [root["name"] for root in train.json("tree")["roots"]] == ["app", "pandas", "python", "pip"]


def _reasons(train: Roost) -> None:
    assert train.ok("why", "numpy").splitlines()[1:] == [
        "  environment.yml:5:5 asks for pandas",
        "    pandas 2.2.3 needs numpy >=1.23.2",
        "  environment.yml:7:7 asks for app==1.0",
        "    app 1.0 needs numpy>=1",
    ]
    (path,) = train.json("why", "Ring_Two", "--all")["paths"]
    assert [step["name"] for step in path["steps"]] == ["app", "base-lib", "ring", "ring-two"]
    assert path["asks"][0]["location"]["line"] == 7
    assert "roost adds it" in train.ok("why", "pip")
    assert "a property of the machine" in train.ok("why", "__glibc")
    train.write("other/requirements.txt", "speedup==0.1\n")
    train.ok("build", "-f", "other")
    train.ok("env", "register", "-f", "other", "--name", "other")
    refusal = train.failed(7, "why", "nunpy", "-f", "other")
    assert (refusal["code"], refusal["fields"]["near"]) == ("package-absent", [])
    train.ok("env", "register")
    assert "It is in train" in train.failed(7, "why", "numpy", "-f", "other")["hint"]
    assert train.failed(7, "why", "\x1b[31mx")["code"] == "package-absent"
    assert "\x1b" not in train.run("why", "\x1b[31mx").stderr


def _programs(train: Roost) -> None:
    found = train.json("which")
    prefix = found["prefix"]
    assert found["path"] == found["python"] == f"{prefix}/bin/python"
    assert found["activation"]["CONDA_PREFIX"] == prefix
    assert found["activation"]["PATH"].startswith(f"{prefix}/bin:")
    assert train.ok("which", "python3.11") == f"{prefix}/bin/python3.11\n"
    done = train.run("which", "sh")
    assert done.stdout.endswith("/sh\n")
    assert "sh is this machine's own" in done.stderr
    assert train.ok("which", "--all", "python").splitlines()[0] == f"{prefix}/bin/python"
    assert "python3" in train.failed(7, "which", "pyhton3")["hint"]


def _other_whats(train: Roost) -> None:
    listed = train.json("list", "-e", "train")
    asks = [ask for row in listed["packages"] for ask in row.get("asks", [])]
    assert asks == [{"text": "app==1.0"}, {"text": "pandas"}, {"text": "python=3.11"}]
    digest = listed["lock_digest"]
    assert train.json("list", "-e", "train:1", "--generation", "1")["lock_digest"] == digest
    assert train.json("list", "--lock", digest)["lock_digest"] == digest
    assert train.failed(7, "list", "--with", "ring")["code"] == "never-locked"
    image = train.json("list", "-t", "docker")
    assert (image["target"], image["base"]) == ("docker", "debian:12-slim")
    assert "python -m pip list" in train.failed(7, "list", "--image", "debian:12")["hint"]
    train.write("script.py", '# /// script\n# dependencies = ["speedup==0.1"]\n# ///\n')
    train.ok("build", "-f", "script.py")
    assert train.ok("list", "-f", "script.py", "--columns", "name,asked").splitlines()[1:] == [
        "speedup  script.py:2:20"
    ]
    train.write("own/roost.toml", '[python]\nuser_managed = true\ninterpreter = "/usr/bin/env"\n')
    assert "python -m pip list" in train.failed(7, "list", "-f", "own")["hint"]


def _disk_usage(train: Roost) -> None:
    for by in ("environment", "project", "kind", "age"):
        usage = train.json("cache", "df", "--by", by)
        own = sum(group["own_bytes"] for group in usage["groups"])
        assert 0 < own <= usage["used_bytes"]
        assert by in ("environment", "project") or own == usage["used_bytes"]
    groups = {group["name"]: group for group in train.json("cache", "df", "--by", "environment")["groups"]}
    assert (groups["train"]["prefixes"], groups["other"]["prefixes"]) == (1, 1)
    assert "OWN is of no other project" in (text := train.ok("cache", "df", "--by", "project"))
    assert any(line.startswith("other ") for line in text.splitlines())
