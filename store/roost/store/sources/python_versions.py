"""Search for the ``.python-version`` that belongs to a definition. Blocking.

Beside the definition, then upwards, to where the search for an environment file ends too: a repository or the home
folder. uv searches it upwards as well, but ends at the project or its workspace.
"""

from __future__ import annotations

import os

import msgspec

from roost.model.readers.choices.pythons import MAX_VERSION_FILE, VERSION_FILE
from roost.store.disk.regular_files import open_regular
from roost.store.sources.stops import REPOSITORY, is_end


class VersionFileSearch(msgspec.Struct, frozen=True, kw_only=True):
    """The file that was found, and what the search depended on."""

    path: str | None = None
    data: bytes | None = None
    """Its content; ``None`` if it can't be read, or is too large to be one."""
    absent: tuple[str, ...] = ()
    """Missing paths whose appearance would change the result."""


def find_version_file(folder: str) -> VersionFileSearch:
    """Return the nearest ``.python-version`` of ``folder``."""
    absent: list[str] = []
    current = os.path.normpath(folder)
    while True:
        path = os.path.join(current, VERSION_FILE)
        if os.path.lexists(path):
            return VersionFileSearch(path=path, data=_read(path), absent=tuple(absent))
        absent.append(path)
        above = os.path.dirname(current)
        if is_end(current) or above == current:
            return VersionFileSearch(absent=tuple(absent))
        absent.append(os.path.join(current, REPOSITORY))
        current = above


def _read(path: str) -> bytes | None:
    try:
        with open_regular(path) as file:
            data = file.read(MAX_VERSION_FILE + 1)
    except OSError:
        return None
    return data if len(data) <= MAX_VERSION_FILE else None
