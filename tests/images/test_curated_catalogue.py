"""A catalogue in a real registry, the installed command: published by one machine, taken by others, whole or not at
all; what is malformed is refused with what and where; what can't be asked is no answer."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pip_index import PipIndex
from registry_parts import Registries, RegistryProcess, registry
from roost_process import Roost

Machine = Callable[..., Roost]
TRAIN = '[pip]\nrequirements = ["toy=={}"]\n[variables]\nCOLOUR = "{}"\n'
SAY = ("--", "python", "-c", "import os, toy; print(toy.value, os.environ['COLOUR'])")


@pytest.fixture
def pip_index() -> Iterator[PipIndex]:
    index = PipIndex()
    for version in ("1.0", "2.0"):
        index.wheel("toy", version)
    yield index
    index.close()


@pytest.fixture
def machine(pip_index: PipIndex, channel: Path) -> Iterator[Machine]:
    """Makes machines, each with a root of its own."""
    made: list[Roost] = []

    def make(*catalogues: str, workspace: str = "") -> Roost:
        roost = Roost(Path(tempfile.mkdtemp(prefix="r", dir="/tmp")), Path(tempfile.mkdtemp(prefix="w", dir="/tmp")))
        named = f'workspace = "{workspace}"\n' if workspace else ""
        roost.config.write_text(
            f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel.as_uri()}"]\n'
            f"[network]\nretries = 0\n[registries]\n{named}catalogues = {json.dumps(catalogues)}\n"
        )
        made.append(roost)
        return roost

    yield make
    for roost in made:
        roost.end()


def team(process: RegistryProcess) -> str:
    return f"{process.host}/team"


@pytest.fixture
def place() -> Iterator[RegistryProcess]:
    """One empty registry."""
    with registry() as made:
        yield made


def register(roost: Roost, version: str = "1.0", colour: str = "red", name: str = "train") -> None:
    roost.write("roost.toml", TRAIN.format(version, colour))
    roost.ok("env", "register", "--name", name)


def curated(roost: Roost) -> dict[str, tuple[int, str]]:
    """Name to latest version and where it is from, but for those that come with roost."""
    rows = roost.json("curated", "list")["environments"]
    return {row["name"]: (row["version"], row["origin"]) for row in rows if row["origin"] != "roost"}


def added(answer: dict[str, Any]) -> list[str]:
    return [f"{each['name']}:{each['version']}" for each in answer["added"]]


def test_published_by_one_taken_by_another(machine: Machine, place: RegistryProcess) -> None:
    curator, user = machine(), machine(team(place))
    register(curator)
    published = curator.json("curated", "publish", "train", "--registry", team(place))
    assert (published["name"], published["version"], published["added"]) == ("Roost-train", 1, True)
    assert published["reference"] == f"{team(place)}/catalogue:v1"
    again = curator.json("curated", "publish", "train:1", "--registry", team(place))
    assert again == {**published, "added": False}
    taken = user.json("curated", "sync")
    assert added(taken) == ["Roost-train:1"]
    assert taken["catalogues"] == [{"registry": team(place), "versions": 1}]
    assert curated(user) == {"Roost-train": (1, team(place))}
    shown = user.json("env", "show", "Roost-train")
    assert (shown["kind"], shown["origin"]) == ("curated", team(place))
    assert shown["definition_digest"] == curator.json("env", "show", "train")["definition_digest"]
    assert user.ok("run", "-e", "Roost-train", *SAY) == "1.0 red\n"
    assert added(user.json("curated", "sync")) == []
    _the_next_version(curator, user, place)


def _the_next_version(curator: Roost, user: Roost, place: RegistryProcess) -> None:
    register(curator, "2.0")
    assert "Roost-train:2  in" in curator.ok("curated", "publish", "train", "--registry", team(place))
    assert user.ok("curated", "sync") == f"Roost-train:2  from {team(place)}\n"
    assert "nothing new" in user.run("curated", "sync").stderr
    assert user.ok("exec", "-e", "Roost-train", *SAY) == "2.0 red\n"
    assert user.ok("exec", "-e", "Roost-train:1", *SAY) == "1.0 red\n"
    assert user.ok("env", "clone", "Roost-train:1", "mine") == "mine:1\n"
    assert user.json("env", "show", "mine")["origin"] == "Roost-train:1"
