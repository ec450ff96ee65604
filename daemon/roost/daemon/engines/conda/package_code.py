"""Which conda packages run code of theirs when a prefix is made: by their own lists of files, before anything runs.

The Python of an environment is run to compile byte-code, without ``site``, so what it loads first counts as well: a
file of another package in its standard library, or in its place.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from roost.daemon.background.code import CodeKind, PackageCode
from roost.daemon.engines.conda import cache
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import CondaPackage

_LINK_SCRIPT = re.compile(r"bin/\.[^/]*-(pre|post)-link\.sh")
_ACTIVATION_SCRIPT = re.compile(r"etc/conda/activate\.d/.+")
_INTERPRETER_FILE = re.compile(
    r"bin/(python|pypy)[0-9.]*t?"
    r"|(bin/)?pyvenv\.cfg"
    r"|lib/lib(python|pypy)[^/]*"
    r"|lib/python[0-9.]+t?\.zip"
    r"|lib/(python|pypy)[0-9.]+t?/(?!site-packages/).+"
    r"|(.*/)?[^/]+\._pth",
    re.IGNORECASE,
)
_INTERPRETERS = frozenset({"python", "pypy", "pypy3.8", "pypy3.9", "pypy3.10", "graalpy"})
"""Packages that are a Python."""
_SCRIPTS = "python-scripts/"
"""What a ``noarch: python`` package has there goes to ``bin`` (conda's CEP on noarch packages)."""


class _EntryPoints(msgspec.Struct, frozen=True):
    entry_points: list[str] = []


class _LinkFile(msgspec.Struct, frozen=True):
    """``info/link.json`` of a ``noarch: python`` package."""

    noarch: _EntryPoints = _EntryPoints()


_LINK_DECODER = msgspec.json.Decoder(_LinkFile)


def read_commands(folder: str) -> list[str]:
    """Return the names of the commands that are made for the extracted ``noarch: python`` package at ``folder``.
    Blocks. Raises ``OSError``, and ``MALFORMED_JSON``."""
    try:
        with open(os.path.join(folder, "info", "link.json"), "rb") as stream:
            points = _LINK_DECODER.decode(stream.read()).noarch.entry_points
    except FileNotFoundError:
        return []
    return [point.partition("=")[0].strip() for point in points]


def classify_path(path: str) -> CodeKind | None:
    """Return which code a file of a package is, by its path in the prefix; ``None`` if making a prefix runs it not."""
    path = posixpath.normpath(path)
    if path.startswith(_SCRIPTS):
        path = f"bin/{path[len(_SCRIPTS) :]}"
    if _LINK_SCRIPT.fullmatch(path):
        return "link-script"
    if _ACTIVATION_SCRIPT.fullmatch(path):
        return "activation-script"
    return "interpreter-file" if _INTERPRETER_FILE.fullmatch(path) else None


def find_kinds(name: str, paths: Iterable[str]) -> Iterator[CodeKind]:
    """Yield the kinds of code among ``paths`` of the package ``name``, each once. A Python's own files are none."""
    kinds = dict.fromkeys(kind for path in paths if (kind := classify_path(path)) is not None)
    if name in _INTERPRETERS:
        kinds.pop("interpreter-file", None)
    yield from kinds


def list_package_code(
    packages_dir: str, packages: Sequence[CondaPackage], *, all_cached: bool = False
) -> list[PackageCode]:
    """Return the code of ``packages``, as far as they are in the cache. Blocks.

    A package whose list of files can't be read may run anything; with ``all_cached`` also one that is not there.
    """
    found: list[PackageCode] = []
    for package in packages:
        folder = cache.entry_folder(packages_dir, package)
        if all_cached or os.path.isdir(folder):
            found += _list_code(folder, package)
    return found


def _list_code(folder: str, package: CondaPackage) -> Iterator[PackageCode]:
    content = f"sha256:{package.sha256}" if package.sha256 else ""
    try:
        paths = [entry.path for entry in cache.read_paths(folder)]
        if package.record.get("noarch") == "python":
            paths += [f"bin/{command}" for command in read_commands(folder)]
        kinds: list[CodeKind] = [*find_kinds(package.name, paths)]
    except (OSError, *MALFORMED_JSON):
        kinds = ["link-script"]
    for kind in kinds:
        yield PackageCode(kind=kind, package=f"{package.name} {package.version}", content=content)
