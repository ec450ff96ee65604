"""Markers of PEP 751, which may name ``extras`` and ``dependency_groups``, as markers of PEP 508. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from packaging.markers import InvalidMarker, Marker

_CHOICE = re.compile(
    r"""(?P<quote>['"])(?P<name>[A-Za-z0-9._-]+)(?P=quote)\s+(?P<not>not\s+)?in\s+(?P<of>extras|dependency_groups)\b"""
)
_TRUE, _FALSE = 'os_name != "roost"', 'os_name == "roost"'
"""Comparisons that stand for what is decided, until they are taken out again."""


def decide_marker(marker: str, groups: Collection[str], extras: Collection[str] = ()) -> str | None:
    """Return ``marker`` with ``groups`` and ``extras`` chosen: empty if it always applies, ``None`` if it never does.

    Raises: ValueError if it is not valid.
    """

    def decide(match: re.Match[str]) -> str:
        is_chosen = match["name"] in (groups if match["of"] == "dependency_groups" else extras)
        return _FALSE if is_chosen == bool(match["not"]) else _TRUE

    try:
        parsed = Marker(_CHOICE.sub(decide, marker))._markers
    except InvalidMarker as error:
        raise ValueError(str(error)) from None
    decided = _simplify(parsed)
    return ("" if decided else None) if isinstance(decided, bool) else decided


def _simplify(node: Any) -> bool | str:  # noqa: ANN401 - packaging's tree of lists, tuples and operators
    if isinstance(node, tuple):
        text = " ".join(part.serialize() for part in node)
        return {_TRUE: True, _FALSE: False}.get(text, text)
    # ``and`` binds more strongly: the list is a disjunction of conjunctions.
    groups: list[list[Any]] = [[]]
    for part in node:
        if part == "or":
            groups.append([])
        elif part != "and":
            groups[-1].append(part)
    return _join([_join([_simplify(part) for part in group], "and") for group in groups], "or")


def _join(parts: Sequence[bool | str], operator: str) -> bool | str:
    decisive = operator == "or"
    if decisive in [part for part in parts if isinstance(part, bool)]:
        return decisive
    texts = [part for part in parts if isinstance(part, str)]
    if not texts:
        return not decisive
    return texts[0] if len(texts) == 1 else f" {operator} ".join(f"({text})" for text in texts)
