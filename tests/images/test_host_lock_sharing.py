"""Machines with different Pythons, one workspace registry: a definition without conda packages has one lock wherever a
Python fits it, and a machine without one says why and solves."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.images.test_lock_sharing import codes, fetch, push, team
from tests.support.images.registries import Registries
from tests.support.interpreters import OWN_MINOR, home_with, need_pythons
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import Roost, new_roost

from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.registry.engine import RegistryClient
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.locks.artifact import lock_repository, lock_tag
from roost.daemon.oci.references import Reference
from roost.model.locks.lock import HostPython, Lock, MarkerOutcome, Wheel

PROJECT = f"""[project]
name = "mine"
version = "1"
requires-python = "!={OWN_MINOR}.*"
dependencies = ["greet"]
[tool.uv]
package = false
"""
VALUE = "import sys, greet; print(greet.value, '%d.%d.%d' % sys.version_info[:3])"

Machine = Callable[..., Roost]


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0", 'leaf; python_full_version >= "3.9.1"', 'leaf; python_full_version < "3.9.1"')
    index.wheel("leaf", "1.0")
    yield index
    index.close()


@pytest.fixture
def machine(pip_index: PipIndex, registries: Registries, tmp_path: Path) -> Iterator[Machine]:
    """Makes machines that have certain Pythons."""
    made: list[Roost] = []

    def make(*pythons: Interpreter) -> Roost:
        roost = new_roost()
        made.append(roost)
        roost.variables.update(home_with(tmp_path / f"home-{len(made)}", *pythons))
        roost.config.write_text(
            f'[pip]\nindex_url = "{pip_index.url}"\n[network]\nretries = 0\n'
            f'[registries]\nworkspace = "{team(registries.workspace)}"\ncatalogues = []\n'
        )
        roost.write("pyproject.toml", PROJECT)
        return roost

    yield make
    for roost in made:
        roost.end()


@pytest.fixture
async def client() -> object:
    made = RegistryClient(RegistryConfig(retries=0))
    yield made
    await made.close()


def python_of_prefix(roost: Roost) -> dict[str, str]:
    """What the row of the newest ready prefix says of its Python."""
    with closing(sqlite3.connect(roost.root / "index.db")) as index:
        row = index.execute("SELECT python FROM artifacts WHERE state = 'ready' ORDER BY created DESC").fetchone()
    return json.loads(row[0])


def reference_of(registries: Registries, digest: str) -> Reference:
    return lock_repository(team(registries.workspace)).with_tag(lock_tag(digest, "linux-64+host"))


def test_a_lock_is_taken_with_the_python_that_fits_though_it_is_not_the_one_chosen_here(
    machine: Machine, pip_index: PipIndex
) -> None:
    older, newer = need_pythons(2)
    first = machine(older)
    built = first.json("build")["build"]
    assert "lock-pushed" in codes(built["reasons"])
    pip_index.wheel("greet", "2.0", "leaf")
    second = machine(older, newer)
    plan = second.json("plan")
    assert plan["lock_digest"] == built["lock_digest"]
    assert codes(plan["plans"][0]["reasons"]) == ["lock-shared-registry", "prefix-missing"]
    taken = second.json("build")["build"]
    assert (taken["lock_digest"], taken["generation"]) == (built["lock_digest"], 1)
    assert second.ok("exec", "--", "python", "-c", VALUE).split() == ["1.0", older.version]
    assert python_of_prefix(second) == {"executable": older.executable, "version": older.version}
    rebuilt = second.json("build", "--rebuild")["build"]
    assert rebuilt["lock_digest"] != built["lock_digest"]
    assert second.ok("exec", "--", "python", "-c", VALUE).split() == ["2.0", newer.version]
    assert first.json("build")["build"]["lock_digest"] == built["lock_digest"]


def test_a_machine_without_a_fitting_python_says_why_and_solves(machine: Machine, pip_index: PipIndex) -> None:
    older, newer = need_pythons(2)
    built = machine(older).json("build")["build"]
    other = machine(newer)
    reasons = {each["code"]: each["message"] for each in other.json("plan")["plans"][0]["reasons"]}
    assert "lock-unfit" in reasons
    for part in (built["lock_digest"][7:19], f"cpython {older.minor}", newer.version):
        assert part in reasons["lock-unfit"]
    own = other.json("build")["build"]
    assert own["lock_digest"] != built["lock_digest"]
    assert "lock-pushed" in codes(own["reasons"]), "as the lock of those with the same Python"
    assert other.ok("exec", "--", "python", "-c", VALUE).split() == ["1.0", newer.version]
    refused = other.failed(4, "build", "--lock", built["lock_digest"])
    assert refused.get("error", refused)["code"] == "lock-unfit"
    assert codes(other.json("build")["build"]["reasons"]) == ["definition-known", "prefix-ready"]
    pip_index.wheel("greet", "2.0", "leaf")
    third = machine(newer)
    plan = third.json("plan")
    assert plan["lock_digest"] == own["lock_digest"]
    assert {"lock-shared-registry", "lock-unfit"} <= set(codes(plan["plans"][0]["reasons"]))
    assert third.json("build")["build"]["lock_digest"] == own["lock_digest"]
    assert third.ok("exec", "--", "python", "-c", VALUE).split() == ["1.0", newer.version]
    assert third.json("build", "--lock", own["lock_digest"])["build"]["state"] == "not-needed"


async def test_the_shared_lock_names_no_path_and_knows_the_markers_of_its_packages(
    machine: Machine, registries: Registries, client: RegistryClient
) -> None:
    (python,) = need_pythons(1)
    built = machine(python).json("build")["build"]
    shared = await fetch(client, reference_of(registries, built["definition_digest"]))
    assert (shared.format, shared.lock.format, shared.platform) == (2, 2, "linux-64")
    assert shared.lock.provider == HostPython(version=python.minor)
    assert shared.lock.markers_known
    assert {each.marker: each.applies for each in shared.lock.markers} == {
        'python_full_version >= "3.9.1"': True,
        'python_full_version < "3.9.1"': False,
    }
    assert python.executable.encode() not in msgspec.json.encode(shared)


async def test_a_marker_that_is_otherwise_here_keeps_the_lock_away(
    machine: Machine, registries: Registries, client: RegistryClient
) -> None:
    (python,) = need_pythons(1)
    built = machine(python).json("build")["build"]
    reference = reference_of(registries, built["definition_digest"])
    shared = await fetch(client, reference)
    later = MarkerOutcome(marker=f'python_full_version >= "{python.minor}.99"', applies=True)
    changed = msgspec.structs.replace(shared.lock, markers=(*shared.lock.markers, later))
    await push(client, reference, msgspec.structs.replace(shared, lock=changed))
    reasons = {each["code"]: each["message"] for each in machine(python).json("plan")["plans"][0]["reasons"]}
    assert f'python_full_version >= "{python.minor}.99", which does not hold' in reasons["lock-unfit"]


def _by_path(lock: Lock) -> Lock:
    provider = HostPython(version="3.11.7", executable="/bin/false")
    return msgspec.structs.replace(lock, provider=provider, format=1)


def _unasked(lock: Lock) -> Lock:
    more = msgspec.structs.replace(lock.wheels[0], name="evil", file_name="evil-1.0-py3-none-any.whl")
    return msgspec.structs.replace(lock, wheels=(*lock.wheels, more))


def _other_bytes(lock: Lock) -> Lock:
    wheels: list[Wheel] = [msgspec.structs.replace(wheel, sha256="0" * 64) for wheel in lock.wheels]
    return msgspec.structs.replace(lock, wheels=tuple(wheels))


def _another_format(lock: Lock) -> Lock:
    return msgspec.structs.replace(lock, format=1)


@pytest.mark.parametrize("poison", [_by_path, _unasked, _other_bytes, _another_format])
async def test_a_poisoned_lock_for_a_python_of_a_machine_is_refused(
    machine: Machine, registries: Registries, client: RegistryClient, poison: Callable[[Lock], Lock]
) -> None:
    (python,) = need_pythons(1)
    built = machine(python).json("build")["build"]
    reference = reference_of(registries, built["definition_digest"])
    good = await fetch(client, reference)
    bad = poison(good.lock)
    await push(client, reference, msgspec.structs.replace(good, lock=bad, format=bad.format))
    second = machine(python)
    refused = second.failed(4, "build")
    assert refused.get("error", refused)["code"] == "lock-poisoned"
    assert not [path for path in (second.root / "prefixes").glob("*") if path.is_dir()]


def test_a_wheel_that_was_built_travels_with_its_lock(machine: Machine, pip_index: PipIndex, tmp_path: Path) -> None:
    (python,) = need_pythons(1)
    trace = tmp_path / "trace"
    pip_index.add("toy", sdist_bytes("toy", "1.0", str(trace)))
    project = PROJECT.replace('"greet"', '"greet", "toy"')
    first, second = machine(python), machine(python)
    for each in (first, second):
        each.write("pyproject.toml", project)
    built = first.json("build")["build"]
    assert "lock-pushed" in codes(built["reasons"]), built["reasons"]
    runs = trace.read_text()
    assert second.json("build")["build"]["lock_digest"] == built["lock_digest"]
    assert trace.read_text() == runs, "nothing was built again"


def add_more(pip_index: PipIndex, *machines: Roost) -> None:
    """Let a newer version of what is locked appear, and edit the file of ``machines``, which then needs one more."""
    pip_index.wheel("greet", "2.0", "leaf")
    pip_index.wheel("more", "1.0")
    for each in machines:
        each.write("pyproject.toml", PROJECT.replace('"greet"', '"greet", "more"'))


def test_a_lock_that_an_edit_made_is_everybody_s_though_it_is_not_the_newest(
    machine: Machine, pip_index: PipIndex
) -> None:
    (python,) = need_pythons(1)
    first, second = machine(python), machine(python)
    first.ok("build")
    add_more(pip_index, first, second)
    edited = first.json("build")["build"]
    assert [each["text"] for each in edited["changes"]] == ["+ more 1.0"]
    assert "lock-pushed" in codes(edited["reasons"]), edited["reasons"]
    taken = second.json("build")["build"]
    assert (taken["lock_digest"], taken["changes"]) == (edited["lock_digest"], [])
    assert second.ok("exec", "--", "python", "-c", VALUE).split()[0] == "1.0"


def test_another_machine_s_lock_comes_before_what_was_here(machine: Machine, pip_index: PipIndex) -> None:
    (python,) = need_pythons(1)
    first, second = machine(python), machine(python)
    second.ok("build")
    add_more(pip_index, first, second)
    solved = first.json("build")["build"]
    taken = second.json("build")["build"]
    assert taken["lock_digest"] == solved["lock_digest"]
    assert [each["text"] for each in taken["changes"]] == ["~ greet 1.0 -> 2.0", "+ more 1.0"]


def test_a_lock_file_comes_before_the_registry_and_travels_to_pythons_that_fit(
    machine: Machine, pip_index: PipIndex
) -> None:
    older, newer = need_pythons(2)
    first = machine(older)
    shared = first.json("build")["build"]["lock_digest"]
    pip_index.wheel("greet", "2.0", "leaf")
    (section,) = first.json("lock", "--write", "--rebuild")["sections"]
    text = (first.folder / "roost.lock").read_text()
    assert section["lock_digest"] != shared

    second = machine(older, newer)
    second.write("roost.lock", text)
    plan = second.json("plan")
    assert plan["lock_digest"] == section["lock_digest"]
    assert codes(plan["plans"][0]["reasons"])[0] == "lock-file"
    built = second.json("build", "--locked")["build"]
    assert (built["lock_digest"], built["generation"]) == (section["lock_digest"], 1)
    assert not {"lock-pushed", "lock-elsewhere", "lock-shared-registry"} & set(codes(built["reasons"]))
    assert second.ok("exec", "--", "python", "-c", VALUE).split() == ["2.0", older.version]
    (second.folder / "roost.lock").unlink()
    assert second.json("plan")["lock_digest"] == shared, "without the file, what everybody has"
    assert second.ok("exec", "--", "python", "-c", VALUE).split()[0] == "1.0"
    second.write("roost.lock", text)
    assert second.ok("exec", "--", "python", "-c", VALUE).split()[0] == "2.0"

    third = machine(newer)
    third.write("roost.lock", text)
    reasons = {each["code"]: each["message"] for each in third.json("plan", "--solve")["plans"][0]["reasons"]}
    assert f"cpython {older.minor}" in reasons["lock-unfit"]
    assert "roost.lock" in reasons["lock-unfit"]
    refused = third.failed(1, "build", "--locked")
    assert refused.get("error", refused)["code"] == "lock-stale"
    assert third.json("lock", "--check")["fits"], "the file fits its definition"
