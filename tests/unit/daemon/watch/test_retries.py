"""When failed builds are attempted again: by a clock that the test turns."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.watch.retries import SPACING_SECONDS, Retries

FAILURES = st.lists(st.tuples(st.sampled_from("ab"), st.floats(60, 3600)), min_size=1, max_size=30)


def fail(retries: Retries, failures: list[tuple[str, float]], now: float = 0.0) -> None:
    for number, (cause, seconds) in enumerate(failures):
        retries.note_failure(f"w{number}", "d", cause, seconds, now)


@given(FAILURES)
def test_attempts_that_fail_keep_their_distance(failures: list[tuple[str, float]]) -> None:
    retries = Retries()
    fail(retries, failures)
    attempts: dict[str, list[float]] = {"a": [], "b": []}
    for _ in range(100):
        now = retries.next_time()
        assert now is not None
        for each in retries.pop_due(now):
            attempts[each.cause].append(now)
            retries.note_failure(each.key, each.digest, each.cause, 300.0, now + 1.0)
    for times in attempts.values():
        assert all(later - earlier >= SPACING_SECONDS for earlier, later in pairwise(times))
    assert len(retries) == len(failures)


@given(FAILURES)
def test_each_one_has_its_turn(failures: list[tuple[str, float]]) -> None:
    retries = Retries()
    fail(retries, failures)
    seen = set()
    for _ in range(len(failures)):
        for each in retries.pop_due(now := retries.next_time() or 0.0):
            seen.add(each.key)
            retries.note_failure(each.key, each.digest, each.cause, 10.0**6, now)
    assert len(seen) == len(failures)


@given(FAILURES)
def test_a_success_lets_all_others_of_its_cause_begin(failures: list[tuple[str, float]]) -> None:
    retries = Retries()
    fail(retries, failures)
    now = retries.next_time() or 0.0
    first = retries.pop_due(now)[0]
    assert first.due <= now
    retries.note_end(first.key, now, succeeded=True)
    begun = {each.key for each in retries.pop_due(now)}
    assert begun >= {f"w{number}" for number, (cause, _) in enumerate(failures) if cause == first.cause} - {first.key}


def test_an_attempt_that_ends_without_a_result_holds_up_nothing() -> None:
    retries = Retries()
    fail(retries, [("a", 60.0), ("a", 60.0)])
    (first,) = retries.pop_due(60.0)
    assert retries.pop_due(61.0) == []
    retries.note_end(first.key, 62.0, succeeded=False)
    assert [each.key for each in retries.pop_due(62.0)] == ["w1"]
