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
    """Where to look again.

    ``touched`` are paths whose mode, owner or times have changed, ``written`` those of which only the content may have
    changed, ``turned`` those that may lead elsewhere now, ``gone`` folders of which everything below may be elsewhere
    or hidden;
    ``lost`` is whether notices were lost, so that everything has to be looked at.
    """

    touched: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    turned: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    lost: bool = False


def interpret(
    notices: Iterable[FolderNotice],
    find_folders: Callable[[int], tuple[str, ...]],
    find_dependents: Callable[[str, str], tuple[str, ...]],
    find_files: Callable[[int], Iterable[str]] = lambda watch: (),
) -> Meaning:
    """Return what ``notices`` mean. ``find_folders`` returns the folders of a watch, none if it has ended,
    ``find_dependents`` the paths that a name in a folder matters to, and ``find_files`` the paths of a watched file."""
    meaning = Meaning()
    for watch, mask, name in notices:
        if mask & inotify.OVERFLOW:
            meaning.lost = True
            continue
        if not mask & _GONE:
            meaning.written.update(find_files(watch))
        for folder in find_folders(watch):
            if mask & _GONE or not name:  # without a name it is the folder's own mode that has changed
                meaning.gone.add(folder)
            elif mask & (_NAMES_CHANGED | inotify.ISDIR):  # the latter: a folder that may be entered now
                meaning.turned.update(find_dependents(folder, name))
            else:
                paths = meaning.touched if mask & inotify.ATTRIB else meaning.written
                paths.update(find_dependents(folder, name))
    meaning.written -= meaning.turned
    meaning.touched -= meaning.turned | meaning.written
    return meaning
