"""Which folders are watched for a set of paths, and which paths an event in one of them is about. Pure.

A folder with a step is watched for changes of its names; each folder above it only for its own removal or renaming,
which takes everything below along and is no event there. The second kind has no events otherwise, however busy such a
folder is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from roost.daemon.watch.files.mounts import is_below
from roost.daemon.watch.files.trails import ANY_NAME, TrailStep, list_chain, parent_of

_FEW = 8


class FolderUse(IntEnum):
    """What a folder is watched for."""

    NONE = 0
    ITSELF = 1
    NAMES = 2


class FolderTree:
    """The steps of all paths by their folders."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._steps: dict[str, tuple[str, ...]] = {}
        """The folder and the name of each step in turn: one object for a path, of which there are tens of thousands."""

    def put(self, path: str, steps: Iterable[TrailStep]) -> set[str]:
        """Replace the steps of a path. Return the folders whose use may be another one now."""
        steps = tuple(TrailStep(self._intern(step.folder), step.name) for step in steps)
        before = self.find_steps(path)
        if before == steps and path in self._steps:
            return set()
        touched = {step.folder for step in steps}
        self._steps[path] = tuple(part for step in steps for part in step)
        for step in steps:
            self._ensure(step.folder, touched).add(step.name, path)
        self._remove(path, set(before).difference(steps), touched)
        return touched

    def drop(self, path: str) -> set[str]:
        """Forget a path. Return the folders whose use may be another one now."""
        touched: set[str] = set()
        steps = self.find_steps(path)
        self._steps.pop(path, None)
        self._remove(path, steps, touched)
        return touched

    def find_use(self, folder: str) -> FolderUse:
        """Return what a folder is to be watched for."""
        node = self._nodes.get(folder)
        if node is None or (folder == "/" and not node.names):
            return FolderUse.NONE
        return FolderUse.NAMES if node.names else FolderUse.ITSELF

    def list_folders(self) -> list[str]:
        """Return all folders that are to be watched."""
        return [folder for folder in self._nodes if self.find_use(folder)]

    def find_steps(self, path: str) -> tuple[TrailStep, ...]:
        """Return the steps of a path."""
        parts = self._steps.get(path, ())
        return tuple(map(TrailStep, parts[::2], parts[1::2]))

    def find_dependents(self, folder: str, name: str) -> tuple[str, ...]:
        """Return the paths that a change of a name in a folder matters to."""
        node = self._nodes.get(folder)
        if node is None:
            return ()
        return (*node.find(name), *(node.find(ANY_NAME) if name != ANY_NAME else ()))

    def find_below(self, folder: str) -> tuple[list[str], set[str]]:
        """Return the folders at and below ``folder`` that are to be watched, and the paths with a step in one."""
        folders = [each for each in self._nodes if is_below(each, folder)]
        paths = {path for each in folders for name in self._nodes[each].names for path in self._nodes[each].find(name)}
        return folders, paths

    def _intern(self, folder: str) -> str:
        node = self._nodes.get(folder)
        return folder if node is None else node.folder

    def _ensure(self, folder: str, touched: set[str]) -> _Node:
        node = self._nodes.get(folder)
        if node is None:
            node = self._nodes[folder] = _Node(folder)
            touched.add(folder)
            if folder != "/":
                self._ensure(parent_of(folder), touched).folders_below += 1
        return node

    def _remove(self, path: str, steps: Iterable[TrailStep], touched: set[str]) -> None:
        for folder, name in steps:
            self._nodes[folder].remove(name, path)
            touched.add(folder)
            self._prune(folder, touched)

    def _prune(self, folder: str, touched: set[str]) -> None:
        node = self._nodes[folder]
        if node.names or node.folders_below:
            return
        del self._nodes[folder]
        touched.add(folder)
        if folder != "/":
            parent = parent_of(folder)
            self._nodes[parent].folders_below -= 1
            self._prune(parent, touched)


def find_uses(trails: Mapping[str, Iterable[TrailStep]]) -> dict[str, FolderUse]:
    """Return the use of each folder for the steps of a set of paths: what a ``FolderTree`` computes in parts."""
    folders = {step.folder for steps in trails.values() for step in steps}
    above = {each for folder in folders for each in list_chain(folder)}
    return {each: FolderUse.NAMES if each in folders else FolderUse.ITSELF for each in above | folders}


class _Node:
    __slots__ = ("folder", "folders_below", "names")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.names: dict[str, str | tuple[str, ...] | set[str]] = {}
        """The paths of each name: nearly always one, but a link may lead to thousands."""
        self.folders_below = 0

    def find(self, name: str) -> tuple[str, ...] | set[str]:
        """Return the paths of a name."""
        paths = self.names.get(name, ())
        return (paths,) if isinstance(paths, str) else paths

    def add(self, name: str, path: str) -> None:
        paths = self.find(name)
        if isinstance(paths, set):
            paths.add(path)
        elif path not in paths:
            more = (*paths, path)
            self.names[name] = path if len(more) == 1 else more if len(more) <= _FEW else set(more)

    def remove(self, name: str, path: str) -> None:
        paths = self.find(name)
        if isinstance(paths, set):
            paths.discard(path)
            left: tuple[str, ...] | set[str] = paths
        else:
            left = tuple(each for each in paths if each != path)
        if left:
            self.names[name] = next(iter(left)) if len(left) == 1 else left
        else:
            del self.names[name]
