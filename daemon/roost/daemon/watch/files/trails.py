"""Which names in which folders decide what a path leads to. Pure: what the disk has comes from a function.

A path is walked as path_resolution(7) describes, name by name. Every link on the way is a step, since it may be turned;
so is the last name, and the first one that does not exist, since it may appear. The folders between need no step: they
have no links in their names, so that only their own removal or renaming matters, and that is true of every folder above
a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

MAX_LINKS = 40
"""As in Linux: more links on one way are a loop (``ELOOP``)."""
MAX_PATH = 4096
"""Bytes, as in Linux (``PATH_MAX``)."""


class EntryKind(Enum):
    """What a name in a folder is."""

    FOLDER = auto()
    LINK = auto()
    FILE = auto()
    MISSING = auto()
    REFUSED = auto()
    """It can't be seen: the folder may not be entered, for example."""


class Entry(NamedTuple):
    """What a name in a folder is, and where it leads if it is a link."""

    kind: EntryKind
    target: str = ""


class TrailStep(NamedTuple):
    """A name in a folder, or ``ANY_NAME``. The folder's path is absolute and has no links."""

    folder: str
    name: str


ANY_NAME = ""


@dataclass(frozen=True, slots=True)
class Trail:
    """The steps of one path. ``remote`` is the mount point at which the walk ended, because what lies on that mount has
    to be polled, and may not answer."""

    steps: tuple[TrailStep, ...]
    remote: str | None = None


def trace(path: str, read_entry: Callable[[str], Entry], find_remote: Callable[[str], str | None]) -> Trail:
    """Walk an absolute ``path``. ``find_remote`` returns the mount point of a folder that has to be polled, and nothing
    on such a mount is read."""
    steps: list[TrailStep] = []
    folder, links = "/", 0
    remote = find_remote(folder)
    waiting = _split(path)
    while waiting and remote is None:
        name = waiting.pop()
        if name == "..":
            if folder != "/":
                steps.append(_step_of(folder))
                folder = parent_of(folder)
            continue
        place = join(folder, name)
        remote = find_remote(place)
        if remote is not None:
            break
        entry = read_entry(place)
        if entry.kind is EntryKind.FOLDER:
            folder = place
            continue
        steps.append(TrailStep(folder, name))
        if entry.kind is not EntryKind.LINK:
            if entry.kind is EntryKind.REFUSED and folder != "/":
                steps.append(_step_of(folder))  # its mode may change
            return _end(steps)
        links += 1
        if links > MAX_LINKS or len(waiting) > MAX_PATH:
            return _end(steps)
        if entry.target.startswith("/"):
            folder = "/"
        waiting.extend(_split(entry.target))
    if remote is not None:
        return Trail(tuple(dict.fromkeys(steps)), remote)
    return _end([*steps, *([_step_of(folder)] if folder != "/" else []), TrailStep(folder, ANY_NAME)])


def join(folder: str, name: str) -> str:
    """Return the path of a name in a folder without links."""
    return f"{folder}{name}" if folder == "/" else f"{folder}/{name}"


def parent_of(folder: str) -> str:
    """Return the folder above; above ``/`` is itself."""
    return folder.rpartition("/")[0] or "/"


def list_chain(folder: str) -> list[str]:
    """Return ``folder`` and all folders above it but ``/``, which can't go; the highest first."""
    chain = []
    while folder != "/":
        chain.append(folder)
        folder = parent_of(folder)
    return chain[::-1]


def _step_of(folder: str) -> TrailStep:
    return TrailStep(parent_of(folder), folder.rpartition("/")[2])


def _split(path: str) -> list[str]:
    """The names of a path, the first one last."""
    return [name for name in path.split("/") if name not in ("", ".")][::-1]


def _end(steps: list[TrailStep]) -> Trail:
    return Trail(tuple(dict.fromkeys(steps)))
