"""A run ends once, in the way that was observed first, and never fails or is lost after somebody cancelled it."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.runs.states import (
    ENDED,
    LOST,
    NEVER_ATTACHED,
    TRANSITIONS,
    WITHDRAWN,
    decide_cancel,
    exit_from_status,
    observation_from_container,
    observation_from_report,
    observe,
)
from roost.model.records import RunState
from roost.store.disk.run_folders import RunExit
from roost.wire.runs import RunUpdate

STATES = st.sampled_from(get_args(RunState))
STATUSES = st.none() | st.integers(0, 255)
REPORTS = st.builds(
    RunUpdate,
    state=st.sampled_from(["running", "succeeded", "failed", "cancelled"]),
    pid=st.none() | st.integers(1, 2**22),
    exit_status=STATUSES,
)
EXIT_FILES = st.builds(
    RunExit,
    state=st.sampled_from(["succeeded", "failed", "cancelled", "lost", "running"]),
    exit_status=STATUSES,
    ended=st.none() | st.just("2026-01-01T00:00:00Z"),
)
OBSERVATIONS = st.one_of(
    st.builds(observation_from_report, REPORTS),
    st.builds(observation_from_container, st.none() | st.sampled_from(["created", "running", "exited", "dead"])),
    st.builds(exit_from_status, STATUSES),
    st.sampled_from([LOST, NEVER_ATTACHED, WITHDRAWN]),
    EXIT_FILES,
)


@given(STATES, OBSERVATIONS, st.booleans())
def test_every_observation_is_a_transition_that_is_allowed(state: RunState, seen: RunExit, cancelled: bool) -> None:
    found = observe(state, seen, cancel_requested=cancelled)
    assert (found is None) == (state in ENDED)
    assert found is None or found.state in TRANSITIONS[state]


@given(st.lists(st.tuples(OBSERVATIONS, st.booleans())))
def test_the_end_that_is_observed_first_stays(observations: list[tuple[RunExit, bool]]) -> None:
    state: RunState = "preparing"
    ends = []
    for seen, cancelled in observations:
        found = observe(state, seen, cancel_requested=cancelled)
        if found is not None:
            state = found.state
            ends += [found] if state in ENDED else []
    assert len(ends) <= 1
    assert all(end.state == state for end in ends)


@given(OBSERVATIONS)
def test_what_was_cancelled_neither_fails_nor_is_lost_and_may_have_succeeded(seen: RunExit) -> None:
    found = observe("running", seen, cancel_requested=True)
    assert found is not None
    assert found.state not in ("failed", "lost")
    assert (found.state == "succeeded") == (seen.state == "succeeded")


@given(STATES, OBSERVATIONS, st.booleans())
def test_exit_status_and_time_are_recorded_as_they_were_observed(state: RunState, seen: RunExit, cancelled: bool):
    found = observe(state, seen, cancel_requested=cancelled)
    assert found is None or (found.exit_status, found.ended) == (seen.exit_status, seen.ended)


@given(STATES, st.booleans(), st.booleans())
def test_only_an_open_run_is_cancelled_and_one_with_a_supervisor_is_asked(
    state: RunState, supervised: bool, starting: bool
) -> None:
    action = decide_cancel(state, is_supervised=supervised, is_starting=starting)
    assert (action == "refuse-ended") == (state in ENDED)
    if state not in ENDED:
        assert (action == "ask") == supervised
        assert (action == "withdraw") == (starting and not supervised)


@given(REPORTS)
def test_a_report_of_success_counts_only_with_exit_status_zero(report: RunUpdate) -> None:
    seen = observation_from_report(report)
    assert (seen.state == "running") == (report.state == "running")
    assert (seen.state == "succeeded") == (report.state in ("succeeded", "failed") and report.exit_status == 0)
