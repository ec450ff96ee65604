"""Reader of ``pylock.toml`` (PEP 751, format 1.0): every package as a line with its version, marker and digests.

As the standard says, no extras are chosen unless a request names them, and the groups are those of ``default-groups``
and those that a request names. An installer resolves nothing: what the packages themselves require is left out, since
the lock may have been made with overrides.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from roost.model.definition import Definition, Pip, Python, ReadResult
from roost.model.documents.toml_text import TomlText
from roost.model.readers.choices.selection import find_chosen, make_selection
from roost.model.readers.python_locks.lines import (
    REGENERATE,
    format_digests,
    is_default_file,
    list_index_lines,
    list_tables,
    mark,
    require_text,
)
from roost.model.readers.python_locks.lock_markers import decide_marker
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.syntax.pip_lines import LogicalLine

_FORMAT = re.compile(r"1(\.\d+)*")
_OPTIONAL = ("extras", "dependency-groups")


def read_pylock(reading: ReadContext, toml: TomlText) -> ReadResult:
    """Read a pylock.toml. Raises: InvalidDefinitionError if it is not valid."""
    version = toml.data.get("lock-version")
    if not isinstance(version, str) or not _FORMAT.fullmatch(version):
        message = f"pylock format {version!r} is not supported; expected '1.0'"
        raise toml.error(message, "lock-version", hint=REGENERATE)
    reading.has_choices = True
    lock = _Pylock(reading, toml)
    lines = lock.list_lines()
    items = tuple(read_requirement_lines(reading, lines, reading.path))
    requires = toml.data.get("requires-python")
    python = Python(requires=re.sub(r"\s+", "", requires) if isinstance(requires, str) else None)
    result = reading.build_result(Definition(pip=Pip(requirements=items), python=python), "pylock")
    where = toml.locate("requires-python")
    return msgspec.structs.replace(result, selection=lock.selection, python_location=where)


class _Pylock:
    """The packages of a lock that are installed with the choices of the request."""

    def __init__(self, reading: ReadContext, toml: TomlText) -> None:
        self._reading, self._toml = reading, toml
        self._packages = list_tables(toml, toml.data.get("packages"), "packages")
        self._registries: list[str] = []
        offered_extras, offered_groups = (_texts(toml.data.get(key)) for key in _OPTIONAL)
        self._extras = find_chosen("extra", reading.choices.extras, offered_extras, toml.locate("extras"))
        chosen = find_chosen("group", reading.choices.groups, offered_groups, toml.locate("dependency-groups"))
        self._groups = [*_texts(toml.data.get("default-groups")), *chosen]
        self.selection = make_selection(self._groups, self._extras, offered_groups, offered_extras)

    def list_lines(self) -> list[LogicalLine]:
        """Return the lines for all packages, and before them those for the places that they come from."""
        lines: list[LogicalLine] = []
        is_closed = bool(self._packages)
        for number, package in enumerate(self._packages):
            with self._reading.recover():
                marker = self._decide(package, number)
                if marker is None:
                    continue
                body, digests = self._format_package(package, number)
                is_closed = is_closed and bool(digests)
                where = self._toml.locate("packages", number, "name")
                lines.append(LogicalLine(mark(body, marker) + digests, where))
                if "vcs" not in package and "directory" not in package:
                    lines.append(LogicalLine(_require_nothing(package), where))
        top = self._toml.locate()
        first = [LogicalLine("--require-hashes", top)] if is_closed else []
        return [*first, *list_index_lines(self._registries, top), *lines]

    def _decide(self, package: Mapping[str, Any], number: int) -> str | None:
        marker = package.get("marker", "")
        if not marker:
            return ""
        try:
            return decide_marker(str(marker), self._groups, self._extras)
        except ValueError:
            message = f"{marker!r} is not a valid marker"
            raise self._toml.error(message, "packages", number, "marker", hint=REGENERATE) from None

    def _format_package(self, package: Mapping[str, Any], number: int) -> tuple[str, str]:
        """Return the line for a package without its marker, and its digests as options."""
        path = ("packages", number)
        name = require_text(self._toml, package, "name", *path)
        for key in ("vcs", "directory", "archive"):
            if isinstance(source := package.get(key), Mapping):
                return self._format_source(name, key, source, (*path, key))
        wheels = list_tables(self._toml, package.get("wheels"), *path, "wheels")
        sdist = package.get("sdist")
        files: list[Mapping[str, Any]] = [*wheels, *([sdist] if isinstance(sdist, Mapping) else [])]
        if not files:
            raise self._toml.error(f"{name} has no file in this lock file", *path, hint=REGENERATE)
        digests = format_digests(files)
        if "index" not in package and len(files) == 1:
            url = str(files[0].get("url", ""))
            if url and not is_default_file(url):
                return f"{name} @ {url}", digests
        self._note_places(package, files)
        return f"{name}=={require_text(self._toml, package, 'version', *path)}", digests

    def _note_places(self, package: Mapping[str, Any], files: list[Mapping[str, Any]]) -> None:
        """Note where the files of a package are: in its index, or in folders of links."""
        if isinstance(index := package.get("index"), str):
            self._registries.append(index)
        for file in files:
            if isinstance(path := file.get("path"), str) and "url" not in file:
                self._registries.append(posixpath.dirname(self._reading.resolve_path(path, self._reading.path)))

    def _format_source(
        self, name: str, key: str, source: Mapping[str, Any], path: tuple[str | int, ...]
    ) -> tuple[str, str]:
        folder = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        digests = format_digests([source])
        if key == "vcs":
            if source.get("type", "git") != "git":
                hint = "Only git is supported: name a wheel instead."
                raise self._toml.error(f"{name} comes from {source.get('type')!r}", *path, hint=hint)
            place = source.get("url") or "file://" + self._resolve(source, path)
            return f"{name} @ git+{place}@{require_text(self._toml, source, 'commit-id', *path)}{folder}", ""
        if key == "archive" and source.get("url"):
            return f"{name} @ {source['url']}{folder}", digests
        place = self._resolve(source, path)
        inner = posixpath.join(place, str(source["subdirectory"])) if folder else place
        return f"-e {inner}" if source.get("editable") is True else inner, digests

    def _resolve(self, source: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
        return self._reading.resolve_path(require_text(self._toml, source, "path", *path), self._reading.path)


def _texts(value: object) -> list[str]:
    return [str(member) for member in value] if isinstance(value, list) else []


def _require_nothing(package: Mapping[str, Any]) -> str:
    """Return the option by which a package of an index or behind a URL requires nothing."""
    stated = {key: package[key] for key in ("name", "version") if isinstance(package.get(key), str)}
    return f"--dependency-metadata {json.dumps({**stated, 'requires-dist': []})}"
