"""A catalogue in a real registry, the installed command: published by one machine, taken by others, whole or not at
all; what is malformed is refused with what and where; what can't be asked is no answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.images.catalogues import CONTENTS, SHAPES, entry, put, sound
from tests.support.images.registries import RegistryProcess, free_port, registry
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

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

    def make(*catalogues: str, retries: int = 0) -> Roost:
        roost = new_roost()
        roost.config.write_text(
            f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel.as_uri()}"]\n'
            f"[network]\nretries = {retries}\n[registries]\ncatalogues = {json.dumps(catalogues)}\n"
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


def everything(roost: Roost) -> list[tuple[object, ...]]:
    """All that is registered, but for what comes with roost."""
    rows = roost.json("env", "list", "--all", "--curated")["environments"]
    return [(row["name"], row["versions"], row["definition_digest"]) for row in rows if row.get("origin") != "roost"]


@pytest.mark.long
async def test_a_malformed_catalogue_is_refused_whole(machine: Machine, place: RegistryProcess) -> None:
    user = machine(team(place))
    await put(team(place), json.dumps(sound(entry("Roost-Before"))).encode())
    user.ok("curated", "sync")
    before = everything(user)
    assert [row[0] for row in before] == ["Roost-Before"]
    for fault, (data, said) in CONTENTS.items():
        await put(team(place), data)
        _refused(user, place, fault, said)
    for fault, (write, said) in SHAPES.items():
        await write(team(place))
        _refused(user, place, fault, said)
    await put(team(place), json.dumps(sound(entry(), entry("Roost-Odd", spec="six>>1"))).encode())
    _refused(user, place, "a spec that only the engine refuses", "Roost-Odd:1")
    assert everything(user) == before
    register(user)
    refused = user.failed(1, "curated", "publish", "train")
    assert refused["code"] == "catalogue-invalid", "nor is it written over"


def _refused(user: Roost, place: RegistryProcess, fault: str, said: str) -> None:
    body = user.failed(1, "curated", "sync")
    assert body["code"] == ("catalogue-format" if fault == "a later format" else "catalogue-invalid"), (fault, body)
    assert said in body["message"], (fault, body)
    assert team(place) in body["message"], (fault, body)
    assert body["hint"], fault


async def test_a_version_that_changed_under_its_number_is_refused_with_who_says_what(
    machine: Machine, place: RegistryProcess
) -> None:
    user = machine(team(place))
    await put(team(place), json.dumps(sound(entry())).encode())
    user.ok("curated", "sync")
    before = everything(user)
    await put(team(place), json.dumps(sound(entry("Roost-A"), entry(spec="evil"), entry("Roost-Z"))).encode())
    body = user.failed(1, "curated", "sync")
    assert body["code"] == "version-taken"
    assert body["message"].count(team(place)) == 2
    assert "Roost-Made:1" in body["message"]
    assert everything(user) == before, "nor is what came before it or after it taken"


async def test_two_catalogues_are_taken_together_or_not_at_all(machine: Machine, place: RegistryProcess) -> None:
    other = f"{place.host}/other"
    user = machine(team(place), other)
    await put(team(place), json.dumps(sound(entry())).encode())
    assert added(user.json("curated", "sync", "--registry", team(place))) == ["Roost-Made:1"]
    await put(other, json.dumps(sound(entry("Roost-Other"), entry(version=2, spec="toml"))).encode())
    assert added(user.json("curated", "sync")) == ["Roost-Made:2", "Roost-Other:1"]
    assert curated(user) == {"Roost-Made": (2, other), "Roost-Other": (1, other)}
    third = machine(team(place), f"{place.host}/third")
    await put(f"{place.host}/third", json.dumps(sound(entry("Roost-A"), entry(spec="toml"))).encode())
    body = third.failed(1, "curated", "sync")
    assert (body["code"], everything(third)) == ("version-taken", [])
    assert team(place) in body["message"]
    assert f"{place.host}/third" in body["message"]


async def test_names_that_are_roost_s_own_are_left_out_and_said(machine: Machine, place: RegistryProcess) -> None:
    user = machine(team(place))
    mine = [entry("Roost-Minimal", 1), entry("Roost-Minimal", 2), entry("Roost-Scikit-Learn", 9), entry()]
    await put(team(place), json.dumps(sound(*mine)).encode())
    answer = user.json("curated", "sync")
    assert added(answer) == ["Roost-Made:1"]
    assert answer["left_out"] == ["Roost-Minimal:1", "Roost-Minimal:2", "Roost-Scikit-Learn:9"]
    shown = user.json("curated", "list")["environments"]
    assert [(row["name"], row["versions"]) for row in shown] == [
        ("Roost-Made", 1),
        ("Roost-Minimal", 1),
        ("Roost-Scikit-Learn", 1),
    ]
    register(user)
    for name in ("Roost-Minimal", "Roost-MINIMAL"):
        assert user.failed(2, "curated", "publish", "train", "--as", name)["code"] == "usage"


def test_what_can_not_be_asked_is_no_answer(machine: Machine, place: RegistryProcess) -> None:
    down = f"127.0.0.1:{free_port()}/team"
    roost = machine(team(place), down)
    register(roost)
    for words in (("sync",), ("sync", "--registry", down), ("publish", "train", "--registry", down)):
        body = roost.failed(6, "curated", *words)
        assert body["code"] == "registry-unknown", words
        assert down in body["message"], words
    assert everything(roost) == [("train", 1, roost.json("env", "show", "train")["definition_digest"])]
    assert not (place.folder / "data").exists(), "nothing was written anywhere"
    missing = roost.failed(7, "curated", "sync", "--registry", team(place))
    assert "has no catalogue" in missing["message"]
    one = machine(team(place))
    assert one.json("curated", "sync")["catalogues"] == [{"registry": team(place), "versions": None}]
    assert "no catalogue" in one.run("curated", "sync").stderr
    assert "no catalogue is in use" in machine().run("curated", "sync").stderr


def test_who_may_not_read_or_write_is_told(machine: Machine) -> None:
    denied = "mine:$2y$05$DBpK2g1TrcmTIHpuGGSVq.sHBIdL5TDZlqtuDRXJ5wcuEmPX2Ej0K"  # a password that nobody gives
    with registry(users={"mine": denied.partition(":")[2]}) as closed:
        roost = machine(team(closed))
        register(roost)
        for words in (("sync",), ("publish", "train")):
            body = roost.failed(6, "curated", *words)
            assert body["fields"]["reason"] == "registry-denied", words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[container]\narguments = ["--privileged"]\n', "container.arguments"),
        ('[conda]\nchannels = ["file:///opt/channel"]\ndependencies = ["six"]\n', "/opt/channel"),
        ('[pip]\nrequirements = ["./mine-1-py3-none-any.whl"]\n', "mine-1-py3-none-any.whl"),
        ('[python]\nuser_managed = true\ninterpreter = "/usr/bin/python3"\n', "/usr/bin/python3"),
        ('[base]\ncontext = "context"\n', "build context"),
    ],
)
def test_what_is_of_one_machine_is_not_published(
    machine: Machine, place: RegistryProcess, text: str, said: str
) -> None:
    roost = machine(team(place))
    roost.write("mine-1-py3-none-any.whl", "")
    roost.write("context/Dockerfile", "FROM debian:12\n")
    roost.write("roost.toml", text)
    roost.ok("env", "register", "--name", "here")
    body = roost.failed(3, "curated", "publish", "here")
    assert (body["code"], said in body["message"]) == ("not-portable", True), body
    assert not (place.folder / "data").exists()


def test_publishing_asks_for_what_it_lacks(machine: Machine, place: RegistryProcess) -> None:
    none, several = machine(), machine(team(place), f"{place.host}/other")
    for roost, status in ((none, 7), (several, 2)):
        register(roost)
        assert "--registry" in roost.failed(status, "curated", "publish", "train")["hint"]
    assert (
        several.failed(7, "curated", "publish", "nothing", "--registry", team(place))["code"] == "environment-unknown"
    )
    for name in ("Mine", "roost-mine", "Roost-", "Roost-a/b"):
        body = several.failed(2, "curated", "publish", "train", "--registry", team(place), "--as", name)
        assert body["code"] == "name-invalid", name


def test_publishers_at_once_lose_nothing(machine: Machine, place: RegistryProcess) -> None:
    """Three machines, two versions each of one name, and one of a name of its own: numbers without a gap."""
    # docker-registry says 500 to who asks for a blob that another just then writes
    publishers = [machine(team(place), retries=4) for _ in range(3)]
    for number, roost in enumerate(publishers):
        for version in ("1.0", "2.0"):
            register(roost, version, f"colour {number}")
    for version in ("train:1", "train:2"):
        started = [roost.start("curated", "publish", version, "--as", "Roost-Shared") for roost in publishers]
        started += [
            roost.start("curated", "publish", version, "--as", f"Roost-Own{number}")
            for number, roost in enumerate(publishers)
        ]
        for process in started:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
    user = machine(team(place))
    assert len(added(user.json("curated", "sync"))) == 12
    shared = user.json("env", "versions", "Roost-Shared")["versions"]
    assert [row["version"] for row in shared] == [6, 5, 4, 3, 2, 1]
    assert len({(row["definition_digest"], row["settings_digest"]) for row in shared}) == 6
    for number in range(3):
        assert len(user.json("env", "versions", f"Roost-Own{number}")["versions"]) == 2


def test_what_is_newer_in_a_catalogue_is_an_event_once_a_day_and_never_adopted(
    machine: Machine, place: RegistryProcess
) -> None:
    curator, user = machine(), machine(team(place))
    register(curator)
    curator.ok("curated", "publish", "train", "--registry", team(place))
    user.config.write_text(user.config.read_text() + "[daemon]\nidle_work_seconds = 0\n")
    news: list[dict[str, Any]] = []
    while not news:  # the daemon looks as soon as nobody asks it for anything
        time.sleep(0.3)
        lines = user.ok("events", "--json").splitlines()
        news = [event for event in map(json.loads, lines) if event["kind"] == "curated-newer"]
    assert [event["fields"] for event in news] == [
        {"environment": "Roost-train:1", "known": None, "registry": team(place)}
    ]
    assert curated(user) == {}
