"""Watches of files with several names (hard links). All functions block, for microseconds.

The only files that are watched themselves: one that is written under a name in another folder is no event in its own. A
name that is added elsewhere later is not noticed before the next event of the file.
"""

from __future__ import annotations

from roost.store.disk import inotify
from roost.store.disk.inotify import Inotify

_MASK = inotify.MODIFY | inotify.CLOSE_WRITE


class LinkedFiles:
    """The watches of one inotify instance by path. If none is left, a file is seen by its folder alone."""

    def __init__(self, notices: Inotify) -> None:
        self._notices = notices
        self._watches: dict[str, int] = {}
        self._paths: dict[int, frozenset[str]] = {}

    def find_paths(self, watch: int) -> frozenset[str]:
        """Return the paths of a watch."""
        return self._paths.get(watch, frozenset())

    def watch(self, path: str) -> bool:
        """Watch the file that ``path`` leads to now. Return whether it is another one than before."""
        try:
            watch = self._notices.watch(path, _MASK | inotify.MASK_ADD)
        except OSError:
            self.lose(path)
            return False
        if self._watches.get(path) == watch:
            return False
        self.lose(path)
        self._watches[path] = watch
        self._paths[watch] = self.find_paths(watch) | {path}
        return True

    def lose(self, path: str) -> None:
        """Watch the file of ``path`` no longer."""
        watch = self._watches.pop(path, None)
        if watch is None:
            return
        left = self._paths.pop(watch) - {path}
        if left:
            self._paths[watch] = left
        else:
            self._notices.unwatch(watch)
