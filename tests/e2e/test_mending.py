"""A file edited in place reaches the cache and every sibling by its hard links: noticed, and mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

A = "dependencies: [python=3.11, six=1.17]\n"
B = "dependencies: [python=3.11, six=1.17, python-tzdata]\n"
CHECK = "import six, sys; print(six.__version__, sys.prefix)"


def build(roost: Roost, name: str, text: str) -> Path:
    folder = roost.write(f"{name}/environment.yml", text).parent
    roost.ok("build", cwd=folder)
    return folder


def prefix_of(roost: Roost, folder: Path) -> Path:
    return Path(roost.json("plan", cwd=folder)["plans"][0]["artifact"]["path"])


def edit(path: Path) -> None:
    """In place: the inode stays."""
    inode = path.stat().st_ino
    with path.open("a") as file:
        file.write("\n__version__ = 'edited'\n")
    assert path.stat().st_ino == inode


def test_verify_finds_the_edit_in_all_siblings_and_repair_replaces_them(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    one, two = build(roost, "one", A), build(roost, "two", B)
    assert roost.json("cache", "verify")["findings"] == []
    edited = prefix_of(roost, one) / "lib/python3.11/site-packages/six.py"
    edit(edited)
    assert roost.ok("exec", "--", "python", "-c", CHECK, cwd=two).split()[0] == "edited", "they share the file"
    done = roost.run("cache", "verify")
    assert done.returncode == 1
    assert "six.py" in done.stdout
    found = roost.json("cache", "verify", "--repair")
    assert len(found["findings"]) == 2
    assert found["packages"] == ["six"]
    for folder in (one, two):
        version, prefix = roost.ok("exec", "--", "python", "-c", CHECK, cwd=folder).split()
        assert version == "1.17.0"
        assert prefix != str(edited.parents[3])
    assert roost.json("cache", "verify")["findings"] == []
    assert not edited.exists(), "the broken ones went when nobody used them"


def test_a_build_that_meets_the_edit_mends_the_cache_and_retires_the_siblings(own_conda_roost: Roost) -> None:
    roost = own_conda_roost
    one = build(roost, "one", A)
    edit(prefix_of(roost, one) / "lib/python3.11/site-packages/six.py")
    two = build(roost, "two", B)
    assert roost.ok("exec", "--", "python", "-c", CHECK, cwd=two).split()[0] == "1.17.0"
    assert roost.json("plan", cwd=one)["plans"][0]["action"] == "build-prefix"
    assert roost.ok("exec", "--", "python", "-c", CHECK, cwd=one).split()[0] == "1.17.0"


def test_an_edited_wheel_is_mended_as_well(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("other", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("build")
    edit(prefix_of(roost, roost.folder) / next(
        p.relative_to(prefix_of(roost, roost.folder))
        for p in prefix_of(roost, roost.folder).rglob("greet.py")
    ))  # fmt: skip
    found = roost.json("cache", "verify", "--repair")
    assert [finding["count"] for finding in found["findings"]] == [1]
    assert roost.ok("exec", "--", "python", "-c", "import greet; print(greet.value)").strip() == "1.0"


@pytest.mark.parametrize("what", ["bin/python", "conda-meta"])
def test_a_hit_notices_what_is_gone(own_conda_roost: Roost, what: str) -> None:
    roost = own_conda_roost
    one = build(roost, "one", A)
    prefix = prefix_of(roost, one)
    (prefix / what).rename(prefix / "moved")
    plan = roost.json("plan", cwd=one)["plans"][0]
    assert plan["action"] == "build-prefix"
    assert plan["reasons"][-1]["code"] == "prefix-drifted"
    assert roost.ok("exec", "--", "python", "-c", CHECK, cwd=one).split()[0] == "1.17.0"
    assert prefix_of(roost, one) != prefix
