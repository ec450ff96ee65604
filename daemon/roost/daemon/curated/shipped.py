"""The curated environments that ship with roost: ``environments/NAME/VERSION.toml``, in the form of ``roost.toml``.

They are digested with roost's own defaults instead of those of the configuration, so that they are the same on every
machine and their locks can be shared. A released version never changes: a change is the next number, and the old file
stays (``tests/unit/daemon/curated/test_shipped.py`` holds the digests).

Separate from ``catalogue`` and ``validation``, which are pure, because it reads files.
"""

from __future__ import annotations

import os
from functools import cache

from roost.daemon.curated.catalogue import make_curated_version
from roost.daemon.curated.validation import NoFiles
from roost.model.definition import Defaults
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.model.records import NewVersion

SHIPPED_ORIGIN = "roost"
"""Origin of shipped versions; other curated versions have their registry there."""
SHIPPED_FOLDER = os.path.join(os.path.dirname(__file__), "environments")


@cache
def load_shipped_versions() -> tuple[NewVersion, ...]:
    """Return all shipped versions, by name and number. Blocking: reads a few small files, once."""
    versions = [
        _load_version(name, file)
        for name in os.listdir(SHIPPED_FOLDER)
        for file in os.listdir(os.path.join(SHIPPED_FOLDER, name))
    ]
    return tuple(sorted(versions, key=lambda new: (new.name, new.number or 0)))


def load_shipped_names() -> frozenset[str]:
    """Return the names of shipped environments in lower case. Catalogues can't add versions to them. Blocking."""
    return frozenset(new.name.lower() for new in load_shipped_versions())


def _load_version(name: str, file: str) -> NewVersion:
    path = os.path.join(SHIPPED_FOLDER, name, file)
    with open(path, "rb") as stream:
        parsed = read_definition(DefinitionSource(path=path, data=stream.read(), format="roost"), NoFiles())
    number = int(file.removesuffix(".toml"))
    return make_curated_version(name, number, parsed.definition, parsed.settings, Defaults(), SHIPPED_ORIGIN)
