"""Differences between two canonical forms, field by field, and a measure of their similarity."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

FieldDifference = dict[str, Any]
"""``field``, ``before`` and ``after``; an absent value is ``None``."""
_MOST_COMPARISONS = 40_000
"""Pairs of items beyond which lists are aligned in a simpler way, as finding the best one takes their square."""
_MOST_ORDERED = 12
"""Items that are shown in their order; an item that moved further is removed at one place and added at the other."""


def find_differences(before: bytes, after: bytes) -> list[FieldDifference]:
    """Return each field that differs.

    Fields have names such as ``conda.dependencies[1]``; the index is that in the later form, or in the earlier one if
    the value was removed. Where items only changed places, the field is the list itself, with these items in both
    orders.
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
            yield from _pair_up(field, before, after, [place], [place])
        return
    aligned = _align(old, new)
    only_old, only_new = ({*range(len(old))} - {*aligned}), ({*range(len(new))} - {*aligned.values()})
    moved = _find_moved(old, new, only_old, only_new)
    moved_to = {*moved.values()}
    kept_old = [before[place] for place in range(len(old)) if place in aligned or place in moved]
    kept_new = [after[place] for place in range(len(new)) if place not in only_new or place in moved_to]
    start, end = _trim(kept_old, kept_new)
    if moved and len(kept_old) - start - end <= _MOST_ORDERED:
        yield {
            "field": field,
            "before": kept_old[start : len(kept_old) - end],
            "after": kept_new[start : len(kept_new) - end],
        }
        only_old, only_new = only_old - {*moved}, only_new - moved_to
    here = there = 0
    for next_here, next_there in [*aligned.items(), (len(old), len(new))]:
        removed = [place for place in range(here, next_here) if place in only_old]
        added = [place for place in range(there, next_there) if place in only_new]
        yield from _pair_up(field, before, after, removed, added)
        here, there = next_here + 1, next_there + 1


def _align(old: list[str], new: list[str]) -> dict[int, int]:
    """Return the places of items that stay, in ``old`` and in ``new``; both ascend."""
    start, end = _trim(old, new)
    stop_old, stop_new = len(old) - end, len(new) - end
    aligned = {place: place for place in range(start)}
    if (stop_old - start) * (stop_new - start) <= _MOST_COMPARISONS:
        matcher = difflib.SequenceMatcher(None, old[start:stop_old], new[start:stop_new], autojunk=False)
        for block in matcher.get_matching_blocks():
            aligned |= {start + block.a + offset: start + block.b + offset for offset in range(block.size)}
    else:
        aligned |= _align_occurrences(old, new, start, stop_old, stop_new)
    return aligned | {stop_old + offset: stop_new + offset for offset in range(end)}


def _align_occurrences(old: list[str], new: list[str], start: int, stop_old: int, stop_new: int) -> dict[int, int]:
    """Align long lists, the first occurrence of an item with the first one, and so on: the longest ascending sequence
    of places, in n log n steps."""
    places = {key: start + place for place, key in enumerate(_number_occurrences(new[start:stop_new]))}
    pairs = [
        (start + place, places[key])
        for place, key in enumerate(_number_occurrences(old[start:stop_old]))
        if key in places
    ]
    tails, ends, previous = list[int](), list[int](), list[int]()
    """The least last place of a sequence of each length, which pair that is, and each pair's predecessor."""
    for index, (_, place) in enumerate(pairs):
        length = bisect_left(tails, place)
        previous.append(ends[length - 1] if length else -1)
        tails[length : length + 1], ends[length : length + 1] = [place], [index]
    found, index = list[tuple[int, int]](), ends[-1] if ends else -1
    while index >= 0:
        found.append(pairs[index])
        index = previous[index]
    return dict(reversed(found))


def _number_occurrences(items: list[str]) -> Iterator[tuple[str, int]]:
    counts = Counter[str]()
    for item in items:
        yield item, counts[item]
        counts[item] += 1


def _trim(old: Sequence[object], new: Sequence[object]) -> tuple[int, int]:
    """Return how many items both begin with, and how many others both end with."""
    shorter = min(len(old), len(new))
    start = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    rest = shorter - start
    return start, next((place for place in range(rest) if old[-1 - place] != new[-1 - place]), rest)


def _find_moved(old: list[str], new: list[str], only_old: set[int], only_new: set[int]) -> dict[int, int]:
    """Return the places of items that were neither removed nor added, but come before or behind others now."""
    places: dict[tuple[str, int], int] = {}
    ordered_old, ordered_new = sorted(only_old), sorted(only_new)
    for place, key in zip(ordered_new, _number_occurrences([new[place] for place in ordered_new]), strict=True):
        places[key] = place
    keys = zip(ordered_old, _number_occurrences([old[place] for place in ordered_old]), strict=True)
    return {place: places[key] for place, key in keys if key in places}


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
    field: str, before: list[Any], after: list[Any], removed: Sequence[int], added: Sequence[int]
) -> Iterator[FieldDifference]:
    """Yield the items of ``before`` at the places ``removed`` and those of ``after`` at ``added`` in pairs."""
    for here, there in zip_longest(removed, added):
        yield {
            "field": f"{field}[{here if there is None else there}]",
            "before": None if here is None else before[here],
            "after": None if there is None else after[there],
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
