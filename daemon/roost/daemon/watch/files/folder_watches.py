"""The watches of folders: one for each folder, however many paths need it. All functions block, for microseconds.

Folders are to be watched from the top down: a folder above that is replaced before its watch begins makes the watch
below fail, and one that is replaced later sends a notice, so that no replacement goes unseen.
"""

from __future__ import annotations

import errno
from enum import Enum, auto

from roost.daemon.watch.files.folder_tree import FolderUse
from roost.daemon.watch.files.meaning import ITSELF_MASK, NAMES_MASK
from roost.store.disk import inotify
from roost.store.disk.inotify import Inotify

EXHAUSTED = frozenset({errno.ENOSPC, errno.ENOMEM})
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class WatchChange(Enum):
    """What became of the watch of a folder."""

    NONE = auto()
    ADDED = auto()
    """Names may have changed between the walk and the watch."""
    REPLACED = auto()
    """The folder is another one than before: so is everything below."""
    GONE = auto()
    """There is no such folder any more, or it can't be watched any more."""
    FAILED = auto()
    """``errors`` has the reason."""


class FolderWatches:
    """The watches of one inotify instance by folder. ``errors`` has the number of the error (errno(3)) of each folder
    that can't be watched."""

    def __init__(self, notices: Inotify) -> None:
        self._notices = notices
        self._watches: dict[str, tuple[int, FolderUse]] = {}
        self._folders: dict[int, tuple[str, ...]] = {}
        self.errors: dict[str, int] = {}

    def find_folders(self, watch: int) -> tuple[str, ...]:
        """Return the folders of a watch: several if one folder is mounted at several places."""
        return self._folders.get(watch, ())

    def apply(self, folder: str, use: FolderUse, *, check: bool = False) -> WatchChange:
        """Watch a folder for ``use`` from now on. ``check`` asks the kernel even if nothing is to be changed: the
        folder may have been replaced by another one without a notice.

        A watch that has more events than it needs is left so: to replace its mask could be to replace that of another
        folder, which was moved here.
        """
        before = self._watches.get(folder)
        if use is FolderUse.NONE:
            self.lose(folder)
            return WatchChange.NONE
        if before is not None and before[1] >= use and not check:
            return WatchChange.NONE
        use = use if before is None else max(use, before[1])
        mask = (NAMES_MASK if use is FolderUse.NAMES else ITSELF_MASK) | inotify.MASK_ADD
        try:
            watch = self._notices.watch(folder, mask)
        except OSError as error:
            self.lose(folder)
            if error.errno in _GONE or before is not None:  # else another attempt will say why
                return WatchChange.GONE
            self.errors[folder] = error.errno or errno.EIO
            return WatchChange.FAILED
        self.errors.pop(folder, None)
        if before is not None and watch != before[0]:
            self.lose(folder)
        self._watches[folder] = (watch, use)
        folders = self._folders.get(watch, ())
        if folder not in folders:
            self._folders[watch] = (*folders, folder)
        if before is None:
            return WatchChange.ADDED
        if watch != before[0]:
            return WatchChange.REPLACED
        return WatchChange.ADDED if use > before[1] else WatchChange.NONE

    def lose(self, folder: str) -> None:
        """End the watch of a folder, which may have ended by itself."""
        self.errors.pop(folder, None)
        before = self._watches.pop(folder, None)
        if before is None:
            return
        left = tuple(each for each in self._folders[before[0]] if each != folder)
        if left:
            self._folders[before[0]] = left
        else:
            del self._folders[before[0]]
            self._notices.unwatch(before[0])

    def count(self) -> int:
        """Return the number of watches."""
        return len(self._folders)
