"""What a start makes of the definitions that come with it: a newer roost adds versions and changes none."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from roost.daemon.curated import shipped
from roost.daemon.curated.catalogue import make_curated_version
from roost.daemon.curated.registry import CatalogueRegistry
from roost.daemon.curated.versions import CuratedVersions
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.launch.folder import LaunchFolder
from roost.model.definition import Defaults, Definition, Pip, Settings
from roost.model.errors import LookupFailedError
from roost.model.names import VersionReference
from roost.model.records import EnvironmentBody
from roost.store.store import Store


@pytest.fixture
async def store(short_folder: Path) -> AsyncIterator[Store]:
    opened = await Store.open(str(short_folder))
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What a later roost brings: a copy that a test may add to."""
    later = tmp_path / "shipped"
    shutil.copytree(shipped.SHIPPED_FOLDER, later)
    monkeypatch.setattr(shipped, "SHIPPED_FOLDER", str(later))
    shipped.load_shipped_versions.cache_clear()
    yield later
    shipped.load_shipped_versions.cache_clear()


async def ship(store: Store) -> None:
    """As at a start. Engines, events and plan files have no part in it."""
    shipped.load_shipped_versions.cache_clear()
    await CuratedVersions(
        store, cast("Engines", None), cast("Events", None), cast("LaunchFolder", None)
    ).register_shipped()


async def versions(store: Store, name: str) -> dict[int, str]:
    return {each.version: each.definition_digest for each in await store.index.environments.list_versions(name)}


async def test_a_newer_roost_adds_the_next_version_and_the_old_one_stays(store: Store, folder: Path) -> None:
    await ship(store)
    first = await versions(store, "Roost-Minimal")
    (folder / "Roost-Minimal" / "2.toml").write_text('[conda]\ndependencies = ["python >=3.12"]\n')
    await ship(store)
    now = await versions(store, "Roost-Minimal")
    assert sorted(now) == [1, 2]
    assert {1: now[1]} == first
    found = await store.index.environments.get(VersionReference(name="Roost-Minimal"))
    assert (found.version, found.kind, found.origin) == (2, "curated", "roost")


async def test_an_older_roost_leaves_what_a_newer_one_brought(store: Store, folder: Path) -> None:
    (folder / "Roost-Minimal" / "2.toml").write_text('[conda]\ndependencies = ["python >=3.12"]\n')
    await ship(store)
    (folder / "Roost-Minimal" / "2.toml").unlink()
    await ship(store)
    assert sorted(await versions(store, "Roost-Minimal")) == [1, 2]


async def test_a_number_that_is_taken_stays_and_the_others_come(
    store: Store, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await ship(store)
    before = await versions(store, "Roost-Minimal")
    (folder / "Roost-Minimal" / "1.toml").write_text('[conda]\ndependencies = ["python >=3.12"]\n')
    (folder / "Roost-New").mkdir()
    (folder / "Roost-New" / "1.toml").write_text('[conda]\ndependencies = ["python"]\n')
    await ship(store)
    assert await versions(store, "Roost-Minimal") == before
    assert list(await versions(store, "Roost-New")) == [1]
    assert "Roost-Minimal:1 exists already" in caplog.text


async def test_a_start_writes_nothing_where_all_is_there(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ship(store)
    trace = tmp_path / "trace"
    trace.touch()
    monkeypatch.setenv("ROOST_FAILPOINT_TRACE", str(trace))
    await ship(store)
    assert trace.read_text() == ""
    (folder / "Roost-New").mkdir()
    for number in (1, 2):
        (folder / "Roost-New" / f"{number}.toml").write_text(f'[conda]\ndependencies = ["python >=3.1{number}"]\n')
    await ship(store)
    assert trace.read_text().count("commit ") == 1, "all of them in one transaction"


async def test_newer_versions_of_a_catalogue_are_found_and_not_registered(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with the latest version that is known here; what ships with roost is nobody else's."""
    entries = [("Roost-Team", 1), ("Roost-Team", 3), ("Roost-Known", 2), ("Roost-Minimal", 9)]

    async def fetch(self: CatalogueRegistry, location: str) -> object:
        named = [SimpleNamespace(name=name, version=version) for name, version in entries]
        return SimpleNamespace(catalogue=SimpleNamespace(entries=named)) if location == "here" else None

    monkeypatch.setattr(CatalogueRegistry, "fetch", fetch)
    curated = CuratedVersions(store, cast("Engines", None), cast("Events", None), cast("LaunchFolder", None))
    definition = Definition(pip=Pip(requirements=()))
    for number in (1, 2):
        body = EnvironmentBody(
            definition=definition, settings=Settings(variables={"N": str(number)}), defaults=Defaults()
        )
        new = make_curated_version("Roost-Known", number, body.definition, body.settings, body.defaults, "here")
        await store.index.environments.register(new)
    assert await curated.find_newer("here") == {"Roost-Team": (3, None)}
    entries.append(("Roost-Known", 4))
    assert await curated.find_newer("here") == {"Roost-Team": (3, None), "Roost-Known": (4, 2)}
    assert await curated.find_newer("elsewhere") == {}
    with pytest.raises(LookupFailedError):
        await store.index.environments.get(VersionReference(name="Roost-Team"))
