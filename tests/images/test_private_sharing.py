"""Private packages across machines: locks travel, credentials don't, and wheels stay where they were given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex, wheel_bytes
from tests.support.roost_process import Roost, clone, new_roost
from tests.support.trees import find_holding

PASSWORD = "p4ss-of-somebody"
SAY = ("--", "python", "-c", "import greet; print(greet.value)")
ENVIRONMENT = "name: shared\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - {}\n"


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    index.wheel("greet", "1.0")
    yield index
    index.close()


@pytest.fixture
def machines(
    pip_index: PipIndex, channel: Path, conda_packages: Path, registries: Registries
) -> Iterator[tuple[Roost, Roost]]:
    """Two, with one workspace registry, an index that wants a password, and the password in a variable."""
    made: list[Roost] = []
    for _ in range(2):
        roost = new_roost()
        clone(conda_packages, roost.root / "packages")
        roost.config.write_text(
            f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel.as_uri()}"]\n'
            f'[registries]\nworkspace = "{registries.workspace.host}/team"\n'
            f'[credentials."{pip_index.origin[7:]}"]\nusername = "somebody"\npassword_variable = "THE_PASSWORD"\n'
        )
        roost.variables["THE_PASSWORD"] = PASSWORD
        made.append(roost)
    yield made[0], made[1]
    for roost in made:
        roost.end()


def codes(roost: Roost) -> list[str]:
    return [reason["code"] for reason in roost.json("build")["build"]["reasons"]]


def test_a_lock_of_private_packages_is_shared_and_no_credentials_with_it(
    machines: tuple[Roost, Roost], pip_index: PipIndex, registries: Registries
) -> None:
    pip_index.password = PASSWORD
    for roost in machines:
        roost.write("environment.yml", ENVIRONMENT.format("greet"))
    first, second = machines
    assert "lock-pushed" in codes(first)
    pip_index.wheel("greet", "2.0")
    assert second.ok("run", *SAY) == "1.0\n"
    del second.variables["THE_PASSWORD"]
    assert second.ok("run", *SAY) == "1.0\n", "what is ready needs no credentials"
    assert second.failed(3, "build", "--rebuild")["code"] == "variable-missing"
    assert find_holding(PASSWORD, first.root, second.root, registries.workspace.folder) == []


def test_a_wheel_of_the_store_has_to_be_given_on_each_machine(machines: tuple[Roost, Roost]) -> None:
    first, second = machines
    name, content = wheel_bytes("greet", "3.0")
    lines = []
    for roost in machines:
        (roost.folder / name).write_bytes(content)
    lines.append(first.ok("env", "add-wheel", name).strip())
    for roost in machines:
        roost.write("environment.yml", ENVIRONMENT.format(lines[0]))
    assert "lock-pushed" in codes(first)
    error = second.failed(3, "build")
    assert (error["code"], error["location"]["line"]) == ("wheel-unknown", 7)
    assert second.ok("env", "add-wheel", name).strip() == lines[0]
    assert second.ok("run", *SAY) == "3.0\n"
    locks = [roost.json("plan")["lock_digest"] for roost in machines]
    assert locks[0] == locks[1]
