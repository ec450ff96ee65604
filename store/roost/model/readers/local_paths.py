"""Where a relative path in a requirements file leads: ``-e .``, ``./x``, ``x.whl`` and ``--find-links x``.

pip and uv take ``-r`` and ``-c`` relative to the file that they are in, and other paths relative to the working folder,
wherever the file lies: ``-e .`` in ``requirements/dev.txt`` means the project that both are called in. There is no such
folder here, since a definition means the same wherever it is used from. The folder of the file that was named or found
takes its place, or the nearest folder above it, up to the repository's root, in which the path is a project or a file.
pip looks for ``--find-links`` beside the file first.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from roost.model.errors import Location
from roost.model.readers.source import ReadContext
from roost.model.syntax.pip_lines import PipLine, strip_file_scheme

_PROJECT_FILES = ("pyproject.toml", "setup.py")
"""Files of which pip and uv demand one in a folder that they install."""
_REPOSITORY = ".git"


def resolve_local(reading: ReadContext, parsed: PipLine, origin: str, location: Location) -> str:
    """Return the absolute path of what a line of the file ``origin`` names; report if it is not relative to its folder.

    If it is found nowhere, the path is that in the folder of the file that was named or found.
    """
    target = strip_file_scheme(parsed.target)
    beside = reading.resolve_path(target, origin)
    if parsed.kind in ("requirements", "constraints") or target.startswith(("/", "~")):
        return beside
    if parsed.kind == "option":
        return beside if _may_be(reading, beside) else _choose_links(reading, target, beside)
    for folder in _iterate_bases(reading):
        path = reading.resolve_path(target, posixpath.join(folder, "x"))
        if _is_installable(reading, parsed, path):
            _report_base(reading, target, folder, origin, location)
            return path
    return beside if _is_installable(reading, parsed, beside) else reading.resolve_path(target, reading.path)


def _choose_links(reading: ReadContext, target: str, beside: str) -> str:
    path = reading.resolve_path(target, reading.path)
    return path if _may_be(reading, path) else beside


def _iterate_bases(reading: ReadContext) -> Iterator[str]:
    """Yield the folder of the file that was named or found, and those above it up to the repository's root; without a
    repository, the next one only."""
    folder = posixpath.dirname(reading.path)
    yield folder
    above = list(_iterate_above(reading, folder))
    is_repository = bool(above) and _may_be(reading, posixpath.join(above[-1], _REPOSITORY))
    yield from above if is_repository else above[:1]


def _iterate_above(reading: ReadContext, folder: str) -> Iterator[str]:
    while not _may_be(reading, posixpath.join(folder, _REPOSITORY)) and posixpath.dirname(folder) != folder:
        folder = posixpath.dirname(folder)
        yield folder


def _is_installable(reading: ReadContext, parsed: PipLine, path: str) -> bool:
    """Return whether pip could install ``path``: a file, or the folder of a project."""
    if parsed.kind != "editable" and _may_be(reading, path) and not reading.files.is_folder(path):
        return True
    return any(_may_be(reading, posixpath.join(path, name)) for name in _PROJECT_FILES)


def _may_be(reading: ReadContext, path: str) -> bool:
    return reading.files.covers(path) and reading.files.exists(path)


def _report_base(reading: ReadContext, target: str, folder: str, origin: str, location: Location) -> None:
    """Report the folder that a path is relative to, once for each file."""
    if folder == posixpath.dirname(origin) or (origin, folder) in reading.reported_bases:
        return
    reading.reported_bases.add((origin, folder))
    message = f"{target!r} is taken relative to {folder}, as by pip and uv if they are called there"
    reading.warn("path-base", message, location)
