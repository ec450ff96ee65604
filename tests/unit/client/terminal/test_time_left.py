"""The time left of a build, as it is shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client.terminal.time_left import TimeLeft, format_rough


def shown_seconds(text: str) -> float:
    """What was shown, in seconds; 0 for anything but a time left."""
    found = re.fullmatch(r"about (?:(\d+) h ?)?(?:(\d+) min)?(?:(\d+) s)? left", text)
    if found is None:
        return 0.0
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def test_what_takes_less_than_two_seconds_shows_nothing() -> None:
    left = TimeLeft()
    left.expect(1.9, {"pip": 1.9}, 0.0)
    left.start_step("pip", 0.0)
    assert [left.describe(now) for now in (0.0, 1.0, 10.0)] == ["", "", ""]
    left.expect(None, {"solve": 9.0}, 0.0)
    assert left.describe(1.0) == ""


def test_it_counts_down_and_is_honest_when_it_is_over() -> None:
    left = TimeLeft()
    left.expect(4.0, {"pip": 4.0}, 0.0)
    left.start_step("pip", 0.0)
    assert [left.describe(float(now)) for now in range(5)] == [
        "about 4 s left",
        "about 3 s left",
        "about 2 s left",
        "about 1 s left",
        "almost done",
    ]
    assert left.describe(5.5) == "taking longer than the 4 s expected"


def test_waiting_for_others_is_not_counted() -> None:
    left = TimeLeft()
    left.expect(10.0, {"link": 10.0}, 0.0)
    left.start_step("wait", 0.0)
    assert left.describe(30.0) == ""
    left.finish_step("wait", 60.0)
    left.start_step("link", 60.0)
    assert left.describe(61.0) == "about 9 s left"


def test_steps_that_were_quicker_shorten_what_is_left() -> None:
    left = TimeLeft()
    left.expect(20.0, {"link": 14.0, "bytecode": 4.0, "publish": 2.0}, 0.0)
    left.start_step("link", 0.0)
    left.finish_step("link", 2.0)
    left.start_step("publish", 3.0)
    left.finish_step("bytecode", 3.0)
    told = [shown_seconds(left.describe(3.0 + now / 2)) for now in range(1, 20)]
    assert told == sorted(told, reverse=True)
    assert told[8] <= 2


def test_a_slow_download_is_shown_by_its_speed_within_seconds() -> None:
    left = TimeLeft()
    left.expect(20.0, {"download": 15.0, "publish": 5.0}, 0.0)
    left.start_step("download", 0.0)
    told = []
    for now in range(1, 40):
        left.advance_step("download", now / 60)
        told.append(shown_seconds(left.describe(float(now))))
    assert told[0] == 20
    assert told[-1] == pytest.approx(21 + 5, abs=5)


@given(st.floats(2, 500), st.lists(st.tuples(st.floats(0.05, 1.0), st.floats(0, 1)), max_size=60))
def test_it_is_never_negative_and_never_jumps(expected: float, redraws: list[tuple[float, float]]) -> None:
    left = TimeLeft()
    left.expect(expected, {"download": expected}, 0.0)
    left.start_step("download", 0.0)
    left.describe(0.0)
    now, part = 0.0, 0.0
    for seconds, done in redraws:
        now, part = now + seconds, max(part, done)
        left.advance_step("download", part)
        before = left._shown
        left.describe(now)
        known = left._measure_left(now)
        target = max(0.0, known if known is not None else min(expected - now, left._sum_pending(now)))
        low, high = min(before - seconds, target), max(before, target)
        assert left._shown >= 0
        assert low - 1e-6 <= left._shown <= high + 1e-6
        assert abs(left._shown - before) <= seconds + abs(target - before) * seconds / 4 + 1e-6 + seconds**2 / 4


def test_times_are_said_roughly() -> None:
    told = [format_rough(seconds) for seconds in (0.2, 4.4, 12, 58, 200, 3600, 4300)]
    assert told == ["1 s", "4 s", "10 s", "1 min", "3 min", "1 h", "1 h 10 min"]
