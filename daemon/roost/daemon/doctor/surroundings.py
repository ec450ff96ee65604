"""What the checks look at.

Separate because every check takes it, and ``examination`` imports every check.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from roost.daemon.config.config import Config
from roost.daemon.credentials.host import find_config_variables
from roost.daemon.engines.engine_set import Engines
from roost.daemon.oci.registries import RegistryLocation
from roost.store.disk.layout import Layout
from roost.store.index.index import Index

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Surroundings:
    """The parts of a daemon, and what is known of the one that called."""

    layout: Layout
    index: Index
    engines: Engines
    config: Config
    """The configuration in force."""
    list_registries: Callable[[], Awaitable[list[RegistryLocation]]]
    """Returns those in force. Raises: ConfigError, RegistryFileError."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The caller's variables that the configuration refers to, as far as they are set."""

    @property
    def root(self) -> str:
        return self.layout.root

    def is_configured(self, *path: str) -> bool:
        """Return whether the config file sets a key or table, so that somebody relies on it."""
        return any(key[: len(path)] == path for key in self.config.lines)


def list_needed_variables(config: Config) -> list[str]:
    """Return the names of the caller's variables that the configuration refers to: credentials of channels and indexes,
    and ``${NAME}`` in their URLs."""
    urls = [*config.conda.channels, config.pip.index_url or ""]
    urls += [mirror for mirrors in config.conda.mirrors.values() for mirror in mirrors]
    return sorted({*find_config_variables(config), *(name for url in urls for name in find_variables(url))})


def find_variables(url: str) -> list[str]:
    """Return the names of the variables that ``url`` refers to."""
    return sorted(set(_VARIABLE.findall(url)))
