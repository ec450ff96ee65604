"""The curated environments that come with roost: ``environments/NAME/VERSION.toml``, in the form of ``roost.toml``.

They are digested with roost's own defaults and not the config's, so that they are the same on every machine and their
locks can be shared. A released version never changes: a change is the next number, and the old file stays
(``tests/unit/test_shipped_environments.py`` keeps the digests).
"""

from __future__ import annotations

import os
from functools import cache

from roost.daemon.curated.catalogue import NoFiles, curated_version
from roost.model.definition import Defaults
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.records import NewVersion

ORIGIN = "roost"
"""Where they are from, in the place of a registry."""
FOLDER = os.path.join(os.path.dirname(__file__), "environments")


@cache
def shipped() -> tuple[NewVersion, ...]:
    """All versions, by name and number. Blocks: reads a few small files, once."""
    found = [_version(name, file) for name in os.listdir(FOLDER) for file in os.listdir(os.path.join(FOLDER, name))]
    return tuple(sorted(found, key=lambda new: (new.name, new.number or 0)))


def shipped_names() -> frozenset[str]:
    """The names that are roost's own, in lower case: no catalogue adds to them."""
    return frozenset(new.name.lower() for new in shipped())


def _version(name: str, file: str) -> NewVersion:
    path = os.path.join(FOLDER, name, file)
    with open(path, "rb") as stream:
        parsed = read_definition(DefinitionSource(path=path, data=stream.read(), format="roost"), NoFiles())
    number = int(file.removesuffix(".toml"))
    return curated_version(name, number, parsed.definition, parsed.settings, Defaults(), ORIGIN)
