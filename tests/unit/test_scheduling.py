"""The order of tests: long ones first, on all workers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.scheduling import spread_long


def is_upper(item: str) -> bool:
    return item.isupper()


def test_each_part_begins_with_its_share_of_the_long_ones():
    assert "".join(spread_long("abAcdBefCghD", 3, is_upper)) == "ADabBcdeCfgh"


@given(st.lists(st.integers(0, 1000), unique=True, max_size=40), st.integers(1, 6), st.sets(st.integers(0, 1000)))
def test_nothing_is_lost_and_neither_kind_changes_its_order(items, workers, long):
    ordered = spread_long(items, workers, long.__contains__)
    assert sorted(ordered) == sorted(items)
    assert [item for item in ordered if item not in long] == [item for item in items if item not in long]
