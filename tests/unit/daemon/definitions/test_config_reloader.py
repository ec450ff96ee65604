"""The configuration in force follows its file and the registries that were added, and is read only if one changed."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from roost.daemon.config.config import Config, ConfigError
from roost.daemon.config.source import ConfigSource
from roost.daemon.definitions.config_reloader import ConfigReloader
from roost.daemon.oci.registries import RegistryLocation, add_location
from roost.model.records import FileStamp

CHANNELS = '[conda]\nchannels = ["{}"]\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(CHANNELS.format("one"))
    monkeypatch.setenv("ROOST_CONFIG", str(path))
    return path


@pytest.fixture
def source() -> ConfigSource:
    return ConfigSource(Config())


@pytest.fixture
def reloader(source: ConfigSource, file: Path, tmp_path: Path) -> ConfigReloader:
    return ConfigReloader(source, str(tmp_path), FileStamp(path=str(file), identity=""))


async def test_a_change_of_the_file_is_in_force_after_a_refresh(
    source: ConfigSource, reloader: ConfigReloader, file: Path
) -> None:
    await reloader.refresh()
    assert source.defaults.channels == ("one",)
    file.write_text(CHANNELS.format("another"))
    await reloader.refresh()
    assert source.defaults.channels == ("another",)


async def test_an_unchanged_file_is_not_read_again(source: ConfigSource, reloader: ConfigReloader) -> None:
    await reloader.refresh()
    before = source.config
    await asyncio.gather(*(reloader.refresh() for _ in range(5)))
    assert source.config is before


async def test_a_broken_file_is_refused_each_time_until_it_is_fixed(
    source: ConfigSource, reloader: ConfigReloader, file: Path
) -> None:
    file.write_text("[conda\n")
    for _ in range(2):
        with pytest.raises(ConfigError):
            await reloader.refresh()
    file.write_text(CHANNELS.format("fixed"))
    await reloader.refresh()
    assert source.defaults.channels == ("fixed",)


async def test_registries_that_are_added_are_in_force_at_once_and_all_of_them(
    source: ConfigSource, reloader: ConfigReloader
) -> None:
    places = [RegistryLocation(location=f"localhost:5000/{name}", kind="catalogue") for name in ("a", "b", "c")]
    changes = (partial(add_location, new=place) for place in places)
    await asyncio.gather(*(reloader.change_registries(change) for change in changes))
    assert set(source.registries.catalogues) == {place.location for place in places}
    assert {place.location for place in await reloader.list_registries()} == {place.location for place in places}
