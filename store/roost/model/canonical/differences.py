"""How two canonical forms differ, for people: the fields, before and after; and how much they have in common."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

FieldDifference = dict[str, Any]


def find_differences(before: bytes, after: bytes) -> list[FieldDifference]:
    """``{"field", "before", "after"}`` for each field that differs; what is absent is ``None``.

    Fields are named as ``conda.dependencies[1]``; the index is that of the later form, or of the earlier one for what
    is gone from it.
    """
    return list(_compare("", msgspec.json.decode(before), msgspec.json.decode(after)))


def measure_similarity(first: bytes, second: bytes) -> float:
    """From 0 (nothing in common) to 1 (equal): shared fields over all fields, order within lists left aside."""
    left, right = _tokens(first), _tokens(second)
    shared, total = sum((left & right).values()), sum((left | right).values())
    return shared / total if total else 1.0


def _compare(field: str, before: Any, after: Any) -> Iterator[FieldDifference]:  # noqa: ANN401 - JSON values
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _compare(f"{field}.{key}" if field else key, before.get(key), after.get(key))
    elif _is_list(before) and _is_list(after):
        yield from _compare_lists(field, before or [], after or [])
    elif isinstance(before, dict) and after is None:
        yield from _compare(field, before, {})
    elif isinstance(after, dict) and before is None:
        yield from _compare(field, {}, after)
    else:
        yield {"field": field, "before": before, "after": after}


def _is_list(value: Any) -> bool:  # noqa: ANN401 - JSON values
    return value is None or isinstance(value, list)


def _compare_lists(field: str, before: list[Any], after: list[Any]) -> Iterator[FieldDifference]:
    old, new = [_text(value) for value in before], [_text(value) for value in after]
    if (places := _in_place(old, new)) is not None:
        for place in places:
            yield from _replaced(field, before, after, (place, place + 1), (place, place + 1))
        return
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            yield from _replaced(field, before, after, (start, end), (new_start, new_end))


def _in_place(old: list[str], new: list[str]) -> list[int] | None:
    """Where two lists differ if nothing moved, came or went; most do, and a match of long ones takes milliseconds."""
    if len(old) != len(new):
        return None
    places = [place for place, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    moved = {old[place] for place in places} & set(new) or {new[place] for place in places} & set(old)
    return None if moved else places


def _replaced(
    field: str, before: list[Any], after: list[Any], old: tuple[int, int], new: tuple[int, int]
) -> Iterator[FieldDifference]:
    for offset in range(max(old[1] - old[0], new[1] - new[0])):
        here, there = old[0] + offset, new[0] + offset
        gone, come = here < old[1], there < new[1]
        yield {
            "field": f"{field}[{there if come else here}]",
            "before": before[here] if gone else None,
            "after": after[there] if come else None,
        }


def _tokens(form: bytes) -> Counter[tuple[str, str]]:
    return Counter(_fields("", msgspec.json.decode(form)))


def _fields(field: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON values
    if isinstance(value, dict):
        for key, inner in value.items():
            if field or key != "format":
                yield from _fields(f"{field}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield field, _text(inner)
    else:
        yield field, _text(value)


def _text(value: Any) -> str:  # noqa: ANN401 - JSON values
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
