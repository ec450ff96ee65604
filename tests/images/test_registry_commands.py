"""``roost registry``: added ones are kept beside the config file's, and tested as what they are there for."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.support.images.registries import Registries, free_port
from tests.support.roost_process import Roost, new_roost


@pytest.fixture
def roost() -> Iterator[Roost]:
    made = new_roost()
    made.config.write_text("")
    yield made
    made.end()


def listed(roost: Roost) -> list[tuple[str, str, str]]:
    return [(r["location"], r["kind"], r["origin"]) for r in roost.json("registry", "list")["registries"]]


def test_registries_are_added_listed_tested_and_removed(roost: Roost, registries: Registries) -> None:
    workspace, catalogue = f"{registries.workspace.host}/team", registries.catalogue.host
    roost.ok("registry", "add", "--workspace", workspace)
    roost.ok("registry", "add", f"http://{catalogue}/")
    expected = [(workspace, "workspace", "added"), (catalogue, "catalogue", "added")]
    assert listed(roost) == expected
    roost.ok("daemon", "stop")
    assert listed(roost) == expected, "they are kept"
    tests = roost.json("registry", "test")["tests"]
    assert [(t["location"], t["read"]["answer"], t["write"]["answer"]) for t in tests] == [
        (workspace, "yes", "yes"),
        (catalogue, "yes", "yes"),
    ]
    left = list((registries.workspace.folder / "data").rglob("_uploads/*/data"))
    assert not left, "a test gives the upload back that it began"
    assert roost.failed(2, "registry", "add", "--workspace", "registry.example.org/other")["code"] == "usage"
    roost.ok("registry", "remove", workspace)
    assert listed(roost) == expected[1:]
    assert roost.failed(7, "registry", "remove", workspace)["code"] == "not-found"
    assert "registry-added" in roost.ok("events", "--json")


def test_those_of_the_config_file_come_first_and_are_its_owner_s(roost: Roost, registries: Registries) -> None:
    location = f"{registries.catalogue.host}/curated"
    roost.config.write_text(f'[registries]\nworkspace = "registry.example.org/team/"\ncatalogues = ["{location}"]\n')
    roost.ok("registry", "add", "--insecure", "mirror.example.org")
    assert listed(roost) == [
        ("registry.example.org/team", "workspace", "config"),
        (location, "catalogue", "config"),
        ("mirror.example.org", "catalogue", "added"),
    ]
    assert roost.failed(2, "registry", "remove", location)["hint"]
    assert roost.failed(2, "registry", "add", "no registry:at all")["code"] == "usage"
    assert 'workspace = "registry.example.org/team/"' in roost.config.read_text()


def test_what_can_t_be_asked_is_unknown_and_says_why(roost: Roost, registries: Registries) -> None:
    nobody = f"127.0.0.1:{free_port()}/team"
    roost.ok("registry", "add", "--workspace", nobody)
    roost.ok("registry", "add", registries.catalogue.host)
    done = roost.run("registry", "test", "--json")
    assert done.returncode == 6
    by_location = {t["location"]: t for t in json.loads(done.stdout)["tests"]}
    assert by_location[nobody]["read"]["answer"] == "unknown"
    assert by_location[nobody]["read"]["reason"]["code"] == "registry-unreachable"
    assert by_location[registries.catalogue.host]["ok"]
    assert roost.run("registry", "test", registries.catalogue.host).returncode == 0
    text = roost.run("registry", "test").stdout
    assert nobody in text
    assert "can't be reached" in text
