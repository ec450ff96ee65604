"""Links on the way to the sources of editable installations, which guard the prefix.

A build backend writes into what it installs where links led when it ran. Once one of them leads elsewhere, the prefix
has the sources of another project. All functions but ``choose_links`` block.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

from roost.daemon.definitions.stamps import stamp
from roost.daemon.engines.uv.prefix import find_dist_info, read_record
from roost.model.locks.lock import Lock
from roost.model.records import FileStamp
from roost.store.disk.regular_files import read_regular
from roost.store.sources.files import LocalFiles

_MOST_PATHS = 20_000
"""Files and folders of a project that are looked at, from the top down."""
_QUOTED_PATH = re.compile(r"""(['"])(/[^'"\n]*)\1""")

Link = tuple[str, str]
"""A path with a link in it or at its end, and where it leads."""


def list_links(lock: Lock) -> frozenset[Link]:
    """Return the links to the folders of editable installations, and those in the folders."""
    found = set[Link]()
    for wheel in lock.wheels:
        if wheel.kind != "editable" or wheel.path is None:
            continue
        paths = LocalFiles().list_below(wheel.path, _MOST_PATHS)
        found.update((path, os.path.realpath(path)) for path in paths if os.path.islink(path))
        if (place := os.path.realpath(wheel.path)) != wheel.path:
            found.add((wheel.path, place))
    return frozenset(found)


def find_named_paths(prefix: str, lock: Lock) -> frozenset[str]:
    """Return the absolute paths that editable installations in ``prefix`` name: the lines of their ``.pth`` files, and
    texts in modules of theirs that find packages."""
    named = set[str]()
    for wheel in lock.wheels:
        folder = find_dist_info(prefix, wheel) if wheel.kind == "editable" else None
        for path, _ in read_record(folder) if folder else ():
            if os.path.dirname(path) == os.path.dirname(folder or "") and path.endswith((".pth", ".py")):
                named.update(_list_paths(path))
    return frozenset(named)


def _list_paths(path: str) -> Iterator[str]:
    try:
        text = read_regular(path).decode(errors="surrogateescape")
    except OSError:
        return
    if path.endswith(".pth"):
        yield from (os.path.normpath(line.strip()) for line in text.splitlines() if line.startswith("/"))
    else:
        yield from (os.path.normpath(match[2]) for match in _QUOTED_PATH.finditer(text))


def choose_links(links: Iterable[Link], named: Iterable[str]) -> list[Link]:
    """Return the links that lead to one of the paths ``named``, or to a folder above it, sorted. Pure."""
    above = {path[:end] or "/" for path in named for end in (*_list_slashes(path), len(path))}
    return sorted(link for link in links if link[1] in above)


def _list_slashes(path: str) -> list[int]:
    return [place for place, character in enumerate(path) if character == "/"]


def stamp_links(links: Iterable[Link]) -> tuple[FileStamp, ...]:
    """Return guards that hold as long as each link leads to its place: to the same folder as the path of the place,
    so a new folder with the inode of a deleted one does not count."""
    guards = list[FileStamp]()
    for path, place in links:
        identity = ":".join(stamp(place).split(":")[:2])
        guards += [FileStamp(path=path, identity=identity), FileStamp(path=place, identity=identity)]
    return tuple(dict.fromkeys(guards))
