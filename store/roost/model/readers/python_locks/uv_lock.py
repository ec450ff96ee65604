"""Reader of ``uv.lock`` (format 1): the requirements of its projects, limited to the versions and files of the lock.

Lines are what the projects of the lock require themselves; every package that these reach is a constraint with its
version, its place and its digests. So uv follows the packages' own metadata, and can choose nothing but what is locked.
The project itself is not installed. Which groups and extras are read, ``choices`` says; the default groups are those of
the ``pyproject.toml`` beside the lock.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from roost.model.definition import Definition, Pip, PipItem, Python, ReadResult
from roost.model.documents.toml_text import TomlText
from roost.model.readers.choices.selection import check_conflicts, find_chosen, list_default_groups, make_selection
from roost.model.readers.python_locks.lines import (
    REGENERATE,
    format_digests,
    list_index_lines,
    list_tables,
    mark,
    require_text,
)
from roost.model.readers.python_locks.staleness import find_changed
from roost.model.readers.requirements import read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.readers.tools.workspaces import load_project
from roost.model.syntax.bounds import too_large_error
from roost.model.syntax.pip_lines import LogicalLine, normalise_name

_PROJECT_KINDS = ("virtual", "editable", "directory")
_LOCAL_KINDS = (*_PROJECT_KINDS, "path")
_CONFLICT = re.compile(r"\bextra\s*(?:==|!=)")
_MOST_MARKERS = 20
"""Different markers of one package, beyond which it is taken to be needed everywhere."""
_LONGEST_MARKER = 1_000
_MOST_VERSIONS = 100
"""Versions of one package."""
_MOST_NAMES = 5
_PRERELEASE_MODES = ("allow", "disallow", "if-necessary", "explicit", "if-necessary-or-explicit")


class _Edge(NamedTuple):
    """What depends on a package: the package's number, the extras that are needed, and where."""

    package: int
    extras: tuple[str, ...]
    marker: str


class _Root(NamedTuple):
    """A requirement of a project of the lock: its place among the lock's tables, and what it says."""

    edge: _Edge
    path: tuple[str | int, ...]


def read_uv_lock(reading: ReadContext, toml: TomlText) -> ReadResult:
    """Read a lock of uv. Raises: InvalidDefinitionError if it is not valid."""
    version = toml.data.get("version")
    if version != 1:
        raise toml.error(f"uv.lock format {version!r} is not supported; expected 1", "version", hint=REGENERATE)
    reading.has_choices = True
    lock = _UvLock(reading, toml)
    items = read_requirement_lines(reading, lock.list_lines(), reading.path)
    pins = tuple(read_requirement_lines(reading, lock.list_pins(), reading.path))
    if pins:
        name = posixpath.basename(reading.path)
        items.append(PipItem(kind="constraints", text=name, items=pins, path=reading.path, location=toml.locate()))
    requires = toml.data.get("requires-python")
    python = Python(requires=re.sub(r"\s+", "", requires) if isinstance(requires, str) else None)
    definition = Definition(pip=Pip(requirements=tuple(items)), python=python)
    result = reading.build_result(definition, "uv-lock", name=lock.name)
    where = toml.locate("requires-python")
    return msgspec.structs.replace(result, selection=lock.selection, python_location=where)


class _UvLock:
    """The packages of a lock, and those that its projects reach."""

    def __init__(self, reading: ReadContext, toml: TomlText) -> None:
        self._reading, self._toml = reading, toml
        self._packages = list_tables(toml, toml.data.get("package"), "package")
        self._numbers: dict[str, list[int]] = {}
        for number, package in enumerate(self._packages):
            name = normalise_name(require_text(toml, package, "name", "package", number))
            self._numbers.setdefault(name, []).append(number)
            if len(self._numbers[name]) > _MOST_VERSIONS:
                where = toml.locate("package", number, "name")
                raise too_large_error(f"The lock has too many versions of {name}", _MOST_VERSIONS, "versions", where)
        self._projects = self._find_projects()
        self._beside = load_project(reading, posixpath.dirname(reading.path))
        self._select()
        self._report_staleness()
        self._roots = list(self._list_roots())
        self._markers: dict[int, list[str]] = {}
        """By package that is reached: where; one empty text if everywhere."""
        self._extras: dict[int, dict[str, str]] = {}
        """By package that is reached: the extras that are needed, an empty one for the package itself, and where."""
        self._reach()

    @property
    def name(self) -> str | None:
        """The name of the project, if there is one."""
        return str(self._packages[self._projects[0]]["name"]) if len(self._projects) == 1 else None

    def _find_projects(self) -> list[int]:
        """Return the project that the lock is of: that of its folder, or all members of a workspace without one."""
        kinds = [self._source(number) for number in range(len(self._packages))]
        own = [number for number, (kind, place) in enumerate(kinds) if kind in _PROJECT_KINDS and place == "."]
        members = self._toml.table("manifest").get("members", [])
        names = {normalise_name(str(member)) for member in members if isinstance(member, str)}
        return own or [number for name in sorted(names) for number in self._numbers.get(name, [])]

    def _source(self, number: int) -> tuple[str, str]:
        """Return the kind of place that a package comes from, and the place."""
        source = self._packages[number].get("source")
        found = [(kind, place) for kind, place in source.items() if kind != "subdirectory"] if source else []
        if not isinstance(source, dict) or not found or not isinstance(found[0][1], str):
            raise self._toml.error("An entry of this lock file has no source", "package", number, hint=REGENERATE)
        return found[0]

    # ------------------------------------------------------------------ what the projects require
    def _list_roots(self) -> Iterator[_Root]:
        for number in self._projects:
            yield from self._list_project(number)
        manifest = self._toml.table("manifest")
        yield from self._list_stated(manifest.get("requirements"), "manifest", "requirements")
        for group, stated in self._toml.table("manifest", "dependency-groups").items():
            if group in self._groups:
                yield from self._list_stated(stated, "manifest", "dependency-groups", group)

    def _list_project(self, number: int) -> Iterator[_Root]:
        package = self._packages[number]
        yield from self._list_edges(package.get("dependencies"), "package", number, "dependencies")
        optional = _table(package.get("optional-dependencies"))
        for extra in self._chosen_extras:
            yield from self._list_edges(optional.get(extra), "package", number, "optional-dependencies", extra)
        for group, edges in _table(package.get("dev-dependencies")).items():
            if group in self._groups:
                yield from self._list_edges(edges, "package", number, "dev-dependencies", group)

    def _select(self) -> None:
        """Decide which groups and extras are read. Raises: ChoiceUnknownError if one is chosen that there is not."""
        groups, extras = dict[str, None](), dict[str, None]()
        for number in self._projects:
            package = self._packages[number]
            metadata = _table(package.get("metadata"))
            groups.update(
                dict.fromkeys([*_table(package.get("dev-dependencies")), *_table(metadata.get("requires-dev"))])
            )
            listed = _texts(metadata.get("provides-extras"))
            extras.update(dict.fromkeys([*_table(package.get("optional-dependencies")), *listed]))
        groups.update(dict.fromkeys(self._toml.table("manifest", "dependency-groups")))
        stated = self._beside.table("tool", "uv").get("default-groups") if self._beside is not None else None
        if isinstance(stated, list):  # a group without packages is not in the lock
            stated = [name for name in _texts(stated) if normalise_name(name) in groups]
        choices, location = self._reading.choices, self._toml.locate()
        chosen = find_chosen("group", choices.groups, list(groups), location)
        self._groups = {*chosen, *list_default_groups(self._beside or self._toml, stated, list(groups))}
        self._chosen_extras = find_chosen("extra", choices.extras, list(extras), location)
        self.selection = make_selection(self._groups, self._chosen_extras, groups, extras)
        names = [self._packages[number]["name"] for number in self._projects]
        sets = self._toml.data.get("conflicts")
        check_conflicts(sets, names, self._chosen_extras, self._groups, self._toml, ("conflicts",))

    def _report_staleness(self) -> None:
        """Report what the ``pyproject.toml`` beside the lock has required since the lock was made."""
        if self._beside is None or "project" not in self._beside.data:
            return
        for number in self._projects:
            metadata = self._packages[number].get("metadata")
            if self._source(number)[1] != "." or not isinstance(metadata, dict):
                continue
            path = ("package", number, "metadata", "requires-dist")
            recorded = list_tables(self._toml, metadata.get("requires-dist"), *path)
            if changed := find_changed(self._beside.table("project"), recorded):
                names = ", ".join(changed[:_MOST_NAMES]) + (" …" if len(changed) > _MOST_NAMES else "")
                message = f"pyproject.toml beside it has changed since this lock was made ({names}): run `uv lock`"
                self._reading.warn("lock-stale", message, self._toml.locate("package", number, "name"))

    def _list_edges(self, value: object, *path: str | int) -> Iterator[_Root]:
        for index, entry in enumerate(list_tables(self._toml, value, *path)):
            yield _Root(self._find_edge(entry, (*path, index)), (*path, index))

    def _list_stated(self, value: object, *path: str | int) -> Iterator[_Root]:
        """Yield requirements as they are written, which may have several locked versions."""
        for index, entry in enumerate(list_tables(self._toml, value, *path)):
            name = require_text(self._toml, entry, "name", *path, index)
            for number in self._numbers.get(normalise_name(name), []):
                extras = entry.get("extras", entry.get("extra", []))
                edge = _Edge(number, _texts(extras), _join(str(entry.get("marker", "")), self._fork(number)))
                yield _Root(self._check_edge(edge, (*path, index)), (*path, index))

    def _find_edge(self, entry: dict[str, Any], path: tuple[str | int, ...]) -> _Edge:
        name = require_text(self._toml, entry, "name", *path)
        numbers = self._numbers.get(normalise_name(name), [])
        fitting = [
            number
            for number in numbers
            if all(entry.get(key, self._packages[number].get(key)) == self._packages[number].get(key) for key in _KEYS)
        ]
        if len(fitting) != 1:
            raise self._toml.error(f"The lock has {len(fitting)} packages for {name!r}; expected one", *path)
        edge = _Edge(fitting[0], _texts(entry.get("extra", [])), str(entry.get("marker", "")))
        return self._check_edge(edge, path)

    def _check_edge(self, edge: _Edge, path: tuple[str | int, ...]) -> _Edge:
        """Raise TomlError if an edge depends on a choice between conflicting extras or groups."""
        if _CONFLICT.search(edge.marker):
            raise self._toml.error(
                "This lock has conflicting extras or groups, of which one has to be chosen",
                *path,
                hint="Choose with `uv export --format pylock.toml -o pylock.toml`, and name that file.",
            )
        return edge

    # ------------------------------------------------------------------ what they reach
    def _reach(self) -> None:
        """Find all packages that the roots reach, and where.

        What a package requires is followed at most twice: with the first marker, and as if it was needed everywhere. A
        local package that is needed in fewer places than stated does no harm; the other way round, an index would be
        asked for its name.
        """
        pending = [root.edge for root in self._roots]
        while pending:
            edge = pending.pop()
            is_known = edge.marker in self._markers.get(edge.package, ())
            self._add_marker(edge.package, edge.marker)
            seen = self._extras.setdefault(edge.package, {})
            for extra in ("", *edge.extras):
                marker = "" if extra in seen and not is_known else edge.marker
                if seen.get(extra) == "" or (extra in seen and is_known and marker):
                    continue
                seen[extra] = marker
                inner = self._list_inner(edge.package, extra)
                pending += [each.edge._replace(marker=_narrow(marker, each.edge.marker)) for each in inner]

    def _add_marker(self, number: int, marker: str) -> None:
        known = self._markers.setdefault(number, [])
        if not marker or len(known) >= _MOST_MARKERS:
            self._markers[number] = [""]
        elif "" not in known and marker not in known:
            known.append(marker)

    def _list_inner(self, number: int, extra: str) -> Iterator[_Root]:
        """Yield what a package requires, or one of its extras."""
        package = self._packages[number]
        if not extra:
            return self._list_edges(package.get("dependencies"), "package", number, "dependencies")
        inner = _table(package.get("optional-dependencies")).get(extra)
        return self._list_edges(inner, "package", number, "optional-dependencies", extra)

    # ------------------------------------------------------------------ lines
    def list_lines(self) -> list[LogicalLine]:
        """Return the lines of the definition: settings, what the projects require, and local packages further down."""
        lines = [LogicalLine("--require-hashes", self._toml.locate())] if self._is_closed() else []
        lines += [*self._list_settings(), *list_index_lines(self._list_registries(), self._toml.locate())]
        direct = {root.edge.package for root in self._roots}
        lines += [self._format_root(root) for root in self._roots if self._source(root.edge.package)[0] != "virtual"]
        for number, markers in sorted(self._markers.items()):
            kind, place = self._source(number)
            if number in self._projects:
                continue
            if kind == "virtual":  # it is not installed, but what it requires is
                lines += [self._format_root(root) for root in self._list_required(number)]
            elif kind in _LOCAL_KINDS and number not in direct:
                where = self._toml.locate("package", number, "name")
                lines += [LogicalLine(mark(self._format_local(kind, place), marker), where) for marker in markers]
        unique: dict[str, LogicalLine] = {}
        for line in lines:
            unique.setdefault(line.text, line)
        return list(unique.values())

    def _list_required(self, number: int) -> Iterator[_Root]:
        """Yield what a package that is not installed itself requires, where it is reached."""
        for extra in sorted(self._extras[number]):
            for inner in self._list_inner(number, extra):
                if self._source(inner.edge.package)[0] != "virtual":
                    for marker in self._markers[number]:
                        yield inner._replace(edge=inner.edge._replace(marker=_narrow(marker, inner.edge.marker)))

    def _format_root(self, root: _Root) -> LogicalLine:
        number, extras, marker = root.edge
        kind, place = self._source(number)
        bracket = f"[{','.join(extras)}]" if extras else ""
        if kind in _LOCAL_KINDS:
            text = self._format_local(kind, place) + bracket
        else:
            text = self._format_pin(number, f"{self._packages[number]['name']}{bracket}")
        return LogicalLine(mark(text, marker), self._toml.locate(*root.path))

    def list_pins(self) -> list[LogicalLine]:
        """Return a line with version, marker and digests for every package that is reached."""
        lines = []
        for number in sorted(self._markers):
            if self._source(number)[0] not in _LOCAL_KINDS and number not in self._projects:
                text = mark(self._format_pin(number, str(self._packages[number]["name"])), self._fork(number))
                digests = format_digests(self._files(number))
                lines.append(LogicalLine(text + digests, self._toml.locate("package", number, "name")))
        return lines

    def _format_pin(self, number: int, head: str) -> str:
        kind, place = self._source(number)
        if kind == "registry":
            version = require_text(self._toml, self._packages[number], "version", "package", number)
            return f"{head}=={version}"
        if kind == "git":
            return f"{head} @ {_format_git(place)}"
        if kind == "url":
            folder = self._packages[number]["source"].get("subdirectory")
            return f"{head} @ {place}" + (f"#subdirectory={folder}" if folder else "")
        hint = "A later version of roost may know it."
        raise self._toml.error(f"The source {kind!r} of a package is unknown", "package", number, "source", hint=hint)

    def _format_local(self, kind: str, place: str) -> str:
        path = self._reading.resolve_path(place, self._reading.path)
        return f"-e {path}" if kind == "editable" else path

    def _fork(self, number: int) -> str:
        """Return where one of several versions of a package applies; empty if it is the only one."""
        package = self._packages[number]
        if len(self._numbers[normalise_name(str(package["name"]))]) == 1:
            return ""
        return " or ".join(f"({marker})" for marker in _texts(package.get("resolution-markers", [])))

    def _files(self, number: int) -> list[object]:
        package = self._packages[number]
        wheels = package.get("wheels", [])
        return [*(wheels if isinstance(wheels, list) else []), package.get("sdist")]

    def _is_closed(self) -> bool:
        """Return whether every package that is reached has digests: then nothing else may be installed."""
        others = [number for number in self._markers if number not in self._projects]
        reached = [number for number in others if self._source(number)[0] != "virtual"]
        return bool(reached) and all(
            self._source(number)[0] in ("registry", "url") and format_digests(self._files(number)) for number in reached
        )

    def _list_registries(self) -> list[str]:
        found = [self._source(number) for number in sorted(self._markers)]
        places = [place for kind, place in found if kind == "registry"]
        return [place if "://" in place else self._reading.resolve_path(place, self._reading.path) for place in places]

    def _list_settings(self) -> list[LogicalLine]:
        """Return what the lock records of ``[tool.uv]`` that installing its packages needs."""
        manifest, texts = self._toml.table("manifest"), []
        mode = self._toml.table("options").get("prerelease-mode")
        texts += [f"--prerelease {mode}"] if mode in _PRERELEASE_MODES else []
        for key, option in (("overrides", "--override"), ("build-constraints", "--build-constraint")):
            entries = list_tables(self._toml, manifest.get(key), "manifest", key)
            texts += [f"{option} {_format_stated(entry)}" for entry in entries]
        texts += [f"--exclude-dependency {name}" for name in _texts(manifest.get("excludes", []))]
        metadata = list_tables(self._toml, manifest.get("dependency-metadata"), "manifest", "dependency-metadata")
        texts += [f"--dependency-metadata {json.dumps(table)}" for table in metadata]
        return [LogicalLine(text, self._toml.locate("manifest")) for text in texts]


_KEYS = ("version", "source")
"""Keys by which an edge says which of several packages with one name it means."""


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(member) for member in value) if isinstance(value, list) else ()


def _join(*markers: str) -> str:
    return mark("", *markers).removeprefix(" ; ")


def _narrow(outer: str, inner: str) -> str:
    """Return the marker that applies where both do; of a long chain only ``outer``, which applies in more places."""
    return _join(outer, inner) if len(outer) < _LONGEST_MARKER else outer


def _format_stated(entry: dict[str, Any]) -> str:
    extras = ",".join(_texts(entry.get("extras", [])))
    head = str(entry.get("name", "")) + (f"[{extras}]" if extras else "")
    place = next((str(entry[key]) for key in ("git", "url") if key in entry), "")
    place = _format_git(place) if "git" in entry else place
    return mark(f"{head} @ {place}" if place else f"{head}{entry.get('specifier', '')}", str(entry.get("marker", "")))


def _format_git(place: str) -> str:
    """Return the URL for pip of ``https://host/x?rev=main&subdirectory=y#<commit>``."""
    bare, _, commit = place.partition("#")
    url, _, query = bare.partition("?")
    folder = next((part.partition("=")[2] for part in query.split("&") if part.startswith("subdirectory=")), "")
    return f"git+{url}@{commit}" + (f"#subdirectory={folder}" if folder else "")
