"""Extras of a project (PEP 621): those that were chosen, and those that the project's own requirements name.

A requirement for the project itself, such as ``all = ["own[gpu]", "own[docs]"]``, stands for what these extras list: no
index is asked for the project's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from packaging.requirements import InvalidRequirement, Requirement

from roost.model.definition import PipItem
from roost.model.documents.toml_text import TomlError, TomlText
from roost.model.errors import Location
from roost.model.readers.choices.lists import check_strings, read_text_line
from roost.model.readers.source import ReadContext
from roost.model.readers.tools.markers import join_markers
from roost.model.syntax.bounds import too_large_error
from roost.model.syntax.pip_lines import normalise_name

EXTRAS = ("project", "optional-dependencies")
_HEAD = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)(?:\[([^\]]*)\])?")
_MOST_EXPANSIONS = 1_000
"""Extras that are read with one marker or another: each that names two others doubles them."""

Place = Callable[[Iterable[PipItem], str | None, str | None], list[PipItem]]
"""From items of a group or an extra to items with the places that they come from."""


class ExtraReader:
    """Reader of ``[project.optional-dependencies]``."""

    def __init__(self, reading: ReadContext, toml: TomlText, place: Place) -> None:
        self._reading, self._toml, self._place = reading, toml, place
        name = toml.table("project").get("name")
        self._own = normalise_name(name) if isinstance(name, str) else None
        self._tables = toml.table(*EXTRAS)
        self._names = {normalise_name(extra): extra for extra in reversed(self._tables)}
        self._open: list[tuple[str, str]] = []
        self._expansions = 0
        self.read_names: set[str] = set()
        """The extras that were read, also because others name them."""

    def read(self, name: str, marker: str = "") -> list[PipItem]:
        """Return the items of an extra where ``marker`` applies, with their places. An extra that names itself adds
        nothing.

        Raises: InvalidDefinitionError if it is not a list of texts, or names too many others.
        """
        if (name, marker) in self._open or any(name == each for each, outer in self._open if outer == ""):
            return []
        self._expansions += 1
        if self._expansions > _MOST_EXPANSIONS:
            where = self._toml.locate(*EXTRAS, name)
            raise too_large_error("With this one, too many extras are named", _MOST_EXPANSIONS, "extras", where)
        self.read_names.add(name)
        self._open.append((name, marker))
        items: list[PipItem] = []
        try:
            for index, text in enumerate(check_strings(self._toml, self._tables[name], (*EXTRAS, name))):
                with self._reading.recover():
                    limited = _limit(text, marker) if marker else text
                    read = read_text_line(self._reading, self._toml, limited, *EXTRAS, name, index)
                    items += self.place(read, extra=name)
        finally:
            self._open.pop()
        return items

    def place(self, items: Iterable[PipItem], *, group: str | None = None, extra: str | None = None) -> list[PipItem]:
        """Return ``items``, of a group or an extra if that is named, with their places. The project itself is replaced
        by what those of its extras list that are named."""
        placed: list[PipItem] = []
        for item in items:
            head = _HEAD.match(item.text) if item.kind == "requirement" and self._own else None
            if head is None or head[1] != self._own:
                placed += self._place([item], group, extra)
                continue
            marker = item.text.partition(" --")[0].partition(" ; ")[2]
            named = [name for name in (head[2] or "").split(",") if name]
            if not named:
                self._report_itself(head[1], item.location, is_dependency=group is None and extra is None)
            for name in named:
                with self._reading.recover():
                    placed += self.read(self._find(name, item.location), marker)
        return placed

    def _report_itself(self, name: str, location: Location | None, *, is_dependency: bool) -> None:
        """Report a requirement for the project that names no extras: a package of the same name may be meant.

        Raises: TomlError if it is one of the project's dependencies.
        """
        advice = "Rename the project if the package of that name is meant."
        if is_dependency:
            with self._reading.recover():
                raise TomlError(f"The project {name} depends on itself", hint=advice, location=location)
            return
        message = f"{name} is the project itself, of which nothing is installed from an index. {advice}"
        self._reading.warn("self-requirement", message, location)

    def _find(self, name: str, location: Location | None) -> str:
        if (extra := self._names.get(normalise_name(name))) is not None:
            return extra
        raise TomlError(
            f"There is no extra {name!r} in [project.optional-dependencies]",
            hint="Correct the name, or add the extra.",
            location=location,
        )


def _limit(text: str, marker: str) -> str:
    """Return a requirement that holds only where ``marker`` applies too; an invalid one as it is."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return text
    own, requirement.marker = str(requirement.marker or ""), None
    return f"{requirement} ; {join_markers(own, marker)}"
