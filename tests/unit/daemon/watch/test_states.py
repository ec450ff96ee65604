"""The state machine of a watch, by a model of what is around it: a file, its reader, a planner, a queue."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roost.daemon.watch.states import (
    COLLECTED,
    RETRY_SECONDS,
    Announce,
    BuildEnded,
    BuildPostponed,
    BuildStarted,
    BuiltElsewhere,
    Changed,
    ContentRead,
    Demanded,
    EnvironmentGone,
    MakePlan,
    Paused,
    Planned,
    ReadContent,
    Removed,
    RequestBuild,
    Resumed,
    RetryDue,
    RetryLater,
    Trouble,
    Unreadable,
    WatchAction,
    WatchInput,
    WatchState,
    WithdrawBuild,
    needs_look,
    restore,
    step,
)

CONTENTS = ("a", "b", "c", "fails", "waits", "offline", "broken", "missing")
TROUBLE = Trouble(code="x", message="It is so.")
GOOD = ("a", "b", "c")


class Surroundings(RuleBasedStateMachine):
    """One watched file whose content changes at any time, and effects that end at any later time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = WatchState(phase="cold", wanted="a")  # as the use found it
        self.content = "a"
        self.ready: set[str] = set()
        self.readings: list[str] = []
        """Contents that readings which run have seen: at most one runs."""
        self.plans: list[str] = []
        self.flight: str | None = None
        self.withdrawn = False
        self.requests: list[str] = []
        self.retries: set[str] = set()
        """Digests of which an attempt is to come."""
        self.seen = "a"
        self.changed = False
        """Whether another content was ever read since the watch began."""
        self.apply(Changed())

    def apply(self, happened: WatchInput) -> list[WatchAction]:
        self.state, actions = step(self.state, happened)
        for action in actions:
            match action:
                case ReadContent():
                    assert not self.readings, "one reading at a time"
                    self.readings.append(self.content)
                case MakePlan(digest):
                    self.plans.append(digest)
                case RequestBuild(digest):
                    assert self.flight is None, "at most one build in flight"
                    assert not self.state.paused
                    assert not self.state.removed
                    self.flight, self.withdrawn = digest, False
                    self.requests.append(digest)
                case WithdrawBuild(digest):
                    assert digest == self.flight
                    assert not self.withdrawn
                    self.withdrawn = True
                case RetryLater(digest):
                    self.retries.add(digest)
                case Announce():
                    pass
        return actions

    @rule(content=st.sampled_from(CONTENTS))
    def save(self, content: str) -> None:
        self.content = content
        self.apply(Changed())

    @rule()
    def touch(self) -> None:
        self.apply(Changed())

    @precondition(lambda self: self.readings)
    @rule()
    def end_reading(self) -> None:
        seen = self.readings.pop()
        if not (self.state.again or self.state.paused):  # else what is read is not acted on
            self.changed = self.changed or seen != self.seen
            self.seen = seen
        if seen in ("broken", "missing"):
            self.apply(Unreadable(seen, TROUBLE))  # type: ignore[arg-type]
        else:
            self.apply(ContentRead(seen))

    @precondition(lambda self: self.plans)
    @rule()
    def end_plan(self) -> None:
        digest = self.plans.pop(0)
        self.apply(Planned(digest, digest in self.ready))

    @precondition(lambda self: self.flight and not self.withdrawn)
    @rule()
    def start_build(self) -> None:
        assert self.flight is not None
        self.apply(BuildStarted(self.flight))

    @precondition(lambda self: self.flight and not self.withdrawn)
    @rule()
    def postpone_build(self) -> None:
        assert self.flight is not None
        self.apply(BuildPostponed(self.flight, TROUBLE))

    @precondition(lambda self: self.flight)
    @rule()
    def end_build(self) -> None:
        assert self.flight is not None
        digest, self.flight = self.flight, None
        if self.withdrawn:
            self.apply(BuildEnded(digest, cancelled=True))
        elif digest in GOOD:
            self.ready.add(digest)
            self.apply(BuildEnded(digest))
        else:
            self.apply(BuildEnded(digest, TROUBLE, waits=digest == "waits", passing=digest == "offline"))

    @precondition(lambda self: self.retries)
    @rule()
    def retry(self) -> None:
        self.apply(RetryDue(self.retries.pop()))

    @precondition(lambda self: self.ready)
    @rule()
    def collect(self) -> None:
        for digest in sorted(self.ready):
            self.ready.discard(digest)
            self.apply(EnvironmentGone(digest))

    @invariant()
    def what_failed_for_a_while_is_attempted_again(self) -> None:
        state = self.state
        if state.phase == "failed" and state.failures and not state.removed:
            assert state.paused or state.wanted in self.retries

    @precondition(lambda self: self.flight is None)
    @rule(digest=st.sampled_from(GOOD))
    def build_for_a_person(self, digest: str) -> None:
        self.ready.add(digest)
        self.apply(BuiltElsewhere(digest))

    @rule()
    def pause(self) -> None:
        self.apply(Paused())

    @rule()
    def resume(self) -> None:
        self.apply(Resumed())

    @rule()
    def demand(self) -> None:
        self.apply(Demanded())
        self.changed = True

    @rule()
    def restart_the_daemon(self) -> None:
        """Everything that runs ends; a later daemon looks again if the inputs' states differ, or if it has to."""
        while self.plans:
            self.end_plan()
        was_reading = bool(self.readings)
        pending_look = self.state.again
        self.flight, self.withdrawn, self.readings, self.plans = None, False, [], []
        self.state = restore(self.state)
        if was_reading or pending_look or needs_look(self.state):
            self.apply(Changed())

    @rule()
    def nothing_more_happens(self) -> None:
        """The result is that of the last content, and it is reached without a person."""
        self.apply(Resumed())
        self.run_to_the_end()
        state = self.state
        assert self.flight is None
        if self.content in ("broken", "missing"):
            assert state.phase == self.content
        elif self.content in self.ready:
            assert (state.phase, state.good) == ("warm", self.content)
        elif self.content in ("fails", "offline"):
            assert state.phase in (("failed",) if self.changed else ("failed", "cold"))
        elif self.content == "waits":
            assert state.phase in (("waiting",) if self.changed else ("waiting", "cold"))
        else:
            assert state.phase == "cold", "only what nobody has changed, or somebody cancelled, is left unbuilt"
            assert not self.changed or state.trouble == COLLECTED

    @rule()
    def a_save_that_changes_nothing_builds_nothing(self) -> None:
        self.apply(Resumed())
        self.run_to_the_end()
        before, requests = self.state, len(self.requests)
        self.apply(Changed())
        self.run_to_the_end()
        assert self.state == before
        assert len(self.requests) == requests

    def run_to_the_end(self) -> None:
        for _ in range(100):
            if self.readings:
                self.end_reading()
            elif self.plans:
                self.end_plan()
            elif self.flight:
                self.end_build()
            else:
                return
        raise AssertionError("it never comes to rest")

    @invariant()
    def agrees_with_the_queue(self) -> None:
        assert self.state.flight == self.flight
        assert self.state.withdrawn == self.withdrawn or self.flight is None
        if self.state.phase in ("broken", "missing"):
            assert self.flight is None or self.withdrawn, "a broken file builds nothing"


Surroundings.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSurroundings = Surroundings.TestCase


def run(state: WatchState, *inputs: WatchInput) -> tuple[WatchState, list[WatchAction]]:
    actions: list[WatchAction] = []
    for each in inputs:
        state, more = step(state, each)
        actions += more
    return state, actions


def test_a_newer_save_withdraws_the_build_of_the_older_one() -> None:
    state, _ = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", False))
    state, actions = run(state, Changed(), ContentRead("b"), Planned("b", False))
    assert actions == [ReadContent(), WithdrawBuild("a"), MakePlan("b")]
    assert step(state, BuildEnded("a", cancelled=True))[1] == [RequestBuild("b")]


def test_twenty_saves_during_a_build_lead_to_one_more() -> None:
    state, requests = run(WatchState(eager=True), Changed(), ContentRead("0"), Planned("0", False))
    for number in range(1, 21):
        state, actions = run(state, Changed(), ContentRead(str(number)), Planned(str(number), False))
        requests += actions
    state, actions = run(state, BuildEnded("0", cancelled=True), BuildEnded("20"))
    assert [each for each in (*requests, *actions) if isinstance(each, RequestBuild)] == [
        RequestBuild("0"),
        RequestBuild("20"),
    ]
    assert state.good == "20"


def test_a_use_alone_builds_nothing() -> None:
    state, actions = run(WatchState(phase="cold", wanted="a"), Changed(), ContentRead("a"))
    assert state.phase == "cold"
    assert actions == [ReadContent()]
    assert RequestBuild("b") in run(state, Changed(), ContentRead("b"), Planned("b", False))[1]


def test_a_removed_watch_does_nothing_more() -> None:
    state, actions = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", False), Removed())
    assert actions[-1] == WithdrawBuild("a")
    assert run(state, BuildEnded("a"), Changed(), Resumed(), Demanded())[1] == []


def test_a_failure_is_tried_again_only_for_other_content_or_on_demand() -> None:
    failed, _ = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", False), BuildEnded("a", TROUBLE))
    assert failed.phase == "failed"
    assert run(failed, Changed(), ContentRead("a"))[1] == [ReadContent()]
    assert RequestBuild("a") in run(failed, Demanded(), ContentRead("a"), Planned("a", False))[1]
    assert RequestBuild("b") in run(failed, Changed(), ContentRead("b"), Planned("b", False))[1]


@given(st.integers(0, 30))
def test_a_failure_that_may_pass_is_tried_again_after_a_longer_while_each_time(failures: int) -> None:
    state, seconds = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", False))[0], []
    announced = 0
    for _ in range(failures + 1):
        state, actions = run(state, BuildEnded("a", TROUBLE, passing=True))
        seconds += [each.seconds for each in actions if isinstance(each, RetryLater)]
        announced += sum(isinstance(each, Announce) for each in actions)
        assert state.phase == "failed"
        state, actions = run(state, RetryDue("a"), Planned("a", False))
        assert actions == [MakePlan("a"), RequestBuild("a")]
    assert seconds == [*RETRY_SECONDS, *[RETRY_SECONDS[-1]] * 30][: failures + 1]
    assert announced == 1, "the same failure again is no news"
    assert run(state, BuildEnded("a"))[0].failures == 0


@pytest.mark.parametrize("happened", [Changed(), Demanded(), Paused(), Removed()])
def test_a_retry_that_is_overtaken_does_nothing(happened: WatchInput) -> None:
    state, _ = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", False, TROUBLE, passing=True))
    assert state.failures == 1
    after, _ = run(state, happened, ContentRead("b"))
    assert step(after, RetryDue("a")) == (after, [])


def test_what_was_ready_and_is_removed_is_cold_and_stays_so() -> None:
    warm, _ = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", True))
    assert step(warm, EnvironmentGone("b")) == (warm, [])
    cold, actions = run(warm, EnvironmentGone("a"), Planned("a", False), Changed(), ContentRead("a"))
    assert (cold.phase, cold.trouble) == ("cold", COLLECTED)
    assert actions == [MakePlan("a"), ReadContent()]
    again, actions = run(cold, BuiltElsewhere("a"), Planned("a", True))
    assert (again.phase, again.trouble, actions) == ("warm", None, [MakePlan("a")])
    assert RequestBuild("a") in run(cold, Demanded(), ContentRead("a"), Planned("a", False))[1]


def test_what_is_replaced_while_it_goes_stays_warm_without_news() -> None:
    warm, _ = run(WatchState(eager=True), Changed(), ContentRead("a"), Planned("a", True))
    state, actions = run(warm, EnvironmentGone("a"), Planned("a", True))
    assert (state, actions) == (warm, [MakePlan("a")])


@pytest.mark.parametrize("phase", ["warm", "failed", "building"])
def test_another_lock_of_the_same_definition_is_planned_for(phase: str) -> None:
    flight = "a" if phase == "building" else None
    state = WatchState(phase=phase, wanted="a", flight=flight, reading=True)  # type: ignore[arg-type]
    after, actions = step(state, ContentRead("a"))
    assert (MakePlan("a") in actions, after.phase) == (False, phase), "the same starts nothing"
    after, actions = step(state, ContentRead("a", is_same=False))
    assert MakePlan("a") in actions
    assert (WithdrawBuild("a") in actions) is (flight is not None)
