"""Lists of packages in a text: what all kinds have in common, where a new item goes, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from packaging.requirements import InvalidRequirement, Requirement

from roost.model.edits.source_text import Splice
from roost.model.syntax.match_specs import spec_name
from roost.model.syntax.pip_lines import normalise_name

_BOUND = re.compile(r"(?P<name>[\w.-]+(?:\[[^\]]*\])?)(?P<before>\s*)(?:[=<>!~]=?=?)(?P<after>\s*)[^\s=<>!~].*")
_OPERATOR = re.compile(r"\s*([=<>!~]=?=?)\s*")
_FIRST = ("python", "pip")
"""Packages that conda files list first, whatever the order of the others."""


class ListedItem(NamedTuple):
    """An item of a list, and where it is written, with its quotes."""

    name: str
    """Of the package; empty if the item does not name one."""
    text: str
    start: int
    end: int


class EditableList(Protocol):
    """A list of packages in a text, or the place where it would be. Another text is another list."""

    @property
    def items(self) -> Sequence[ListedItem]:
        """The items in the order of the text."""

    @property
    def place(self) -> str:
        """Where it is, for messages: ``dependencies``."""

    @property
    def rest(self) -> str:
        """Everything that the text has besides this list, written so that it can be compared."""

    def insert(self, index: int, text: str) -> list[Splice]:
        """Return the change that adds ``text`` before the item at ``index``. Raises: EditRefusedError."""

    def delete(self, index: int) -> list[Splice]:
        """Return the change that removes an item with its line. Raises: EditRefusedError."""

    def replace(self, index: int, text: str) -> list[Splice]:
        """Return the change that replaces the text of an item. Raises: EditRefusedError."""

    def show(self, text: str) -> str:
        """Return an item as it is to be written by hand."""


def requirement_name(text: str) -> str:
    """Return the name of a requirement, normalised; empty if it does not begin with one."""
    try:
        return normalise_name(Requirement(text.split(" --")[0].strip()).name)
    except InvalidRequirement:
        return ""


def match_spec_name(text: str) -> str:
    """Return the name in a match spec in lower case; empty if there is none."""
    return spec_name(text) if text.strip() else ""


def find_index(items: Sequence[ListedItem], name: str) -> int:
    """Return where ``name`` goes: at its place in a list that is sorted, else behind the last package.

    A list of one package is sorted, as for uv.
    """
    named = [(index, item.name.lower()) for index, item in enumerate(items) if item.name]
    others = [(index, other) for index, other in named if other not in _FIRST]
    names = [other for _, other in others]
    if names == sorted(names) and name not in _FIRST:
        for index, other in others:
            if other > name:
                return index
    last = others if others and name not in _FIRST else named
    if last:
        return last[-1][0] + 1
    return len(items) if any(item.text.startswith("-") for item in items) else 0  # behind options, before sections


def has_bound(text: str) -> bool:
    """Whether a bound follows the name in the text of a package."""
    return _BOUND.fullmatch(text) is not None


def style_like(text: str, items: Sequence[ListedItem]) -> str:
    """Return ``text`` with the white space around its operator that all bounds of ``items`` have."""
    if "[" in text or ";" in text or "@" in text or not (own := _BOUND.fullmatch(text)):
        return text
    found = {(bool(m["before"]), bool(m["after"])) for item in items if (m := _BOUND.fullmatch(item.text))}
    if len(found) != 1 or not any(spaces := next(iter(found))):
        return text
    before, after = (" " if each else "" for each in spaces)
    rest = text[len(own["name"]) :]
    return own["name"] + _OPERATOR.sub(lambda m: f"{before}{m[1]}{after}", rest, count=1)
