"""Where wheels of an index may come from while that index does not answer. Pure.

An index lists its files by URLs on any host. So the URL in a lock file proves nothing, and neither does the sha256
beside it: both are in the same file. What lies at the index's own place is surely the index's: below its URL, or below
the folder of its pages (``…/simple``), since servers of one's own keep the files under one path with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from urllib.parse import SplitResult, unquote, urlsplit

from roost.daemon.credentials.substitution import insert_values
from roost.model.definition import PipItem
from roost.model.locks.lock import Wheel
from roost.model.syntax.urls import strip_credentials

_INDEX_OPTION = re.compile(r"(?:^|\s)(?:--(?:extra-)?index(?:-url)?|--find-links|-[if])[= ]\s*(\S+)")
_PAGES = ("simple", "+simple")
"""Last part of the path of an index: of the standard (PEP 503), and of devpi."""
_PORTS = {"http": 80, "https": 443}


def list_places(index: str, lines: Iterable[PipItem], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs, each with a slash at its end, below which the files of the indexes of ``lines`` are, and of
    ``index``, the default one. ``variables``: values for ``${NAME}`` in them."""
    options = (match[1] for item in lines for match in _INDEX_OPTION.finditer(item.text))
    urls = (insert_values(url, variables) for url in (index, *options))
    return tuple(dict.fromkeys(_find_place(url) for url in urls if url.startswith(("http://", "https://"))))


def find_unplaced(
    wheels: Sequence[Wheel], places: Iterable[str], stored: Set[str], variables: Mapping[str, str]
) -> Wheel | None:
    """Return the first of the wheels of an index that neither lies in ``places`` nor is ``stored`` (sha256s) here."""
    parts = [(_origin(split), _path(split)) for split in map(urlsplit, places)]
    for wheel in wheels:
        if wheel.kind != "index" or wheel.sha256 in stored:
            continue
        url = insert_values(wheel.url or "", variables)
        split = urlsplit(strip_credentials(url)[0])
        origin, path = _origin(split), _path(split)
        # Browsers and uv read a backslash as a slash, so that what follows is no host for them.
        is_plain = not {".", ".."} & set(path.split("/")) and "\\" not in unquote(url)
        if not (is_plain and any(origin == where and path.startswith(folder) for where, folder in parts)):
            return wheel
    return None


def _find_place(url: str) -> str:
    split = urlsplit(strip_credentials(url)[0])
    path = split.path.rstrip("/")
    folder, _, last = path.rpartition("/")
    return split._replace(path=f"{folder if last in _PAGES else path}/", query="", fragment="").geturl()


def _origin(split: SplitResult) -> tuple[str, str, int | None]:
    try:
        port = split.port
    except ValueError:
        return "", "", None
    return split.scheme, split.hostname or "", port or _PORTS.get(split.scheme)


def _path(split: SplitResult) -> str:
    return unquote(unquote(split.path))
