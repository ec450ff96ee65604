"""Places of ``--find-links``: which of them answer, and what uv gets of a folder.

As in pip, a place that does not answer is passed over. The lock that is made without it says so (``Lock.unanswered``):
it is reported with each build, and never shared with other machines, which would keep it although theirs answers. One
that refuses access is an error, because a login is missing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from urllib.parse import urlsplit

from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.requirements import path_url
from roost.model.syntax.pip_lines import strip_file_scheme


class LinkPlaces:
    """The places of one request. ``folder`` is its private temporary folder."""

    def __init__(self, fetcher: Fetcher, folder: str) -> None:
        self._fetcher = fetcher
        self._folder = folder
        self._places: dict[str, str | None] = {}
        """Place to the one that uv gets in its stead; ``None`` if there is nothing."""
        self.unanswered: dict[str, str] = {}
        """Places that did not answer, and why."""

    async def examine(self, places: Iterable[str]) -> None:
        """Look at each of ``places`` once. Raises IndexDeniedError if one refuses access."""
        for place in dict.fromkeys(places):
            if place in self._places:
                continue
            if place.startswith("file:"):
                self._places[place] = await asyncio.to_thread(self._prepare_folder, place)
            elif urlsplit(place).scheme in ("http", "https") and (fault := await self._fetcher.find_fault(place)):
                self.unanswered[place], self._places[place] = fault, None
            else:
                self._places[place] = place

    def select(self, places: Iterable[str]) -> list[str]:
        """Return what uv gets for ``places``, which were examined."""
        return [chosen for place in places if (chosen := self._places.get(place, place)) is not None]

    def _prepare_folder(self, place: str) -> str | None:
        """Return ``place``, or a folder of links to its files if it has others: uv would wait for a pipe's writer."""
        path = strip_file_scheme(place)
        if not os.path.isdir(path):
            return place if os.path.exists(path) else None
        with os.scandir(path) as entries:
            listed = [(entry.name, entry.is_file() or entry.is_dir()) for entry in entries]
        if all(is_usual for _, is_usual in listed):
            return place
        copy = os.path.join(self._folder, f"links-{len(self._places)}")
        os.makedirs(copy, exist_ok=True)
        for name, is_usual in listed:
            if is_usual and not os.path.lexists(os.path.join(copy, name)):
                os.symlink(os.path.join(path, name), os.path.join(copy, name))
        return path_url(copy)
