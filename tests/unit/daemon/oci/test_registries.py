"""Registries of the config file and added ones."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile, RegistriesSettings
from roost.daemon.oci.registries import (
    LOCATIONS_FILE,
    RegistryFileError,
    RegistryLocation,
    add_location,
    find_workspace_location,
    list_locations,
    merge_added,
    normalize_location,
    read_added_locations,
    remove_location,
    write_added_locations,
)
from roost.model.errors import InvalidRequestError, LookupFailedError

TEAM = RegistryLocation(location="registry.example.org/team", kind="workspace")
CURATED = RegistryLocation(location="other.example.org:5000/curated", kind="catalogue", insecure=True)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("registry.example.org/team", "registry.example.org/team"),
        (" https://registry.example.org/team/ ", "registry.example.org/team"),
        ("http://localhost:5000", "localhost:5000"),
        ("registry.example.org", "registry.example.org"),
        ("team", "docker.io/team"),
    ],
)
def test_a_location_has_one_spelling(text: str, location: str):
    assert normalize_location(text) == location
    assert normalize_location(location) == location


@pytest.mark.parametrize("text", ["", "registry.example.org/Team", "registry.example.org/team:tag", "a b"])
def test_text_that_is_no_location_is_refused(text: str):
    with pytest.raises(InvalidRequestError, match="not a valid registry"):
        normalize_location(text)


def test_the_workspace_is_listed_first_and_each_location_once():
    settings = RegistriesSettings(
        workspace="registry.example.org/team",
        catalogues=("other.example.org:5000/curated", "localhost/x"),
        insecure=("other.example.org:5000",),
    )
    catalogues = (*settings.catalogues, "https://localhost/x")
    doubled = msgspec.structs.replace(settings, catalogues=catalogues)
    listed = list_locations(doubled, (CURATED,))
    assert [(each.location, each.kind, each.insecure, each.origin) for each in listed] == [
        ("registry.example.org/team", "workspace", False, "config"),
        ("other.example.org:5000/curated", "catalogue", True, "added"),
        ("localhost/x", "catalogue", True, "config"),
    ]
    assert find_workspace_location(settings) == listed[0]
    assert find_workspace_location(RegistriesSettings()) is None


def test_added_registries_join_the_settings_and_a_configured_workspace_stays():
    merged = merge_added(Config(), (TEAM, CURATED)).registries
    assert merged.workspace == TEAM.location
    assert merged.catalogues == (CURATED.location,)
    assert merged.insecure == ("other.example.org:5000",)
    configured = Config(settings=ConfigFile(registries=RegistriesSettings(workspace="mine.example.org/a")))
    assert merge_added(configured, (TEAM,)).registries.workspace == "mine.example.org/a"


def test_there_is_one_workspace():
    added = add_location(RegistriesSettings(), (), TEAM)
    assert add_location(RegistriesSettings(workspace=TEAM.location), added, TEAM) == (TEAM,)
    with pytest.raises(InvalidRequestError, match="only one"):
        add_location(RegistriesSettings(workspace="mine.example.org/a"), (), TEAM)


def test_an_added_registry_can_be_removed_and_a_configured_one_not():
    assert remove_location(RegistriesSettings(), (TEAM, CURATED), TEAM.location) == (CURATED,)
    with pytest.raises(InvalidRequestError, match="config file"):
        remove_location(RegistriesSettings(workspace=TEAM.location), (), TEAM.location)
    with pytest.raises(LookupFailedError, match="no registry"):
        remove_location(RegistriesSettings(), (), TEAM.location)


def test_added_registries_are_stored_in_the_root(tmp_path: Path):
    assert read_added_locations(str(tmp_path)) == ()
    write_added_locations(str(tmp_path), (TEAM, CURATED))
    assert read_added_locations(str(tmp_path)) == (TEAM, CURATED)
    assert [path.name for path in tmp_path.iterdir()] == [LOCATIONS_FILE]
    (tmp_path / LOCATIONS_FILE).write_text("{")
    with pytest.raises(RegistryFileError, match="can't be read"):
        read_added_locations(str(tmp_path))
