"""The configuration in force, in one place.

A separate module, below every package that reads settings: it knows neither files nor registries.
"""

from __future__ import annotations

from roost.daemon.config.config import Config
from roost.daemon.config.schema import RegistriesSettings
from roost.model.definition import Defaults


class ConfigSource:
    """The configuration in force: the config file's settings and the registries that were added.

    Parts keep the source and read it at every use, since the configuration changes while the daemon runs; only
    ``definitions.config_reloader`` replaces it.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def registries(self) -> RegistriesSettings:
        """Registries that are asked, from the file and added ones."""
        return self.config.registries

    @property
    def defaults(self) -> Defaults:
        """Values that the canonical form spells out if a definition does not set them."""
        config = self.config
        return Defaults(
            channels=tuple(config.conda.channels),
            base_image=config.base.image,
            index=config.pip.index_url or Defaults().index,
        )
