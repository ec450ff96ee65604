"""The lists of packages in files: what all kinds have in common, where a new item goes and how it is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from packaging.requirements import InvalidRequirement, Requirement

from roost.model.edits.source_text import Splice
from roost.model.syntax.pip_lines import normalise_name

_BOUND = re.compile(r"(?P<name>[\w.-]+(?:\[[^\]]*\])?)(?P<before>\s*)(?:[=<>!~]=?=?)(?P<after>\s*)[^\s=<>!~].*")
_OPERATOR = re.compile(r"\s*([=<>!~]=?=?)\s*")
_FIRST = ("python", "pip")
"""Packages that conda files list first, whatever the order of the others."""


class ListedItem(NamedTuple):
    """An item of a list and where it is written, with its quotes."""

    name: str
    """Empty if the item is not a package by name."""
    text: str
    start: int
    end: int


class EditableList(Protocol):
    """A list of packages in a text, or the place where it would be."""

    items: Sequence[ListedItem]
    place: str
    """Where it is, for messages: ``dependencies``."""

    def insert(self, index: int, text: str) -> list[Splice]:
        """Return the change that adds ``text`` before the item at ``index``. Raises: EditRefusedError."""

    def delete(self, index: int) -> list[Splice]:
        """Return the change that removes an item with its line. Raises: EditRefusedError."""

    def replace(self, index: int, text: str) -> list[Splice]:
        """Return the change that replaces the text of an item. Raises: EditRefusedError."""

    def show(self, text: str) -> str:
        """Return an item as it is to be written by hand."""


def requirement_name(text: str) -> str:
    """Return the name of a requirement, normalised; empty if it is not one by name."""
    try:
        return normalise_name(Requirement(text.split(" --")[0].strip()).name)
    except InvalidRequirement:
        return ""


def find_index(items: Sequence[ListedItem], name: str) -> int:
    """Return where ``name`` goes: at its place in a list that is sorted, else behind the last package."""
    named = [(index, item.name.lower()) for index, item in enumerate(items) if item.name]
    if not named:
        return 0
    others = [(index, other) for index, other in named if other not in _FIRST]
    names = [other for _, other in others]
    if len(names) >= 2 and names == sorted(names):
        for index, other in others:
            if other > name:
                return index
    return named[-1][0] + 1


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
