"""Reading the configuration again when its file or the added registries change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from roost.daemon.config.config import load_config
from roost.daemon.config.schema import RegistriesSettings
from roost.daemon.config.source import ConfigSource
from roost.daemon.definitions.stamps import stamp
from roost.daemon.oci.registries import (
    RegistryLocation,
    list_locations,
    merge_added,
    read_added_locations,
    write_added_locations,
)
from roost.model.records import FileStamp

RegistryChange = Callable[[RegistriesSettings, tuple[RegistryLocation, ...]], tuple[RegistryLocation, ...]]
"""From the settings in force and the registries that were added to those that are to be added."""


class ConfigReloader:
    """Keeps a ``ConfigSource`` equal to the config file and to the registries that were added under ``root``."""

    def __init__(self, source: ConfigSource, root: str, file: FileStamp) -> None:
        self._source = source
        self._root = root
        self.file = file
        """The config file and its state before the settings in force were read from it."""
        self._reading = asyncio.Lock()
        """The settings in force and the state of the file belong together."""
        self._changing = asyncio.Lock()
        """Registries are added and removed one at a time."""

    async def refresh(self) -> None:
        """Read the config file again if it changed: a digest made with old defaults would be wrong.

        Raises ConfigError, RegistryFileError.
        """
        async with self._reading:
            now = await asyncio.to_thread(stamp, self.file.path)
            if now != self.file.identity:
                await self._load()
                self.file = FileStamp(path=self.file.path, identity=now)

    async def list_registries(self) -> list[RegistryLocation]:
        """Return the registries in force, after a refresh."""
        await self.refresh()
        return list_locations(self._source.registries, await asyncio.to_thread(read_added_locations, self._root))

    async def change_registries(self, change: RegistryChange) -> None:
        """Replace the registries that were added by what ``change`` makes of them, and put them in force."""
        async with self._changing:
            await self.refresh()
            added = await asyncio.to_thread(read_added_locations, self._root)
            await asyncio.to_thread(write_added_locations, self._root, change(self._source.registries, added))
            await self._load()

    async def _load(self) -> None:
        config = await asyncio.to_thread(load_config)
        self._source.config = merge_added(config, await asyncio.to_thread(read_added_locations, self._root))
