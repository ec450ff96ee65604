"""Whether the files of packages stay in the prefix that they are linked into. Pure.

A list of files comes from whoever built the package. rattler joins its paths to the prefix as they are: an absolute one
ends its process, and one with ``..`` is written wherever it leads.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from roost.daemon.engines.conda.errors import PackageUnsafeError
from roost.model.locks.lock import CondaPackage

_SITE, _SCRIPTS = "site-packages/", "python-scripts/"
_OWN_FOLDERS = ("bin", "conda-meta", "etc", "lib")
"""Folders in which roost itself writes."""
_PYTHON_FOLDER = re.compile(r"lib/python3\.\d+(/site-packages)?")
_PYTHON_FOLDER_LENGTH = 40
_MAX_LINKS = 40
"""As the kernel follows, path_resolution(7)."""
_MAX_STATES = 1000
"""Ways to follow one path: links that multiply each other would otherwise take for ever."""
_HINT = "It was not linked. Choose another version or build of it, and report it to the channel."


class PlacedPath(NamedTuple):
    """A file of a package: its path in the package, and in the prefix."""

    source: str
    target: str


class _Owner(NamedTuple):
    package: str
    source: str
    """The path in the package; empty for a folder that only has files below it."""


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


def _may_have_fault(lines: str) -> bool:
    """Return whether one of the paths in ``lines`` may have a fault: a package has thousands, and next to none has."""
    return any(mark in f"\n{lines}\n" for mark in ("\n\n", "\n/", "..", "\0", "\\"))


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


def place_paths(paths: Sequence[str], site: str | None) -> list[PlacedPath]:
    """Return where the files of a package go. ``site`` is the path of ``site-packages`` in the prefix for a
    ``noarch: python`` package, which has a layout of its own (conda's CEP on noarch packages)."""
    if site is None:
        lines = "\n".join(paths)
        if "//" in lines or "./" in lines or "/\n" in f"{lines}\n" or "/." in lines:
            return [PlacedPath(path, _normalise(path)) for path in paths]
        return list(map(PlacedPath, paths, paths))
    placed = []
    for path in paths:
        target = f"{site}/{path[len(_SITE) :]}" if path.startswith(_SITE) else path
        target = f"bin/{path[len(_SCRIPTS) :]}" if path.startswith(_SCRIPTS) else target
        placed.append(PlacedPath(path, _normalise(target)))
    return placed


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
        self._files: dict[str, list[_Owner]] = {}
        """Several if packages have the same path: rattler links one of them under another name."""
        self._folders: dict[str, str] = dict.fromkeys(_OWN_FOLDERS, "roost")
        """Folder to the first package with a file below it."""
        self._entered: set[str] = set()
        """Files, and so links, that have files below them."""
        self._folded: dict[str, str] = {}

    def add(self, package: str, paths: Sequence[PlacedPath], commands: Iterable[str] = ()) -> None:
        """Add the files of ``package``, and the names of the commands that are made for it.

        Raises:
            PackageUnsafeError: if one of them would not be in the prefix: by its own path, or through a link of this
                or another package; or if the file system takes two of them for one.
        """
        self._check_texts(package, paths, commands)
        folders = {target[: target.rfind("/")] for _, target in paths if "/" in target} - {""}
        folders |= {parent for folder in folders for parent in _parents(folder)}
        for source, target in paths:
            self._files.setdefault(target, []).append(_Owner(package, source))
        for folder in folders:
            self._folders.setdefault(folder, package)
        self._entered |= folders & self._files.keys()
        for _, target in paths:
            if target in self._folders or (len(target) <= _PYTHON_FOLDER_LENGTH and _PYTHON_FOLDER.fullmatch(target)):
                self._entered.add(target)
        for entered in self._entered:  # those of before too: a link of this package may lead them on
            self._check_link(entered)
        if self._ignores_case:
            self._check_case(package, [*folders, *(path.target for path in paths)])

    def _check_texts(self, package: str, paths: Sequence[PlacedPath], commands: Iterable[str]) -> None:
        if _may_have_fault("\n".join(path.source for path in paths)):
            for path in paths:
                if fault := find_path_fault(path.source):
                    raise _unsafe(package, f"its list of files has {path.source!r}, {fault}", path.source)
        for command in commands:
            if not command or "/" in command or "\\" in command or "\0" in command or command in (".", ".."):
                raise _unsafe(package, f"{command!r} is not the name of a command", command)

    def _check_link(self, path: str) -> None:
        """Check where the files at ``path``, below which there are others, lead if they are links."""
        links = [(owner, link) for owner in self._files[path] if (link := self._read_link(*owner)) is not None]
        if links and (fault := self._find_escape(path)):
            owner, link = links[0]
            other = self._folders.get(path, "roost")
            raise _unsafe(
                owner.package, f"its {path} is a link to {link}, {fault}, and {other} has files below it", path
            )

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
                for owner in self._files.get("/".join(folder), ()):
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
