"""Prefixes on Pythons of this machine: a lock outlives the Python that it was made with, and locks of format 1 go on as
they were."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.support.interpreters import OWN_MINOR, home_with, need_pythons
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost
from tests.support.trees import link_or_copy

from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.model.locks.lock import HostPython, Lock, digest_lock

PROJECT = f"""[project]
name = "mine"
version = "1"
requires-python = "!={OWN_MINOR}.*"
dependencies = ["greet"]
[tool.uv]
package = false
"""
PYTHON = "import os, sys, greet; print(greet.value, os.path.realpath(sys.executable))"


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0")
    yield index
    index.close()


@pytest.fixture
def roost(pip_index: PipIndex, tmp_path: Path) -> Iterator[Roost]:
    """roost with no Python but its own, the system's, and those that a test puts below ``home``."""
    made = new_roost()
    made.variables.update(home_with(tmp_path / "home"))
    made.config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n[network]\nretries = 0\n')
    made.write("pyproject.toml", PROJECT)
    yield made
    made.end()


def install(roost: Roost, python: Interpreter, name: str) -> str:
    """A Python of its own under a user's home: files that can be removed. The path of its executable."""
    source = Path(python.executable).parents[1]
    target = Path(roost.variables["HOME"], ".pyenv", "versions", name)
    ignored = shutil.ignore_patterns("test", "tests", "site-packages", "__pycache__", "config-*")
    shutil.copytree(source / "lib", target / "lib", ignore=ignored, copy_function=link_or_copy, symlinks=True)
    (target / "bin").mkdir()
    executable = target / "bin" / f"python{python.minor}"
    shutil.copy2(python.executable, executable)
    return str(executable)


def row_of_prefix(roost: Roost) -> tuple[str, dict[str, str] | None]:
    """Path and Python of the ready prefix."""
    with closing(sqlite3.connect(roost.root / "index.db")) as index:
        ((path, python),) = index.execute("SELECT path, python FROM artifacts WHERE state = 'ready'").fetchall()
    return path, json.loads(python) if python else None


def test_a_python_that_is_gone_or_replaced_gives_way_to_another_that_fits(roost: Roost) -> None:
    (python,) = need_pythons(1)
    first, second = install(roost, python, "a"), install(roost, python, "b")
    built = roost.json("build")["build"]
    assert roost.ok("exec", "--", "python", "-c", PYTHON).split() == ["1.0", first]
    assert row_of_prefix(roost) == (built["artifacts"][0]["path"], {"executable": first, "version": python.version})

    shutil.rmtree(Path(first).parents[1])
    plan = roost.json("plan")["plans"][0]
    assert plan["action"] == "build-prefix"
    assert f"{first} no longer exists" in plan["reasons"][-1]["message"]
    assert roost.ok("exec", "--", "python", "-c", PYTHON).split() == ["1.0", second]
    moved = roost.json("plan")
    assert (moved["lock_digest"], moved["plans"][0]["action"]) == (built["lock_digest"], "reuse-prefix")
    path, used = row_of_prefix(roost)
    assert path != built["artifacts"][0]["path"], "a path is used for one prefix only"
    assert used == {"executable": second, "version": python.version}

    os.rename(second, f"{second}.old")  # as a package manager replaces it
    shutil.copy2(f"{second}.old", second)
    assert roost.json("plan")["plans"][0]["action"] == "build-prefix"
    again = roost.json("build")["build"]
    assert (again["lock_digest"], again["generation"]) == (built["lock_digest"], 1)
    assert row_of_prefix(roost)[0] != path


def test_without_a_python_that_fits_the_lock_is_kept_and_the_error_says_what_is_needed(roost: Roost) -> None:
    older, newer = need_pythons(2)
    executable = install(roost, older, "a")
    built = roost.json("build")["build"]
    shutil.rmtree(Path(executable).parents[1])
    install(roost, newer, "b")
    error = roost.failed(4, "build")
    error = error.get("error", error)
    assert error["code"] == "no-interpreter"
    assert f"cpython {older.minor}" in error["message"]
    assert newer.version in error["message"]
    assert "--rebuild" in error["hint"]
    assert roost.json("plan")["lock_digest"] == built["lock_digest"]
    rebuilt = roost.json("build", "--rebuild")["build"]
    assert rebuilt["generation"] == 2
    assert rebuilt["lock_digest"] != built["lock_digest"]


def to_format_1(roost: Roost, digest: str, python: dict[str, str]) -> str:
    """Write the lock ``digest`` and all that refers to it as an older version would have: with the executable in the
    lock. The daemon must not run. Returns the lock's digest in format 1."""
    with closing(sqlite3.connect(roost.root / "index.db")) as index, index:
        (body,) = index.execute("SELECT body FROM locks WHERE digest = ?", (digest,)).fetchone()
        lock = msgspec.json.decode(zlib.decompress(body), type=Lock)
        provider = HostPython(version=python["version"], executable=python["executable"])
        old = msgspec.structs.replace(lock, provider=provider, format=1, markers=(), markers_known=False)
        content = zlib.compress(msgspec.json.encode(old))
        index.execute("UPDATE locks SET digest = ?, body = ? WHERE digest = ?", (digest_lock(old), content, digest))
        index.execute("UPDATE generations SET lock_digest = ?", (digest_lock(old),))
        index.execute("UPDATE artifacts SET key = ?, python = NULL", (digest_lock(old),))
    return digest_lock(old)


def test_a_lock_of_format_1_is_served_and_repaired_until_a_rebuild_is_asked_for(roost: Roost) -> None:
    (python,) = need_pythons(1)
    executable = install(roost, python, "a")
    roost.json("build")
    path, used = row_of_prefix(roost)
    assert used is not None
    digest = roost.json("plan")["lock_digest"]
    roost.ok("daemon", "stop")
    old = to_format_1(roost, digest, used)

    plan = roost.json("plan")
    assert (plan["lock_digest"], plan["plans"][0]["action"]) == (old, "reuse-prefix")
    assert plan["plans"][0]["artifact"]["path"] == path
    assert roost.ok("exec", "--", "python", "-c", PYTHON).split() == ["1.0", executable]
    assert roost.json("build")["build"]["state"] == "not-needed"

    os.rename(f"{path}/pyvenv.cfg", f"{path}/pyvenv.old")
    mended = roost.json("build")["build"]
    assert (mended["lock_digest"], mended["generation"]) == (old, 1)
    assert row_of_prefix(roost)[0] != path
    assert roost.ok("exec", "--", "python", "-c", PYTHON).split() == ["1.0", executable]

    rebuilt = roost.json("build", "--rebuild")["build"]
    assert (rebuilt["lock_digest"], rebuilt["generation"]) == (digest, 2)
    assert roost.json("plan")["lock_digest"] == digest


def test_a_lock_of_format_1_fails_without_its_python_rather_than_solving_again(roost: Roost) -> None:
    older, newer = need_pythons(2)
    executable = install(roost, older, "a")
    roost.json("build")
    _, used = row_of_prefix(roost)
    assert used is not None
    digest = roost.json("plan")["lock_digest"]
    roost.ok("daemon", "stop")
    old = to_format_1(roost, digest, used)
    shutil.rmtree(Path(executable).parents[1])
    install(roost, newer, "b")
    error = roost.failed(4, "build")
    error = error.get("error", error)
    assert error["code"] == "interpreter-changed"
    assert executable in error["message"]
    assert "--rebuild" in error["hint"]
    assert roost.json("plan")["lock_digest"] == old
