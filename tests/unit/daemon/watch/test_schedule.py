"""A series of changes is processed once: soon after its last, and not much later than its first."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.watch.schedule import LONGEST, Debounce

QUIET = 0.2


def drive(changes: list[tuple[float, str]], until: float) -> list[tuple[float, str]]:
    """Process ``changes`` (times and keys) as the daemon does: sleep until the next time, or the next change."""
    debounce, processed, pending = Debounce[str](lambda: QUIET), [], sorted(changes)
    now = 0.0
    while now < until:
        times = [time for time in (debounce.next_time(), pending[0][0] if pending else None) if time is not None]
        if not times:
            break
        now = max(now, min(times))
        while pending and pending[0][0] <= now:
            debounce.note(pending.pop(0)[1], now)
        processed += [(now, key) for key in debounce.pop_due(now)]
        assert len(debounce) == len(debounce._heap), "one entry for each key"
    return processed


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from("ab")), max_size=60))
def test_every_change_is_processed_in_time(changes: list[tuple[float, str]]) -> None:
    processed = drive(changes, 100)
    for time, key in changes:
        after = [when for when, other in processed if other == key and when >= time]
        assert after
        assert min(after) <= time + QUIET * LONGEST + 1e-6
    for key in "ab":
        times = [when for when, other in processed if other == key]
        assert all(later - earlier >= QUIET * 0.99 for earlier, later in pairwise(times))


def test_twenty_saves_in_two_seconds_are_processed_twice_at_most() -> None:
    assert len(drive([(number / 10, "a") for number in range(20)], 100)) <= 2


def test_changes_of_one_key_do_not_delay_another() -> None:
    processed = drive([(0.05, "b"), *((number / 10, "a") for number in range(20))], 100)
    assert next(when for when, key in processed if key == "b") < 0.3
