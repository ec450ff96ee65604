"""Watch what leads to a set of paths, and choose how each one is seen. All functions block, for microseconds a path."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection
from functools import cache

from roost.daemon.watch.files import methods
from roost.daemon.watch.files.contents import read_entry
from roost.daemon.watch.files.folder_tree import FolderTree
from roost.daemon.watch.files.folder_watches import EXHAUSTED, FolderWatches, WatchChange
from roost.daemon.watch.files.linked_files import LinkedFiles
from roost.daemon.watch.files.meaning import Meaning, interpret
from roost.daemon.watch.files.methods import WatchMethod
from roost.daemon.watch.files.mounts import NO_MOUNTS, MountTable, find_changed_points, is_below
from roost.daemon.watch.files.trails import list_chain, trace
from roost.store.disk.inotify import Inotify

COALESCE_SECONDS = 0.005
"""From a notice to the look: a save is several events."""
ROUNDS = 5
"""Walks to a path while others move what leads there."""
_MAX_NOTICES = 50_000
LOCAL = ""
"""The place of paths that are polled although the disk is this machine's."""


class PathWatches:
    """The folders on the way to each path, and the inotify instance that watches them."""

    def __init__(self, find_mounts: Callable[[], MountTable]) -> None:
        self._find_mounts = find_mounts
        self._mounts = NO_MOUNTS
        self._tree = FolderTree()
        self._remotes: dict[str, str] = {}
        """Mount points at which the walk to a path ended."""
        self._notices: Inotify | None = None
        self._watches: FolderWatches | None = None
        self._files: LinkedFiles | None = None
        self._without_notices = methods.NO_INOTIFY
        self.may_recover = False
        """Whether something could not be watched for a reason that may go: a limit, or the mode of a folder."""

    @property
    def descriptor(self) -> int:
        """Readable if there are notices; -1 without inotify."""
        return -1 if self._notices is None else self._notices.descriptor

    def open(self) -> None:
        """Begin to receive notices, if the system has them."""
        try:
            self._notices = Inotify()
        except OSError as error:
            if error.errno != errno.ENOSYS:
                self.may_recover = True
                self._without_notices = methods.poll_exhausted(*read_limit("instances"))
            return
        self._watches = FolderWatches(self._notices)
        self._files = LinkedFiles(self._notices)

    def close(self) -> None:
        """End all watches."""
        if self._notices is not None:
            self._notices.close()

    def take_notices(self) -> Meaning:
        """Return what the notices that have come mean, and those that follow at once."""
        if self._notices is None or self._watches is None or self._files is None:
            return Meaning()
        notices = self._notices.read()
        if notices:
            time.sleep(COALESCE_SECONDS)
            while len(notices) < _MAX_NOTICES and (more := self._notices.read()):
                notices += more
        return interpret(notices, self._watches.find_folders, self._tree.find_dependents, self._files.find_paths)

    def follow(self, path: str, *, is_linked: bool) -> bool:
        """Watch the file at the end of a path as well if it has several names. Return whether it is to be looked at
        again, since it was not watched before."""
        if self._files is None:
            return False
        if is_linked:
            return self._files.watch(path)
        self._files.lose(path)
        return False

    def lose(self, folder: str) -> set[str]:
        """End the watches at and below a folder, which may be another one now. Return the paths to walk to again."""
        folders, paths = self._tree.find_below(folder)
        if self._watches is not None:
            for each in folders:
                self._watches.lose(each)
        return paths

    def check(self) -> set[str]:
        """Find folders that were replaced without a notice. Return the paths to walk to again."""
        paths: set[str] = set()
        if self._watches is not None:
            for folder in sorted(self._tree.list_folders()):
                change = self._watches.apply(folder, self._tree.find_use(folder), check=True)
                if change in (WatchChange.REPLACED, WatchChange.GONE):
                    paths |= self.lose(folder)
        return paths

    def read_mounts(self) -> set[str]:
        """Read the table of mounts again. Return the paths to walk to again."""
        before, self._mounts = self._mounts, self._find_mounts()
        paths: set[str] = set()
        for point in find_changed_points(before, self._mounts):
            paths |= self.lose(point)
            paths |= {path for path, each in self._remotes.items() if is_below(each, point) or is_below(point, each)}
        return paths

    def walk(self, paths: Collection[str]) -> tuple[bool, set[str]]:
        """Walk to paths, and watch the folders on the way, until nothing moves meanwhile.

        Return whether that succeeded, and other paths to walk to again.
        """
        others: set[str] = set()
        for _ in range(ROUNDS):
            entry_of, remote_of = cache(read_entry), cache(self._find_remote)
            folders: set[str] = set()
            for path in paths:
                trail = trace(path, entry_of, remote_of)
                folders |= self._tree.put(path, trail.steps)
                folders.update(step.folder for step in trail.steps)
                if trail.remote is None:
                    self._remotes.pop(path, None)
                else:
                    self._remotes[path] = trail.remote
            if not self._watch(folders, others):
                return True, others.difference(paths)
        return False, others.difference(paths)

    def drop(self, path: str) -> None:
        """Watch nothing for a path any more."""
        self._remotes.pop(path, None)
        if self._files is not None:
            self._files.lose(path)
        touched = self._tree.drop(path)
        if self._watches is not None:
            for folder in touched:
                self._watches.apply(folder, self._tree.find_use(folder))

    def choose(self, path: str) -> tuple[str | None, WatchMethod]:
        """Return where a path is to be polled (``None``: nowhere; ``LOCAL``; a mount point), and how it is seen."""
        remote = self._remotes.get(path)
        if remote is not None:
            mount = self._mounts.find(remote)
            return remote, methods.poll_remote("unknown" if mount is None else mount.kind, remote)
        if self._watches is None:
            return LOCAL, self._without_notices
        if not self._watches.errors:
            return None, methods.INOTIFY
        for step in self._tree.find_steps(path):
            for folder in (*list_chain(step.folder), step.folder):
                code = self._watches.errors.get(folder)
                if code in EXHAUSTED:
                    self.may_recover = True
                    return LOCAL, methods.poll_exhausted(*read_limit("watches"))
                if code is not None and folder == step.folder:
                    self.may_recover = True
                    return LOCAL, methods.poll_unreadable(folder)
        return None, methods.INOTIFY

    def count(self) -> int:
        """Return the number of watches in use."""
        return 0 if self._watches is None else self._watches.count()

    def _watch(self, folders: set[str], others: set[str]) -> bool:
        """Watch folders and those above, from the top down. Return whether that needs another walk."""
        if self._watches is None:
            return False
        moved = False
        for folder in sorted({above for each in folders for above in (*list_chain(each), each)}):
            change = self._watches.apply(folder, self._tree.find_use(folder))
            if change in (WatchChange.REPLACED, WatchChange.GONE):  # its own notice of that is ignored from now on
                others |= self.lose(folder)
            moved |= change in (WatchChange.ADDED, WatchChange.REPLACED, WatchChange.GONE)
        return moved

    def _find_remote(self, place: str) -> str | None:
        mount = self._mounts.find_remote(place)
        return None if mount is None else mount.point


def read_limit(name: str) -> tuple[str, int | None]:
    """Return the sysctl(8) name and the value of a limit of inotify: the lower one of the system's and of this user
    namespace's. ``name`` is ``watches`` or ``instances``."""
    found = []
    for setting in (f"fs.inotify.max_user_{name}", f"user.max_inotify_{name}"):
        try:
            with open(f"/proc/sys/{setting.replace('.', '/')}", encoding="ascii") as file:
                found.append((int(file.read()), setting))
        except (OSError, ValueError):
            continue
    if not found:
        return f"fs.inotify.max_user_{name}", None
    value, setting = min(found)
    return setting, value
