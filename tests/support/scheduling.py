"""The order in which tests are given to workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def spread_long(items: Sequence[T], workers: int, is_long: Callable[[T], bool]) -> list[T]:
    """Return ``items`` in such an order that each of ``workers`` consecutive parts begins with its share of the long
    ones. The parts are those that xdist's ``worksteal`` gives away at first: even ones, and if the number is odd the
    later ones are larger by one. Otherwise the order is kept."""
    long = [item for item in items if is_long(item)]
    others = iter([item for item in items if not is_long(item)])
    ordered: list[T] = []
    for number in range(workers):
        size = (len(items) - len(ordered)) // (workers - number)
        share = long[number::workers]
        ordered += share
        ordered += islice(others, max(0, size - len(share)))
    return [*ordered, *others]
