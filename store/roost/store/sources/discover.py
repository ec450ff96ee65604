"""Search for the environment file of a command that names none.

Upwards from the working folder, to the first folder with such a file; it ends at a ``.git`` or at the home folder. If
there is none, upwards from the folder of the script in the same way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from roost.model.definition import Notice
from roost.model.errors import InvalidDefinitionError, Location, LookupFailedError
from roost.model.readers.detect import classify_pyproject, has_script_metadata
from roost.store.disk.regular_files import read_regular
from roost.store.sources.files import resolve_file_path
from roost.store.sources.stops import (
    OTHER_FILES,
    READ_IF_NAMED,
    REPOSITORY,
    find_file_to_name,
    is_end,
    is_file,
    note_passed_file,
    unreadable_error,
)

PYPROJECT = "pyproject.toml"
_RANKS: tuple[tuple[str, ...], ...] = (
    ("roost.toml", PYPROJECT),
    ("environment.yml", "environment.yaml"),
    ("conda.yaml", "conda.yml"),
    ("requirements.txt",),
    (PYPROJECT,),
    *((name,) for name in OTHER_FILES),
)
"""File names in order of rank. ``pyproject.toml`` has the first rank with ``[tool.roost]``, that after
``requirements.txt`` without. Behind it are files that their reader refuses."""
SEARCHED_NAMES = frozenset(name for names in _RANKS for name in names)
"""Names of files that the search can end with."""
_PYPROJECT_RANK = 4
_FORMATS = {"roost.toml": "roost"}
_PYTHON_NAME = re.compile(r"python(?:\d+(?:\.\d+)?)?t?")
_OPTIONS_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


class NoDefinitionError(LookupFailedError):
    """There is no environment file in the working folder or above it."""

    code = "definition-not-found"


class AmbiguousDefinitionError(InvalidDefinitionError):
    """Two files of one rank lie in one folder."""

    code = "definition-ambiguous"


class DiscoveredFile(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen file, and everything that the choice depended on."""

    path: str
    format: str | None = None
    """``None``: to be detected from the content."""
    absent: tuple[str, ...] = ()
    """Paths of missing files that would or could have been chosen, or would have made the choice ambiguous."""
    consulted: tuple[str, ...] = ()
    """Existing files that were not chosen because of their content (a ``pyproject.toml``, the script), and what shows
    that the search ended at a repository."""
    notices: tuple[Notice, ...] = ()
    """About files that were passed by."""


def discover(cwd: str, command: Sequence[str], read: Callable[[str], bytes] = read_regular) -> DiscoveredFile:
    """Return the script that ``command`` names if it has PEP 723 metadata, else the nearest environment file in
    ``cwd`` or above it, else that of the script's folder. Blocking: reads files, with ``read``.

    Raises:
        NoDefinitionError: there is no environment file.
        AmbiguousDefinitionError: the nearest folder with environment files has two of the same rank.
        DefinitionUnusableError: the nearest one can't be read, or is of a kind that has to be named.
        InvalidDefinitionError: the script has metadata that can't be read.
    """
    search = _FolderSearch(read)
    script = find_script(command)
    if script is not None:
        path = resolve_file_path(os.path.join(cwd, script))
        if _has_script_metadata(path, read):
            return DiscoveredFile(path=path, format="pep723")
        (search.consulted if os.path.isfile(path) else search.absent).append(path)
    if (found := search.find_upwards(os.path.normpath(cwd))) is not None:
        return found
    where = search.describe(cwd)
    is_missing = script is not None and not os.path.lexists(os.path.join(cwd, script))
    if script is not None and os.path.isfile(path):
        beside = os.path.dirname(path)
        if beside not in search.searched:
            if (found := search.find_upwards(beside)) is not None:
                return found
            where += f", nor {search.describe(beside)}"
    start = f"There is no {script}, and no" if is_missing else "There is no"
    raise NoDefinitionError(
        f"{start} environment file {where}",
        hint=("Correct the name of the script. " if is_missing else "")
        + "`roost init` begins an environment file there, `-f PATH` names one."
        + "".join(f" {notice.message}." for notice in search.notices),
    )


def discover_in(folder: str, read: Callable[[str], bytes] = read_regular) -> DiscoveredFile | None:
    """Return the environment file of ``folder`` alone, by the same ranks. Blocking: reads files, with ``read``.

    Raises:
        AmbiguousDefinitionError: two files have the same rank.
        DefinitionUnusableError: the one of the highest rank can't be read, or is of a kind that has to be named.
    """
    return _FolderSearch(read).find_in(os.path.normpath(folder))


def find_rivals(name: str) -> tuple[str, ...]:
    """Return the names of files that take no precedence over ``name``, nor it over them: two of them in one folder are
    an error."""
    return tuple(other for names in _RANKS[1:] if name in names for other in names if other != name)


def find_script(command: Sequence[str]) -> str | None:
    """Return the script of ``x.py …`` or ``python [options] x.py …``."""
    if not command:
        return None
    first, *rest = command
    if first.endswith(".py"):
        return first
    if not _PYTHON_NAME.fullmatch(os.path.basename(first)):
        return None
    words = iter(rest)
    for word in words:
        if not word.startswith("-"):
            return word if word.endswith(".py") else None
        if word in ("-m", "-c", "-") or word[:2] in ("-m", "-c"):
            return None
        if word in _OPTIONS_WITH_VALUE:
            next(words, None)
    return None


class _FolderSearch:
    """Search of one folder after the other, which records the files that the choice depends on."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self.absent: list[str] = []
        self.consulted: list[str] = []
        self.notices: list[Notice] = []
        self.searched: list[str] = []

    def find_upwards(self, top: str) -> DiscoveredFile | None:
        """Return the nearest file in ``top`` or above it, up to where the search ends, or what was searched before.

        Raises what ``find_in`` raises.
        """
        for folder in _iterate_parents(top):
            if folder in self.searched:
                break
            if (found := self.find_in(folder)) is not None:
                return found
            self.pass_by(folder)
            self.searched.append(folder)
            if is_end(folder):
                break
        return None

    def describe(self, top: str) -> str:
        """Return where the last search looked, from ``top`` on."""
        last = self.searched[-1]
        end = f", up to {last}" if last not in (top, "/") else ""
        return f"in {top}" if last == top else f"in {top} or above it{end}"

    def find_in(self, folder: str) -> DiscoveredFile | None:
        """Return the folder's file of the highest rank.

        Raises:
            AmbiguousDefinitionError: two files have that rank.
            DefinitionUnusableError: it can't be read, or the folder has a file that has to be named and no other.
        """
        pyproject_rank = self._read_pyproject(os.path.join(folder, PYPROJECT))
        for rank, names in enumerate(_RANKS):
            present = [name for name in names if self._is_present(folder, name, pyproject_rank == rank)]
            if len(present) > 1:
                raise _ambiguous_error(folder, present)
            if present:
                return self._discovered_file(folder, present[0], rank)
        if error := find_file_to_name(folder):
            raise error
        return None

    def pass_by(self, folder: str) -> None:
        """Record that nothing was found in ``folder``: the search goes on above it, or ends there at a repository."""
        self.absent += [os.path.join(folder, name) for name in READ_IF_NAMED]
        repository = os.path.join(folder, REPOSITORY)
        if os.path.lexists(repository):
            head = os.path.join(repository, "HEAD")  # the folder itself changes with every commit
            self.consulted.append(head if os.path.isfile(head) else repository)
        else:
            self.absent.append(repository)
        if (notice := note_passed_file(folder)) is not None:
            self.notices.append(notice)

    def _is_present(self, folder: str, name: str, is_pyproject_rank: bool) -> bool:
        if name == PYPROJECT:
            return is_pyproject_rank
        path = os.path.join(folder, name)
        if is_file(path):
            return True
        self.absent.append(path)
        return False

    def _discovered_file(self, folder: str, name: str, rank: int) -> DiscoveredFile:
        path = os.path.join(folder, name)
        format = ("roost" if rank == 0 else "pyproject") if name == PYPROJECT else _FORMATS.get(name)
        return DiscoveredFile(
            path=path,
            format=format,
            absent=tuple(self.absent),
            consulted=tuple(other for other in self.consulted if other != path),
            notices=tuple(self.notices),
        )

    def _read_pyproject(self, path: str) -> int | None:
        """Return the rank of a ``pyproject.toml``, ``None`` if it is absent or describes no environment."""
        if not is_file(path):
            self.absent.append(path)
            return None
        self.consulted.append(path)
        try:
            data = self._read(path)
        except OSError as error:  # its content decides its rank
            raise unreadable_error(path, error) from None
        format = classify_pyproject(data, path)
        return None if format is None else 0 if format == "roost" else _PYPROJECT_RANK


def _has_script_metadata(path: str, read: Callable[[str], bytes]) -> bool:
    try:
        return has_script_metadata(read(path), path)
    except OSError:
        return False


def _iterate_parents(folder: str) -> Iterator[str]:
    """Yield ``folder`` and every folder above it."""
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def _ambiguous_error(folder: str, names: list[str]) -> AmbiguousDefinitionError:
    return AmbiguousDefinitionError(
        f"{' and '.join(names)} are both in {folder}, and neither takes precedence",
        hint=f"Name one with -f, for example -f {names[0]}, or remove the other.",
        location=Location(path=os.path.join(folder, names[0])),
        fields={"candidates": [os.path.join(folder, name) for name in names]},
    )
