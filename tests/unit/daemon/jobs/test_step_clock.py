"""Time of a build divides among its steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.jobs.step_clock import StepClock

STEPS = ("wait", "download", "link", "pip", "publish")


def test_downloads_count_for_the_step_that_needs_them_and_gaps_for_the_next() -> None:
    clock = StepClock(0.0)
    clock.start("wait", 0.0)
    clock.finish("wait", 5.0)
    clock.start("link", 6.0)
    clock.start("download", 6.5)
    clock.finish("download", 8.0)
    clock.finish("link", 9.0)
    clock.start("publish", 10.0)
    clock.finish("publish", 12.0)
    assert clock.seconds == {"wait": 5.0, "link": 4.0, "publish": 3.0}
    assert (clock.worked, clock.waited) == (7.0, 5.0)


def test_a_step_within_another_has_its_own_time() -> None:
    clock = StepClock(0.0)
    clock.start("pip", 0.0)
    clock.start("build-wheels", 1.0)
    clock.finish("build-wheels", 4.0)
    clock.finish("pip", 6.0)
    assert clock.seconds == {"pip": 3.0, "build-wheels": 3.0}


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.booleans(), st.integers(0, 10))))
def test_the_parts_add_up_to_the_whole(events: list[tuple[str, bool, int]]) -> None:
    clock, now, last = StepClock(0), 0, 0
    for step, starts, seconds in events:
        now += seconds
        before = sum(clock.seconds.values())
        (clock.start if starts else clock.finish)(step, now)
        last = now if sum(clock.seconds.values()) != before else last
    assert all(seconds >= 0 for seconds in clock.seconds.values())
    assert sum(clock.seconds.values()) == last
