"""``[tool.uv]`` of a project or script: its settings as lines, and its requirements with the places they come from.

As in uv, the workspace's root has the settings, and each member its own sources before those of the root; a ``uv.toml``
beside the root takes the place of the settings in its ``pyproject.toml``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from roost.model.definition import PipItem
from roost.model.documents.toml_text import TomlText
from roost.model.errors import Location
from roost.model.readers.requirements import read_requirement
from roost.model.readers.source import ReadContext, decode_text
from roost.model.readers.tools.judge import ToolKeyError, check_keys, format_key
from roost.model.readers.tools.markers import join_markers, negate_marker
from roost.model.readers.tools.uv_choices import (
    SettingsTable,
    UvIndex,
    check_pip_table,
    list_choices,
    read_indexes,
)
from roost.model.readers.tools.uv_keys import INDEX_KEYS, PROJECT_KEYS, SETTING_KEYS, SOURCE_KEYS
from roost.model.readers.tools.workspaces import find_member, find_root, load_project
from roost.model.syntax.bounds import too_large_error
from roost.model.syntax.pip_lines import LogicalLine, normalise_name
from roost.model.syntax.urls import INDEX_VARIABLES, strip_credentials

_TABLE = ("tool", "uv")
_MOST_SOURCES = 100
"""Places in the list of one package: each requirement for it is written once for each."""
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_KINDS = ("git", "url", "path", "index", "workspace")
UV_FILE = "uv.toml"


class UvProject:
    """``[tool.uv]`` of one file, with that of its workspace. ``toml`` may have no such table."""

    def __init__(self, reading: ReadContext, toml: TomlText, *, is_script: bool = False) -> None:
        """Raises: InvalidDefinitionError if a file of the workspace can't be read."""
        self._reading = reading
        self._toml = toml
        self._root = toml if is_script else find_root(reading, toml) or toml
        self._own = SettingsTable(toml, _TABLE)
        self._project = SettingsTable(self._root, _TABLE)
        self._settings = self._project if is_script else self._find_settings()
        self._indexes = {index.name: index for index in self._read_indexes() if index.name}
        listed = self._settings.table.get("no-sources-package", [])
        names = listed if isinstance(listed, list) else []
        self._ignored: frozenset[str] | None = frozenset(normalise_name(str(each)) for each in names)
        if self._settings.table.get("no-sources") is True:
            self._ignored = None
        self._own_indexes: dict[str, dict[str, UvIndex]] = {}
        self._source_keys: dict[str, dict[str, str]] = {}
        self._members: dict[str, dict[str, str]] = {}
        """By file: the indexes by name, the keys of sources by package, the folders of a workspace by project."""
        self._seen: set[str] = {toml.path}

    def _find_settings(self) -> SettingsTable:
        path = posixpath.join(posixpath.dirname(self._root.path), UV_FILE)
        if not self._reading.files.covers(path) or not self._reading.files.exists(path):
            return self._project
        return SettingsTable(TomlText(decode_text(self._reading.load_file(path, None), path), path), ())

    def _read_indexes(self) -> list[UvIndex]:
        own = read_indexes(self._own) if self._own.toml is not self._project.toml else []
        files = read_indexes(self._settings) if self._settings.toml is not self._project.toml else []
        return [*files, *read_indexes(self._project), *own]

    @property
    def default_groups(self) -> object:
        """The value of ``default-groups``; ``None`` if it is not set."""
        return self._own.table.get("default-groups")

    @property
    def conflicts(self) -> object:
        """The value of ``conflicts``."""
        return self._own.table.get("conflicts", [])

    @property
    def group_settings(self) -> object:
        """The value of ``dependency-groups``."""
        return self._own.table.get("dependency-groups", {})

    @property
    def dev_dependencies(self) -> object:
        """The value of ``dev-dependencies``."""
        return self._own.table.get("dev-dependencies", [])

    def read_choices(self) -> list[PipItem]:
        """Return the settings as options; report those that are refused."""
        self._check_tables()
        items: list[PipItem] = []
        with self._reading.recover():
            indexes = read_indexes(self._settings)
            for index in indexes:
                self._note_variables(None if index.is_explicit else index)
            for line in list_choices(self._project, self._settings, indexes):
                with self._reading.recover():
                    text = self._place_override(line.text, line.location)
                    items.append(self._read(text, line.location, line.location.path))
        return items

    def _place_override(self, text: str, location: Location) -> str:
        """Return an override with the place that the sources say; other lines as they are.

        Raises: ToolKeyError if uv can't be told of such a place in an override.
        """
        option, _, body = text.partition(" ")
        if option != "--override":
            return text
        item = self._read(body, location, location.path)
        placed = self._place_item(item, self._project, None)
        if placed == [item]:
            return text
        if len(placed) > 1 or placed[0].kind != "url":
            raise ToolKeyError(
                f"The override {body!r} has a source that only a dependency can have",
                hint="List the package in dependencies, where its source is followed, and remove the override.",
                location=location,
            )
        return f"--override {placed[0].text}"

    def _note_variables(self, index: UvIndex | None) -> None:
        """Note the variables that may have the credentials of an index with a name, as uv calls them."""
        if index is not None and index.name:
            origin = "/".join(strip_credentials(index.url)[0].split("/")[:3])
            prefix = f"UV_INDEX_{re.sub('[^A-Za-z0-9]', '_', index.name).upper()}"
            names = f"${{{prefix}_USERNAME}}:${{{prefix}_PASSWORD}}"
            self._reading.credentials.setdefault(f"{INDEX_VARIABLES}{origin}", names)

    def _check_tables(self) -> None:
        reading, everything = self._reading, {**PROJECT_KEYS, **SETTING_KEYS}
        for settings in {id(each.toml): each for each in (self._own, self._project)}.values():
            check_keys(reading, settings.toml, settings.table, everything, *settings.path)
        if self._settings.toml is not self._project.toml:
            check_keys(reading, self._settings.toml, self._settings.table, SETTING_KEYS)
            for key in sorted(set(self._project.table) & set(SETTING_KEYS)):
                message = f"{format_key(*_TABLE, key)} has no effect: uv reads {self._settings.toml.path} instead"
                reading.warn("tool-key-unused", message, self._project.toml.locate(*_TABLE, key))
        with reading.recover():
            check_pip_table(self._settings)
        for settings in dict.fromkeys((self._settings, self._own)):
            for number, entry in enumerate(settings.table.get("index", [])):
                if isinstance(entry, dict):
                    ordinary = {key: value for key, value in entry.items() if (key, value) != ("format", "simple")}
                    check_keys(reading, settings.toml, ordinary, INDEX_KEYS, *settings.path, "index", number)

    # ------------------------------------------------------------------ sources
    def place(self, items: Iterable[PipItem], group: str | None = None, extra: str | None = None) -> list[PipItem]:
        """Return ``items``, requirements of the project or of one of its groups or extras, with what their sources
        say."""
        placed: list[PipItem] = []
        for item in items:
            with self._reading.recover():
                placed += self._place_item(item, self._own, group, extra)
        return placed

    def _place_item(
        self, item: PipItem, own: SettingsTable, group: str | None, extra: str | None = None
    ) -> list[PipItem]:
        name = _NAME.match(item.text)
        if item.kind != "requirement" or name is None or self._ignores_sources(name[0]):
            return [item]
        found = self._find_source(name[0], own)
        if found is None:
            return [item]
        settings, key, entries = found
        if len(entries) > _MOST_SOURCES:
            where = settings.toml.locate(*settings.path, "sources", key)
            raise too_large_error(f"The source of {key} has too many places", _MOST_SOURCES, "places", where)
        used = []
        for number, entry in enumerate(entries):
            path: tuple[str | int, ...] = (*settings.path, "sources", key)
            path = (*path, number) if len(entries) > 1 else path
            if not isinstance(entry, dict):
                hint = "See uv's documentation of tool.uv.sources."
                raise settings.toml.error(f"The source of {key} is {entry!r}; expected a table", *path, hint=hint)
            check_keys(self._reading, settings.toml, _told_away(entry), SOURCE_KEYS, *path)
            if _is_same(entry.get("group"), group) and _is_same(entry.get("extra"), extra):
                used.append((settings, path, entry))
        if not used:
            return [item]
        items = [each for source in used for each in self._place_by(item, name[0], *source)]
        return items + self._place_elsewhere(item, [str(entry.get("marker", "")) for _, _, entry in used])

    def _find_index(self, name: str, settings: SettingsTable) -> UvIndex | None:
        """Return an index by its name: of the file that names it first, which may be a local project's."""
        own = self._own_indexes.get(settings.toml.path)
        if own is None:
            own = {index.name: index for index in read_indexes(settings)}
            self._own_indexes[settings.toml.path] = own
        return own.get(name) or self._indexes.get(name)

    def _ignores_sources(self, name: str) -> bool:
        return self._ignored is None or name in self._ignored

    def _find_source(self, name: str, own: SettingsTable) -> tuple[SettingsTable, str, list[Any]] | None:
        """Return where the source of a package is stated, its key there and its entries."""
        for settings in (own, self._project):
            key = self._list_sources(settings).get(name)
            if key is not None:
                value = settings.table["sources"][key]
                return settings, key, value if isinstance(value, list) else [value]
        return None

    def _list_sources(self, settings: SettingsTable) -> dict[str, str]:
        """Return, by the normalised name of a package, the key of its source; the first of several."""
        found = self._source_keys.get(settings.toml.path)
        if found is None:
            table = settings.toml.table(*settings.path, "sources")
            found = {normalise_name(key): key for key in reversed(table)}
            self._source_keys[settings.toml.path] = found
        return found

    def _place_by(
        self, item: PipItem, name: str, settings: SettingsTable, path: tuple[str | int, ...], entry: dict[str, Any]
    ) -> list[PipItem]:
        """Return the requirement as one source of it says."""
        kinds = [kind for kind in _KINDS if kind in entry]
        location = settings.toml.locate(*path)
        if len(kinds) != 1:
            found = " and ".join(kinds) or "no place"
            message = f"The source of {name} has {found}; expected one of {', '.join(_KINDS)}"
            raise settings.toml.error(message, *path, hint="Keep one of these keys.")
        body, marker, options = _split_item(item)
        extras = re.match(r"[a-z0-9-]+(\[[^\]]*\])?", body)
        head, kind = extras[0] if extras else name, kinds[0]
        limit = join_markers(marker, str(entry.get("marker", "")))
        tail = f" ; {limit}" if limit else ""
        if kind == "index":
            index = self._find_index(str(entry["index"]), settings)
            self._note_variables(index)
            if index is None:
                hint = f'Add [[tool.uv.index]] with name = "{entry["index"]}", url = "https://…" and explicit = true.'
                message = f"There is no index {entry['index']!r} in [[tool.uv.index]]"
                raise settings.toml.error(message, *path, "index", hint=hint)
            text = f"{body}{tail}{options} --index={index.url}"
        elif kind in ("git", "url"):
            text = f"{head} @ {_format_url(entry)}{tail}{options}"
        else:
            return self._place_locally(item, name, head, tail, settings, path, entry)
        return [self._read(text, item.location or location, settings.toml.path)]

    def _place_locally(
        self,
        item: PipItem,
        name: str,
        head: str,
        tail: str,
        settings: SettingsTable,
        path: tuple[str | int, ...],
        entry: dict[str, Any],
    ) -> list[PipItem]:
        """Return the line for a file, a folder or a member of the workspace, and for a folder's own sources."""
        location = settings.toml.locate(*path)
        extras = head.partition("[")[1] + head.partition("[")[2]
        if "workspace" in entry:
            root = find_root(self._reading, settings.toml) or settings.toml
            members = self._members.setdefault(root.path, {})
            place = find_member(self._reading, root, name, location, members)
            editable = entry.get("editable", True)
        else:
            place = self._reading.resolve_path(str(entry["path"]), settings.toml.path)
            place = posixpath.join(place, str(entry["subdirectory"])) if "subdirectory" in entry else place
            editable = entry.get("editable", False)
        if place == posixpath.dirname(self._toml.path):
            return []  # the project itself, which is not installed
        line = f"{'-e ' if editable else ''}{place}{extras}{tail}"
        return [
            self._read(line, item.location or location, settings.toml.path),
            *self._list_nested(place, location, tail.removeprefix(" ; ")),
        ]

    def _list_nested(self, folder: str, location: Location, marker: str) -> list[PipItem]:
        """Return those requirements of a local project that its own sources say the place of.

        The metadata of its wheel has names only, with which any index would do.
        """
        project = load_project(self._reading, folder, location) if self._reading.files.is_folder(folder) else None
        if project is None or project.path in self._seen:
            return []
        self._seen.add(project.path)
        own = SettingsTable(project, _TABLE)
        if not own.table.get("sources") and "sources" not in self._project.table:
            return []
        stated = project.table("project")
        if own.table.get("sources") and "dependencies" in stated.get("dynamic", []):
            raise ToolKeyError(
                f"{project.path} has [tool.uv.sources] and computes its dependencies, so that it is not known which",
                hint="List its dependencies in [project].",
                location=location,
            )
        items: list[PipItem] = []
        for index, text in enumerate(stated.get("dependencies", [])):
            where = project.locate("project", "dependencies", index)
            item = self._read(str(text), where, project.path)
            if marker:
                body, limit, options = _split_item(item)
                text = f"{body} ; {join_markers(limit, marker)}{options}"
                item = self._read(text, where, project.path)
            with_place = self._place_item(item, own, None)
            items += with_place if with_place != [item] else []
        return items

    def _place_elsewhere(self, item: PipItem, markers: list[str]) -> list[PipItem]:
        """Return the requirement for where none of its sources applies; nothing if one applies everywhere."""
        if "" in markers:
            return []
        body, marker, options = _split_item(item)
        negated = [negate_marker(each) for each in markers]
        if None in negated:
            raise ToolKeyError(
                f"The sources of {body} have a marker with an operator whose opposite can't be expressed",
                hint="Write the marker with ==, !=, <, <=, > or >=, or state a source for the other cases too.",
                location=item.location,
            )
        limit = join_markers(marker, *(each for each in negated if each))
        return [self._read(f"{body} ; {limit}{options}", item.location, self._toml.path)]

    def _read(self, text: str, location: Location | None, origin: str) -> PipItem:
        where = location or Location(path=origin)
        return read_requirement(self._reading, LogicalLine(text, where), origin, has_choices=True)[0]


def _is_same(stated: object, name: str | None) -> bool:
    """Whether a source that is for the group or extra ``stated``, if for any, is for a requirement of ``name``."""
    return stated is None or (name is not None and normalise_name(str(stated)) == normalise_name(name))


def _told_away(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a source without what says nothing: ``package = true``, ``lfs = false``."""
    return {key: value for key, value in entry.items() if (key, value) not in (("package", True), ("lfs", False))} | (
        {"package": "false"} if entry.get("package") is False else {}
    )


def _split_item(item: PipItem) -> tuple[str, str, str]:
    """Return a requirement's name and versions, its marker, and its options with the space before them."""
    text, space, options = item.text.partition(" --")
    body, _, marker = text.partition(" ; ")
    return body, marker, space + options


def _format_url(entry: dict[str, Any]) -> str:
    """Return the direct reference (PEP 508) of a repository or an archive."""
    fragment = f"#subdirectory={entry['subdirectory']}" if "subdirectory" in entry else ""
    if "url" in entry:
        url = str(entry["url"])
        return url if not fragment else f"{url}{fragment if '#' not in url else fragment.replace('#', '&', 1)}"
    revision = next((str(entry[key]) for key in ("rev", "tag", "branch") if key in entry), "")
    repository = str(entry["git"]).removeprefix("git+")
    return f"git+{repository}{f'@{revision}' if revision else ''}{fragment}"


def unique_items(items: Iterable[PipItem]) -> list[PipItem]:
    """Return ``items`` each once: a group that another one includes is listed twice."""
    unique: dict[tuple[object, ...], PipItem] = {}
    for item in items:
        unique.setdefault((item.kind, item.text, item.digest), msgspec.structs.replace(item))
    return list(unique.values())
