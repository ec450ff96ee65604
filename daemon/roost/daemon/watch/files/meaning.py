"""What a set of notices means. Pure.

A notice says where to look again, and never what has happened: it may be late, and others may be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from roost.store.disk import inotify
from roost.store.disk.inotify import FolderNotice

ITSELF_MASK = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLYDIR | inotify.DONT_FOLLOW
"""For a folder that is watched for its own removal or renaming."""
NAMES_MASK = (
    ITSELF_MASK
    | (inotify.MODIFY | inotify.ATTRIB | inotify.CLOSE_WRITE | inotify.EXCL_UNLINK)
    | (inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE)
)
"""For a folder that is watched for its names. A change of a mode or an owner is an event too: what could not be read
may be readable now."""
_GONE = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED
_NAMES_CHANGED = inotify.MOVED_FROM | inotify.MOVED_TO | inotify.CREATE | inotify.DELETE


@dataclass(slots=True)
class Meaning:
    """Where to look again: ``written`` are paths of which only the content may have changed, ``turned`` those that may
    lead elsewhere now, ``gone`` folders of which everything below may be elsewhere; ``lost`` is whether notices were
    lost, so that everything has to be looked at."""

    written: set[str] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    lost: bool = False


def interpret(
    notices: Iterable[FolderNotice],
    find_folders: Callable[[int], tuple[str, ...]],
    find_dependents: Callable[[str, str], tuple[str, ...]],
) -> Meaning:
    """Return what ``notices`` mean. ``find_folders`` returns the folders of a watch, none if it has ended, and
    ``find_dependents`` the paths that a name in a folder matters to."""
    meaning = Meaning()
    for watch, mask, name in notices:
        if mask & inotify.OVERFLOW:
            meaning.lost = True
            continue
        for folder in find_folders(watch):
            if mask & _GONE:
                meaning.gone.add(folder)
            elif mask & _NAMES_CHANGED or (mask & inotify.ISDIR and name):  # a folder that may be entered now
                meaning.turned.update(find_dependents(folder, name))
            elif name:
                meaning.written.update(find_dependents(folder, name))
    meaning.written -= meaning.turned
    return meaning
