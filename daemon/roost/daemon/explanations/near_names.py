"""Names of pip packages that a misspelt one may stand for: those that uv was asked for before, which is all that is
known of an index without reading all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches

_CLOSENESS = 0.75
_MOST_NAMES = 100_000


def find_near_names(cache_dir: str, name: str, most: int) -> list[str]:
    """Return the names in uv's cache that ``name`` may be a misspelling of, the nearest first. Blocks."""
    similar = {each for each in _list_cached_names(cache_dir) if abs(len(each) - len(name)) <= 2}
    return get_close_matches(name, sorted(similar - {name}), n=most, cutoff=_CLOSENESS)


def _list_cached_names(cache_dir: str) -> Iterator[str]:
    """Yield the names of the pages of indexes in uv's cache: ``simple-v28/pypi/NAME.rkyv``, and for other indexes
    ``simple-v28/index/DIGEST/NAME.rkyv``."""
    count = 0
    with os.scandir(cache_dir) as entries:
        folders = [entry.path for entry in entries if entry.name.startswith("simple-v")]
    for folder in folders:
        for _, _, files in os.walk(folder):
            for file in files:
                name, suffix = os.path.splitext(file)
                count += 1
                if suffix == ".rkyv" and count < _MOST_NAMES:
                    yield name
