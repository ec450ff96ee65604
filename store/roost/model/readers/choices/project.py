"""The requirements of a project: ``dependencies``, and what the chosen extras and dependency groups list."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from roost.model.definition import PipItem, Selection
from roost.model.documents.toml_text import TomlText
from roost.model.readers.choices.extras import EXTRAS, ExtraReader
from roost.model.readers.choices.groups import GROUPS, GroupReader
from roost.model.readers.choices.lists import check_text_line, read_list, read_text_line
from roost.model.readers.choices.selection import (
    DEFAULT_GROUP,
    check_conflicts,
    find_chosen,
    list_default_groups,
    make_selection,
)
from roost.model.readers.source import ReadContext
from roost.model.readers.tools.uv_sources import UvProject
from roost.model.syntax.pip_lines import normalise_name

_DEV = ("tool", "uv", "dev-dependencies")
_PDM = ("tool", "pdm", "dev-dependencies")
_CONFLICTS = ("tool", "uv", "conflicts")
_SETTINGS = ("tool", "uv", GROUPS)


class ProjectReader:
    """Reader of what a ``pyproject.toml`` requires, with the choices of the request."""

    def __init__(self, reading: ReadContext, toml: TomlText, uv: UvProject) -> None:
        self._reading, self._toml, self._uv = reading, toml, uv
        self._groups = GroupReader(reading, toml)
        self._extras = ExtraReader(reading, toml, uv.place)
        self._pdm = toml.table(*_PDM)
        offered = dict.fromkeys(toml.table(GROUPS))
        known = {normalise_name(name) for name in offered}
        legacy = [*([DEFAULT_GROUP] if uv.dev_dependencies else []), *self._pdm]
        offered.update({name: None for name in legacy if normalise_name(name) not in known})
        self._offered_groups, self._offered_extras = list(offered), list(toml.table(*EXTRAS))
        self._selected_groups: list[str] = []

    def read(self) -> list[PipItem]:
        """Return the items of the project, then those of chosen extras, then those of groups.

        A choice that the file does not offer is reported, and the others are read.
        """
        reading, toml = self._reading, self._toml
        items: list[PipItem] = []
        with reading.recover():
            listed = read_list(reading, toml, toml.table("project").get("dependencies", []), "project", "dependencies")
            items += self._extras.place(listed)
        for extra in self._select_extras():
            with reading.recover():
                items += self._extras.read(extra)
        self._selected_groups = self._select_groups()
        items += self._read_groups()
        with reading.recover():
            self._check_conflicts()
        return items

    def _select_extras(self) -> list[str]:
        location = self._toml.locate(*EXTRAS)
        with self._reading.recover():
            return find_chosen("extra", self._reading.choices.extras, self._offered_extras, location)
        return []

    def _select_groups(self) -> list[str]:
        selected: set[str] = set()
        with self._reading.recover():
            selected.update(list_default_groups(self._toml, self._uv.default_groups, self._offered_groups))
        with self._reading.recover():
            chosen, location = self._reading.choices.groups, self._toml.locate(GROUPS)
            selected.update(find_chosen("group", chosen, self._offered_groups, location))
        return [name for name in self._offered_groups if name in selected]

    def _read_groups(self) -> Iterator[PipItem]:
        """Yield the items of the selected groups; check the others."""
        tables, selected = self._toml.table(GROUPS), {normalise_name(name) for name in self._selected_groups}
        for name in tables:
            if normalise_name(name) in selected:
                with self._reading.recover():
                    yield from self._extras.place(self._groups.read(name), group=name)
        others = GroupReader(self._reading, self._toml, check_text_line, self._groups.items)
        for name in tables:
            with self._reading.recover():
                others.read(name)
        pdm = [(name, lines, (*_PDM, name)) for name, lines in self._pdm.items()]
        legacy = [(DEFAULT_GROUP, self._uv.dev_dependencies, _DEV), *pdm]
        for name, lines, keys in legacy:
            is_selected = normalise_name(name) in selected
            with self._reading.recover():
                read_line = read_text_line if is_selected else check_text_line
                items = read_list(self._reading, self._toml, lines, *keys, read_line=read_line)
                yield from self._extras.place(items, group=name)

    # ------------------------------------------------------------------ what was selected
    @property
    def selection(self) -> Selection | None:
        """What was read and what was left out."""
        groups = {*self._selected_groups, *self._groups.items}
        return make_selection(groups, self._extras.read_names, self._offered_groups, self._offered_extras)

    def _check_conflicts(self) -> None:
        """Raise ChoicesConflictError if things are read together that ``conflicts`` says exclude each other.

        As in uv, what a selected group includes counts too; so does what a chosen extra names.
        """
        own = self._toml.table("project").get("name")
        groups = {*self._selected_groups, *self._groups.items}
        check_conflicts(self._uv.conflicts, [own], self._extras.read_names, groups, self._toml, _CONFLICTS)

    def require_python(self, stated: str | None) -> str | None:
        """Return ``requires-python`` with what the groups that are read require of Python in addition.

        Raises: InvalidDefinitionError if ``dependency-groups`` in ``[tool.uv]`` is not valid.
        """
        settings = self._uv.group_settings
        if not isinstance(settings, dict):
            raise self._toml.error(f"'dependency-groups' is {settings!r}; expected a table", *_SETTINGS)
        names = {normalise_name(name): name for name in reversed(self._offered_groups)}
        read = {normalise_name(name) for name in (*self._selected_groups, *self._groups.items)}
        bounds = [stated] if stated else []
        for name, table in settings.items():
            if normalise_name(name) not in names:
                hint = "Correct the name, or add the group."
                raise self._toml.error(f"There is no dependency group {name!r}", *_SETTINGS, name, hint=hint)
            value = self._check_settings(name, table)
            if value is not None and normalise_name(name) in read:
                bounds.append(value)
        return ",".join(dict.fromkeys(bounds)) or None

    def _check_settings(self, name: str, table: object) -> str | None:
        """Return ``requires-python`` of a group, without white space."""
        if not isinstance(table, dict):
            raise self._toml.error(f"{name!r} is {table!r}; expected a table", *_SETTINGS, name)
        for key in table:
            if key != "requires-python":
                hint = "The only key of a group is requires-python."
                raise self._toml.error(f"{key!r} is unknown to roost here", *_SETTINGS, name, key, hint=hint)
        value = table.get("requires-python")
        if value is None:
            return None
        try:
            SpecifierSet(value if isinstance(value, str) else "not a specifier")
        except InvalidSpecifier:
            message = f"'requires-python' is {value!r}; expected version specifiers such as '>=3.10'"
            raise self._toml.error(message, *_SETTINGS, name, "requires-python") from None
        return "".join(str(value).split())
