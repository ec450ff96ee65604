"""Differences between two canonical forms, field by field, and a measure of their similarity."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

FieldDifference = dict[str, Any]
"""``field``, ``before`` and ``after``; an absent value is ``None``."""


def find_differences(before: bytes, after: bytes) -> list[FieldDifference]:
    """Return each field that differs.

    Fields have names such as ``conda.dependencies[1]``; the index is that in the later form, or in the earlier one if
    the value was removed.
    """
    return list(_compare_values("", msgspec.json.decode(before), msgspec.json.decode(after)))


def measure_similarity(first: bytes, second: bytes) -> float:
    """Return the share of common fields, from 0 (none) to 1 (equal), regardless of order within lists."""
    left, right = _count_fields(first), _count_fields(second)
    shared, total = sum((left & right).values()), sum((left | right).values())
    return shared / total if total else 1.0


def _compare_values(field: str, before: Any, after: Any) -> Iterator[FieldDifference]:  # noqa: ANN401 - JSON values
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            yield from _compare_values(f"{field}.{key}" if field else key, before.get(key), after.get(key))
    elif _is_list(before) and _is_list(after):
        yield from _compare_lists(field, before or [], after or [])
    elif isinstance(before, dict) and after is None:
        yield from _compare_values(field, before, {})
    elif isinstance(after, dict) and before is None:
        yield from _compare_values(field, {}, after)
    else:
        yield {"field": field, "before": before, "after": after}


def _is_list(value: Any) -> bool:  # noqa: ANN401 - JSON values
    return value is None or isinstance(value, list)


def _compare_lists(field: str, before: list[Any], after: list[Any]) -> Iterator[FieldDifference]:
    old, new = [_to_text(value) for value in before], [_to_text(value) for value in after]
    if (places := _find_replaced(old, new)) is not None:
        for place in places:
            yield from _pair_up(field, before, after, (place, place + 1), (place, place + 1))
        return
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            yield from _pair_up(field, before, after, (start, end), (new_start, new_end))


def _find_replaced(old: list[str], new: list[str]) -> list[int] | None:
    """Return the positions that differ if no item was moved, added or removed, else ``None``.

    Most changes are of this kind, and matching long lists takes milliseconds.
    """
    if len(old) != len(new):
        return None
    places = [place for place, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    moved = {old[place] for place in places} & set(new) or {new[place] for place in places} & set(old)
    return None if moved else places


def _pair_up(
    field: str, before: list[Any], after: list[Any], old: tuple[int, int], new: tuple[int, int]
) -> Iterator[FieldDifference]:
    """Yield the items of the range ``old`` of ``before`` and of the range ``new`` of ``after`` in pairs."""
    for offset in range(max(old[1] - old[0], new[1] - new[0])):
        here, there = old[0] + offset, new[0] + offset
        is_old, is_new = here < old[1], there < new[1]
        yield {
            "field": f"{field}[{there if is_new else here}]",
            "before": before[here] if is_old else None,
            "after": after[there] if is_new else None,
        }


def _count_fields(form: bytes) -> Counter[tuple[str, str]]:
    return Counter(_iterate_fields("", msgspec.json.decode(form)))


def _iterate_fields(field: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON values
    if isinstance(value, dict):
        for key, inner in value.items():
            if field or key != "format":
                yield from _iterate_fields(f"{field}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield field, _to_text(inner)
    else:
        yield field, _to_text(value)


def _to_text(value: Any) -> str:  # noqa: ANN401 - JSON values
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
