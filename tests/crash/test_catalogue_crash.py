"""SIGKILL of the daemon within a sync: all of a catalogue or nothing of it, and the next sync takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.support.images.catalogues import entry, put, sound
from tests.support.images.registries import RegistryProcess, registry
from tests.support.roost_process import Roost, new_roost

SPECS = ("six", "toml", "pytz", "joblib")


@pytest.fixture
def place() -> Iterator[RegistryProcess]:
    with registry() as made:
        yield made


@pytest.fixture
def user(place: RegistryProcess) -> Iterator[Roost]:
    """A machine that uses the catalogue, with one earlier version of it."""
    roost = new_roost()
    roost.config.write_text(f'[network]\nretries = 0\n[registries]\ncatalogues = ["{place.host}"]\n')
    yield roost
    roost.end()


def versions(roost: Roost) -> list[tuple[str, int]]:
    rows = roost.json("curated", "list")["environments"]
    return [(row["name"], row["versions"]) for row in rows if row["origin"] != "roost"]


def kill_within(roost: Roost, point: str) -> None:
    """Sync by a daemon that kills itself at ``point``, and have another one serve."""
    roost.ok("daemon", "stop")
    roost.fork_daemon({**roost.environ, "ROOST_FAILPOINT": point})
    done = roost.run("curated", "sync")
    assert done.returncode != 0, "it was killed"
    roost.fork_daemon()


@pytest.mark.long
async def test_killed_within_a_sync_it_is_all_or_nothing(user: Roost, place: RegistryProcess) -> None:
    await put(place.host, json.dumps(sound(entry())).encode())
    user.ok("curated", "sync")
    made = [entry(version=number, spec=spec) for number, spec in enumerate(SPECS, 1)]
    made += [entry("Roost-Other", version=number, spec=spec) for number, spec in enumerate(SPECS, 1)]
    await put(place.host, json.dumps(sound(*made)).encode())
    for reached in (1, 2, 5, len(made)):
        kill_within(user, f"register-version:{reached}")
        assert versions(user) == [("Roost-Made", 1)], reached
    assert len(user.json("curated", "sync")["added"]) == len(made) - 1
    assert versions(user) == [("Roost-Made", 4), ("Roost-Other", 4)]
    kill_within(user, "register-version:8")
    assert versions(user) == [("Roost-Made", 4), ("Roost-Other", 4)]


@pytest.mark.parametrize("reached", [1, 2])
def test_killed_within_the_first_start_the_next_one_brings_all_that_comes_with_roost(user: Roost, reached: int) -> None:
    done = user.run("daemon", "start", variables={"ROOST_FAILPOINT": f"register-version:{reached}"})
    assert done.returncode == 5, done.stderr
    rows = user.json("curated", "list")["environments"]
    assert [(row["name"], row["versions"]) for row in rows] == [("Roost-Minimal", 1), ("Roost-Scikit-Learn", 1)]
