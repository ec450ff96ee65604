"""Dependency groups (PEP 735)."""

from __future__ import annotations

from collections.abc import Mapping

from roost.model.definition import PipItem
from roost.model.documents.toml_text import TomlError, TomlText
from roost.model.readers.choices.lists import ReadLine, read_text_line
from roost.model.readers.source import ReadContext
from roost.model.syntax.bounds import MAX_DEPTH, too_large_error
from roost.model.syntax.pip_lines import normalise_name

GROUPS = "dependency-groups"


class GroupReader:
    """Reader of ``[dependency-groups]``; each group is read once, however many include it."""

    def __init__(
        self,
        reading: ReadContext,
        toml: TomlText,
        read_line: ReadLine = read_text_line,
        known: Mapping[str, list[PipItem]] | None = None,
    ) -> None:
        """``known``: groups that need not be read again, with their items."""
        self._reading, self._toml, self._read_line = reading, toml, read_line
        self._tables = toml.table(GROUPS)
        self._names = {normalise_name(group): group for group in reversed(self._tables)}
        self.items: dict[str, list[PipItem]] = dict(known or {})
        """By name as it is written, the groups that were read, also because others include them."""

    def read(self, name: str, above: tuple[str, ...] = ()) -> list[PipItem]:
        """Return the items of a group and of those that it includes with ``{include-group = …}``, each once.

        Raises: InvalidDefinitionError if the group is no list, includes itself, or is included too deeply.
        """
        keys = (GROUPS, name)
        if name in above:
            raise self._toml.error(f"Dependency group {name!r} includes itself", *keys)
        if len(above) > MAX_DEPTH:
            what = f"Dependency group {name!r} is included too deeply"
            raise too_large_error(what, MAX_DEPTH, "levels", self._toml.locate(*keys))
        if name in self.items:
            return self.items[name]
        members = self._tables[name]
        if not isinstance(members, list):
            raise self._toml.error(f"Dependency group {name!r} is {members!r}; expected a list", *keys)
        items: dict[tuple[object, ...], PipItem] = {}
        for index, member in enumerate(members):
            with self._reading.recover():
                for item in self._read_member(member, (*keys, index), (*above, name)):
                    items.setdefault((item.kind, item.text, item.digest), item)
        self.items[name] = list(items.values())
        return self.items[name]

    def _read_member(self, member: object, path: tuple[str | int, ...], above: tuple[str, ...]) -> list[PipItem]:
        if isinstance(member, dict) and set(member) == {"include-group"}:
            return self.read(self._find_group(member["include-group"], (*path, "include-group")), above)
        if isinstance(member, str):
            return self._read_line(self._reading, self._toml, member, *path)
        raise self._toml.error(f"{above[-1]!r} contains {member!r}; expected a list of strings", *path)

    def _find_group(self, name: object, path: tuple[str | int, ...]) -> str:
        """Return the group called ``name``; names are compared as PEP 503 normalises them."""
        if (group := self._names.get(normalise_name(str(name)))) is not None:
            return group
        where = self._toml.find_value(str(name), *path).location
        raise TomlError(f"There is no dependency group {name!r}", location=where)
