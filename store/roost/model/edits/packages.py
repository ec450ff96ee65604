"""What becomes of a package that is added to a list, or removed from it: pure decisions about its items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from roost.model.edits.change import EditRefusedError, RequestedPackage
from roost.model.edits.item_lists import ListedItem, find_index, has_bound, style_like
from roost.model.syntax.match_specs import normalise_match_spec, split_match_spec


class Insertion(NamedTuple):
    """A new item before the one at ``at``."""

    at: int
    text: str


class Replacement(NamedTuple):
    """Another text in place of that of the item at ``at``."""

    at: int
    text: str


class Presence(NamedTuple):
    """The item at ``at`` is what was asked for."""

    at: int


def place_package(package: RequestedPackage, items: Sequence[ListedItem]) -> Insertion | Replacement | Presence:
    """Return what adds ``package`` to a list.

    As for uv, a package is the one that is listed if its marker is the same. A bare name asks for no other bounds,
    extras are added to those that are there, and bounds take the place of those that are there.

    Raises: EditRefusedError if the package is listed more than once.
    """
    named = [index for index, item in enumerate(items) if item.name == package.name]
    if package.section == "pip":
        named = [index for index in named if _find_marker(items[index].text) == _find_marker(package.text)]
    if not named:
        return Insertion(find_index(items, package.name), style_like(package.text, items))
    if len(named) > 1:
        raise EditRefusedError(f"{package.name} is listed {len(named)} times, and which one is meant is not known")
    index, text = named[0], items[named[0]].text
    if package.section == "conda":
        if package.is_bare or normalise_match_spec(package.text) == normalise_match_spec(text):
            return Presence(index)
        return Replacement(index, _style(_keep_channel(package.text, text), index, items))
    merged = _merge_requirements(package.text, text)
    return Presence(index) if merged is None else Replacement(index, _style(merged, index, items))


def _style(text: str, index: int, items: Sequence[ListedItem]) -> str:
    """Return ``text`` with the spaces of the item that it replaces, else with those of the others."""
    return style_like(text, items[index : index + 1] if has_bound(items[index].text) else items)


def find_package(name: str, items: Sequence[ListedItem]) -> list[int]:
    """Return the indexes of all items of a package."""
    return [index for index, item in enumerate(items) if item.name == name]


def _find_marker(text: str) -> str:
    try:
        return str(Requirement(text.split(" --")[0]).marker or "")
    except InvalidRequirement:
        return ""


def _keep_channel(new: str, old: str) -> str:
    channel = split_match_spec(old).channel
    return new if not channel or split_match_spec(new).channel else f"{channel}::{new}"


def _merge_requirements(new: str, old: str) -> str | None:
    """Return the text that takes the place of ``old``; ``None`` if it says all that ``new`` does."""
    added, listed = Requirement(new), Requirement(old.split(" --")[0])
    extras = sorted(added.extras | listed.extras)
    has_bound = bool(added.specifier or added.url)
    is_same = (added.specifier, added.url) == (listed.specifier, listed.url)
    if set(extras) == listed.extras and (is_same or not has_bound):
        return None
    name = listed.name + (f"[{','.join(extras)}]" if extras else "")
    if has_bound:
        return name + _find_tail(new)
    return name + _find_tail(old)


def _find_tail(text: str) -> str:
    """Return what is written behind the name and the extras of a requirement."""
    name = Requirement(text.split(" --")[0]).name
    tail = text[len(name) :]
    start = tail.find("[")
    if start >= 0 and not tail[:start].strip():
        tail = tail[tail.index("]") + 1 :]
    return tail
