"""Which environment file a command runs with when none is named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from roost.model.errors import InvalidDefinitionError, Location, LookupFailedError
from roost.model.readers.pyproject import SCRIPT_BLOCK
from roost.model.readers.source import EncodingError, decode_text
from roost.model.readers.toml_text import TomlError, TomlText
from roost.store.sources.files import resolved

PYPROJECT = "pyproject.toml"
_RANKS: tuple[tuple[str, ...], ...] = (
    ("roost.toml", PYPROJECT),
    ("environment.yml", "environment.yaml"),
    ("conda.yaml", "conda.yml"),
    ("requirements.txt",),
    (PYPROJECT,),
)
"""Names in order of rank. ``pyproject.toml`` has the first with ``[tool.roost]``, the last with PEP 621 tables."""
_FORMATS = {"roost.toml": "roost", "requirements.txt": "requirements"}
_PYTHON = re.compile(r"python(?:\d+(?:\.\d+)?)?t?")
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


class NoDefinitionError(LookupFailedError):
    """There is no environment file from the working folder upwards."""

    code = "definition-not-found"


class AmbiguousDefinitionError(InvalidDefinitionError):
    """Two files of one rank lie in one folder."""

    code = "definition-ambiguous"


class DiscoveredFile(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen file, and all that the choice hung on."""

    path: str
    format: str | None = None
    """``None``: to be told by content."""
    absent: tuple[str, ...] = ()
    """Paths that are not there and would or could have been chosen, or would have made the choice ambiguous."""
    consulted: tuple[str, ...] = ()
    """Files that are there and were passed over for what they hold (a ``pyproject.toml``, the script)."""


def discover(cwd: str, command: Sequence[str]) -> DiscoveredFile:
    """The script that ``command`` names if it carries PEP 723 metadata, else the nearest environment file upwards.

    Raises :class:`NoDefinitionError`, :class:`AmbiguousDefinitionError`. Blocking: reads files.
    """
    search = _Search()
    script = script_of(command)
    if script is not None:
        path = resolved(os.path.join(cwd, script))
        if _has_metadata(path):
            return DiscoveredFile(path=path, format="pep723")
        (search.consulted if os.path.isfile(path) else search.absent).append(path)
    for folder in _upwards(os.path.normpath(cwd)):
        if (found := search.look(folder)) is not None:
            return found
    raise NoDefinitionError(
        f"There is no environment file in {cwd} or above it",
        hint="Write an environment.yml or requirements.txt there, or name one with -f.",
    )


def discover_in(folder: str) -> DiscoveredFile | None:
    """The environment file of ``folder`` alone, by the same ranks. Raises :class:`AmbiguousDefinitionError`."""
    return _Search().look(os.path.normpath(folder))


def script_of(command: Sequence[str]) -> str | None:
    """The script of ``x.py …`` or ``python [options] x.py …``."""
    if not command:
        return None
    first, *rest = command
    if first.endswith(".py"):
        return first
    if not _PYTHON.fullmatch(os.path.basename(first)):
        return None
    words = iter(rest)
    for word in words:
        if not word.startswith("-"):
            return word if word.endswith(".py") else None
        if word in ("-m", "-c", "-") or word[:2] in ("-m", "-c"):
            return None
        if word in _WITH_VALUE:
            next(words, None)
    return None


class _Search:
    def __init__(self) -> None:
        self.absent: list[str] = []
        self.consulted: list[str] = []

    def look(self, folder: str) -> DiscoveredFile | None:
        """The folder's file of the highest rank."""
        pyproject = self._pyproject(os.path.join(folder, PYPROJECT))
        for rank, names in enumerate(_RANKS):
            there = [name for name in names if self._is_there(folder, name, pyproject == rank)]
            if len(there) > 1:
                raise _ambiguous(folder, there)
            if there:
                return self._found(folder, there[0], rank)
        return None

    def _is_there(self, folder: str, name: str, is_pyproject: bool) -> bool:
        if name == PYPROJECT:
            return is_pyproject
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            return True
        self.absent.append(path)
        return False

    def _found(self, folder: str, name: str, rank: int) -> DiscoveredFile:
        path = os.path.join(folder, name)
        format = ("roost" if rank == 0 else "pyproject") if name == PYPROJECT else _FORMATS.get(name)
        consulted = tuple(other for other in self.consulted if other != path)
        return DiscoveredFile(path=path, format=format, absent=tuple(self.absent), consulted=consulted)

    def _pyproject(self, path: str) -> int | None:
        """The rank of a ``pyproject.toml``; ``None`` where it is absent or says nothing of an environment."""
        if not os.path.isfile(path):
            self.absent.append(path)
            return None
        self.consulted.append(path)
        with open(path, "rb") as file:
            data = file.read()
        return _pyproject_rank(data, path)


def _pyproject_rank(data: bytes, path: str) -> int | None:
    """A file that is no TOML goes by its look: the reader then says what is wrong with it."""
    try:
        toml = TomlText(decode_text(data, path), path)
        nested, project = "roost" in toml.table("tool"), bool({"project", "dependency-groups"} & set(toml.data))
    except (TomlError, EncodingError):
        text = data.decode("utf-8", "replace")
        nested = re.search(r"^\s*\[tool\.roost\b", text, re.MULTILINE) is not None
        project = re.search(r"^\s*\[(project|dependency-groups)\b", text, re.MULTILINE) is not None
    return 0 if nested else len(_RANKS) - 1 if project else None


def _has_metadata(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            text = decode_text(file.read(), path)
    except (OSError, EncodingError):
        return False
    return any(match["type"] == "script" for match in SCRIPT_BLOCK.finditer(text))


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        above = os.path.dirname(folder)
        if above == folder:
            return
        folder = above


def _ambiguous(folder: str, names: list[str]) -> AmbiguousDefinitionError:
    return AmbiguousDefinitionError(
        f"{' and '.join(names)} both lie in {folder}, and neither comes before the other",
        hint=f"Name one with -f, for example -f {names[0]}, or remove the other.",
        location=Location(path=os.path.join(folder, names[0])),
        fields={"candidates": [os.path.join(folder, name) for name in names]},
    )
