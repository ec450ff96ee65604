"""Whether the files of packages stay in the prefix that they are linked into. Pure.

A list of files comes from whoever built the package. rattler joins its paths to the prefix as they are: an absolute one
ends its process, and one with ``..`` is written wherever it leads.

Linking waits for this check, so what concerns every path of a package is done by operations on whole sets and texts: an
object for each of 12,000 paths would take five times as long.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from roost.daemon.engines.conda.errors import PackageUnsafeError
from roost.model.locks.lock import CondaPackage

_SITE, _SCRIPTS = "site-packages/", "python-scripts/"
_OWN_FOLDERS = ("bin", "conda-meta", "etc", "lib")
"""Folders in which roost itself writes."""
_PYTHON_FOLDERS = frozenset(f"lib/python3.{minor}{below}" for minor in range(100) for below in ("", "/site-packages"))
"""Python and its packages write below them, whether or not a list says so."""
_MAX_LINKS = 40
"""As the kernel follows, path_resolution(7)."""
_MAX_STATES = 1000
"""Ways to follow one path: links that multiply each other would otherwise take for ever."""
_HINT = "It was not linked. Choose another version or build of it, and report it to the channel."


class PlacedPaths(NamedTuple):
    """The files of a package, in one order: their paths in the package (sources), and in the prefix (targets)."""

    sources: Sequence[str]
    targets: Sequence[str]
    folders: set[str] | None
    """The folders of the targets, if none of the paths is unusual."""

    def find_sources(self, target: str) -> list[str]:
        """Return the sources of ``target``: one, or more if a list spells a path in several ways."""
        return [source for source, other in zip(self.sources, self.targets, strict=True) if other == target]


class _Owner(NamedTuple):
    package: str
    source: str


def find_path_fault(path: str) -> str:
    """Return what is wrong with a path that must lie in its folder; empty if nothing is.

    A backslash is a separator to some programs and a letter to others, so both readings must stay in the folder.
    """
    if not path or "\0" in path:
        return "which is not a path"
    plain = path.replace("\\", "/") if "\\" in path else path
    if plain.startswith("/"):
        return "an absolute path"
    if ".." in plain and ".." in plain.split("/"):
        return "which leads out of the prefix"
    return ""


def find_folders(paths: Iterable[str]) -> set[str] | None:
    """Return the folders that ``paths`` lie in, or ``None`` if one of them may have a fault or is not normal.

    A package has thousands of paths in some dozens of folders, so the folders are looked at instead of the paths.
    """
    folders, names = set(), set()
    for path in paths:
        folder, slash, name = path.rpartition("/")
        folders.add(folder or slash)
        names.add(name)
    folders.discard("")  # of files that lie in no folder
    text = "\n".join([*(f"/{folder}/" for folder in folders), *names])
    has_mark = any(mark in text for mark in ("\\", "\0", "//", "/./", "/../"))
    return None if has_mark or not names.isdisjoint(("", ".", "..")) else folders


def check_names(packages: Iterable[CondaPackage]) -> None:
    """Check what of a lock becomes the name of a folder or a file. Raises ``PackageUnsafeError``."""
    for package in packages:
        for part in (package.name, package.version, package.build):
            if "/" in part or "\0" in part or part in (".", ".."):
                raise PackageUnsafeError(
                    f"The lock has a package {package.name!r} {package.version!r} {package.build!r}, whose name is not "
                    "a name of a file",
                    hint="Ask for a new lock (`roost build --rebuild`).",
                    fields={"package": package.name},
                )


def place_paths(paths: Sequence[str], site: str | None) -> PlacedPaths:
    """Return where the files of a package go. ``site`` is the path of ``site-packages`` in the prefix for a
    ``noarch: python`` package, which has a layout of its own (conda's CEP on noarch packages)."""
    targets = paths
    if site is not None:
        targets = [
            f"{site}/{path[len(_SITE) :]}" if path.startswith(_SITE)
            else f"bin/{path[len(_SCRIPTS) :]}" if path.startswith(_SCRIPTS) else path
            for path in paths
        ]  # fmt: skip
    if (folders := find_folders(targets)) is None:
        targets = [_normalise(path) for path in targets]
    return PlacedPaths(paths, targets, folders)


def _normalise(path: str) -> str:
    return posixpath.normpath(path) if "//" in path or "./" in path or path.endswith(("/", "/.")) else path


class PrefixPaths:
    """All paths of a prefix so far, by the package that they are of.

    ``read_link`` returns where the link of a package leads, ``None`` if that file is not a link. ``ignores_case``: the
    file system of the prefix does not tell ``README`` from ``readme``.
    """

    def __init__(self, read_link: Callable[[str, str], str | None], *, ignores_case: bool = False) -> None:
        self._read_link = read_link
        self._ignores_case = ignores_case
        self._packages: list[tuple[str, PlacedPaths]] = []
        self._files: set[str] = set()
        """The targets of all packages."""
        self._owners: dict[str, list[_Owner]] = {}
        """Of those files that were asked for. Several if packages have the same path: rattler links one of them under
        another name."""
        self._folders: dict[str, str] = dict.fromkeys(_OWN_FOLDERS, "roost")
        """Folder to the first package with a file below it."""
        self._entered: set[str] = set()
        """Files, and so links, that have files below them."""
        self._folded: dict[str, str] = {}

    def add(self, package: str, paths: PlacedPaths, commands: Iterable[str] = ()) -> None:
        """Add the files of ``package``, and the names of the commands that are made for it.

        Raises:
            PackageUnsafeError: if one of them would not be in the prefix: by its own path, or through a link of this
                or another package; or if the file system takes two of them for one.
        """
        for command in commands:
            if not command or "/" in command or "\\" in command or "\0" in command or command in (".", ".."):
                raise _unsafe(package, f"{command!r} is not the name of a command", command)
        if (folders := paths.folders) is None:
            for path, target in zip(paths.sources, paths.targets, strict=True):
                if fault := find_path_fault(path) or find_path_fault(target):
                    raise _unsafe(package, f"its list of files has {path!r}, {fault}", path)
            folders = {target.rpartition("/")[0] for target in paths.targets} - {""}
        targets = set(paths.targets)
        folders = folders.union(parent for folder in folders for parent in _parents(folder))
        new_folders = folders - self._folders.keys()
        self._packages.append((package, paths))
        self._files |= targets
        self._folders |= dict.fromkeys(new_folders, package)
        for target in targets & self._owners.keys():
            self._owners[target] += [_Owner(package, source) for source in paths.find_sources(target)]
        self._entered |= (new_folders & self._files) | (targets & self._folders.keys())
        self._entered |= targets & _PYTHON_FOLDERS
        for entered in self._entered:  # those of before too: a link of this package may lead them on
            if self._check_link(entered):
                self._check_links_below(f"{entered}/")
        if self._ignores_case:
            self._check_case(package, [*folders, *targets])

    def _find_owners(self, target: str) -> list[_Owner]:
        """Return the packages that have the file ``target``, with its paths in them."""
        if target not in self._files:
            return []
        if target not in self._owners:
            self._owners[target] = [
                _Owner(package, source) for package, paths in self._packages for source in paths.find_sources(target)
            ]
        return self._owners[target]

    def _check_link(self, path: str) -> bool:
        """Check where the files at ``path``, below which there are others, lead if they are links. Return whether one
        is."""
        links = [(owner, link) for owner in self._find_owners(path) if (link := self._read_link(*owner)) is not None]
        if links and (fault := self._find_escape(path)):
            owner, link = links[0]
            other = self._folders.get(path, "roost")
            raise _unsafe(
                owner.package, f"its {path} is a link to {link}, {fault}, and {other} has files below it", path
            )
        return bool(links)

    def _check_links_below(self, start: str) -> None:
        """Check the links that are listed below a link, whose path is ``start`` up to its slash.

        They are written elsewhere than their paths say, where their targets may mean something else, and where
        ``_find_escape`` does not look for them. So they may only lead to a file beside them, as those of shared
        libraries do: ``lib64/libz.so`` to ``libz.so.1``, with ``lib64`` a link.
        """
        for package, paths in self._packages:
            if paths.folders is not None and not any(f"{folder}/".startswith(start) for folder in paths.folders):
                continue
            below = {target: source for source, target in zip(*paths[:2], strict=True) if target.startswith(start)}
            for target, source in below.items():
                link = self._read_link(package, source)
                if link is not None and not self._leads_to_file(package, target, below):
                    what = f"its {target} is a link to {link}, and lies below another link, {start[:-1]}"
                    raise _unsafe(package, what, target)

    def _leads_to_file(self, package: str, path: str, files: Mapping[str, str]) -> bool:
        """Return whether ``path`` leads by plain names to a file of ``files`` (target to source) in the same folder."""
        folder = path[: path.rindex("/") + 1]
        for _ in range(_MAX_LINKS):
            if path not in files or path in self._folders:
                return False
            link = self._read_link(package, files[path])
            if link is None:
                return True
            if "/" in link or link in ("", ".", ".."):
                return False
            path = folder + link
        return False

    def _find_escape(self, path: str) -> str:
        """Return why ``path`` may lead out of the prefix; empty if it can't.

        As path_resolution(7) has it: links are followed where they are met, before a ``..`` behind them. Where packages
        disagree whether a path is a link, all that they say is followed.
        """
        none: list[str] = []
        states, count = [(none, path.split("/"), 0)], 0
        while states:
            folder, rest, links = states.pop()
            count += 1
            if links > _MAX_LINKS or count > _MAX_STATES:
                return "which leads to itself"
            if rest[0] == "" and len(rest) > 1:
                return "outside of the prefix"
            for position, part in enumerate(rest):
                if part == ".." and not folder:
                    return "outside of the prefix"
                if part in ("", ".", ".."):
                    folder = folder[:-1] if part == ".." else folder
                    continue
                folder = [*folder, part]
                for owner in self._find_owners("/".join(folder)):
                    if (link := self._read_link(*owner)) is not None:
                        states.append((folder[:-1], [*link.split("/"), *rest[position + 1 :]], links + 1))
        return ""

    def _check_case(self, package: str, paths: Iterable[str]) -> None:
        for path in paths:
            other = self._folded.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
            if other != path:
                raise _unsafe(
                    package, f"the file system of the prefix does not tell {path} from {other}", path, "can't be linked"
                )


def _parents(folder: str) -> list[str]:
    found = []
    while folder := folder.rpartition("/")[0]:
        found.append(folder)
    return found


def _unsafe(package: str, why: str, path: str, what: str = "would write outside of the prefix") -> PackageUnsafeError:
    return PackageUnsafeError(
        f"The package {package} {what}: {why}", hint=_HINT, fields={"package": package, "path": path}
    )
