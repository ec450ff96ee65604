"""What holds of every prediction, and of what is learned from any past."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.daemon.estimates.model import REMEMBERED, StepRates, StepWork, is_plausible, learn, predict, usual_rates
from roost.daemon.estimates.priors import FIXED, PRIORS, TOTAL
from roost.daemon.estimates.work import whole_work
from roost.model.records import StepObservation

STEPS = sorted(PRIORS.keys() - {TOTAL})
AMOUNTS = st.floats(min_value=0, max_value=1e10)
ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def works(draw: st.DrawFn) -> StepWork:
    step = draw(st.sampled_from(STEPS))
    amounts = {name: draw(AMOUNTS) for name in PRIORS[step] if name != FIXED}
    return StepWork(step=step, amounts=amounts, subject=draw(st.sampled_from(["", "a"])))


@st.composite
def observations(draw: st.DrawFn) -> StepObservation:
    work = draw(works())
    seconds = draw(st.floats(min_value=1e-4, max_value=1e5))
    return StepObservation(step=work.step, seconds=seconds, amounts=dict(work.amounts), subject=work.subject)


PASTS = st.lists(observations(), max_size=12)


@given(PASTS, st.lists(works(), max_size=5), st.data())
def test_more_work_takes_no_less(past: list[StepObservation], work: list[StepWork], data: st.DataObject) -> None:
    rates = learn(usual_rates(), past)
    before = predict(work, rates)
    more = [
        StepWork(
            step=each.step,
            subject=each.subject,
            amounts={name: amount + data.draw(AMOUNTS) for name, amount in each.amounts.items()},
        )
        for each in work
    ]
    after = predict([*more, *data.draw(st.lists(works(), max_size=2))], rates)
    assert 0 <= before.seconds <= after.seconds * (1 + 1e-9)
    for step, seconds in before.steps.items():
        assert 0 <= seconds <= after.steps[step] * (1 + 1e-9)


@given(PASTS, st.lists(works(), max_size=5), st.floats(min_value=0.01, max_value=100))
def test_predictions_scale_with_the_rates(past: list[StepObservation], work: list[StepWork], factor: float) -> None:
    rates = {step: StepRates(seconds=known.seconds) for step, known in learn(usual_rates(), past).items()}
    slower = {
        step: StepRates(seconds={name: rate * factor for name, rate in known.seconds.items()})
        for step, known in rates.items()
    }
    before, after = predict(work, rates), predict(work, slower)
    for step, seconds in before.steps.items():
        assert after.steps[step] == pytest.approx(seconds * factor)


@given(
    st.builds(
        StepObservation,
        step=st.sampled_from([*STEPS, "other"]),
        seconds=ANY_NUMBER,
        amounts=st.dictionaries(st.sampled_from(["bytes", "files", "x"]), ANY_NUMBER),
    )
)
def test_what_can_not_be_true_teaches_nothing(observation: StepObservation) -> None:
    learned = learn(usual_rates(), [observation])
    if not is_plausible(observation):
        assert learned == usual_rates()
    assert all(rate >= 0 for known in learned.values() for rate in known.seconds.values())


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from(STEPS), st.floats(min_value=0.1, max_value=20))
def test_rates_of_a_machine_are_found_despite_noise(seed: int, step: str, speed: float) -> None:
    """Every rate is another multiple of the usual one, and each execution is up to a fifth shorter or longer."""
    chance = random.Random(seed)
    true = {name: rate * speed * chance.uniform(0.5, 2.0) for name, rate in PRIORS[step].items()}

    def execute(noise: float) -> StepObservation:
        amounts = {
            name: chance.uniform(0, 3) * PRIORS[step][FIXED] / PRIORS[step][name] for name in true if name != FIXED
        }
        seconds = true[FIXED] + sum(true[name] * amount for name, amount in amounts.items())
        return StepObservation(step=step, seconds=seconds * chance.uniform(1 - noise, 1 + noise), amounts=amounts)

    rates = learn(usual_rates(), [execute(0.2) for _ in range(REMEMBERED)])
    for _ in range(5):
        asked = execute(0.0)
        found = predict([StepWork(step=step, amounts=asked.amounts)], rates)
        assert sum(found.steps.values()) == pytest.approx(asked.seconds, rel=0.3)


@given(st.floats(min_value=1e-3, max_value=1e5), st.integers(8, 20))
def test_one_busy_moment_spoils_nothing(outlier: float, count: int) -> None:
    usual = StepObservation(step="link", seconds=2.0, amounts={"packages": 10.0, "files": 1000.0})
    odd = StepObservation(step="link", seconds=outlier, amounts=usual.amounts)
    work = [StepWork(step="link", amounts=usual.amounts)]
    found = predict(work, learn(usual_rates(), [*[usual] * count, odd])).steps
    assert sum(found.values()) == pytest.approx(2.0, rel=0.25)


@given(st.floats(min_value=0.2, max_value=5), st.integers(10, 30))
def test_a_machine_that_stays_busy_is_followed(slowdown: float, count: int) -> None:
    amounts = {"packages": 10.0, "files": 1000.0}
    usual = StepObservation(step="link", seconds=2.0, amounts=amounts)
    busy = StepObservation(step="link", seconds=2.0 * slowdown, amounts=amounts)
    rates = learn(learn(usual_rates(), [usual] * count), [busy] * 6)
    found = predict([StepWork(step="link", amounts=amounts)], rates).steps
    assert sum(found.values()) == pytest.approx(2.0 * slowdown, rel=0.1)


@given(st.floats(0.02, 3), st.floats(0, 3), st.lists(st.floats(0.05, 0.5), min_size=8, max_size=REMEMBERED))
def test_what_is_beside_the_steps_is_no_multiple_of_them(gap: float, shared: float, worked: list[float]) -> None:
    """Short builds, half of which publish their locks, teach what a long one takes."""

    def whole(steps: float, publishes: bool) -> StepObservation:
        amounts = {"steps": steps, **whole_work(shares_lock=publishes).amounts}
        return StepObservation(step=TOTAL, seconds=steps + gap + shared * publishes, amounts=amounts)

    rates = learn(usual_rates(), [whole(steps, number % 2 == 0) for number, steps in enumerate(worked)])
    work = StepWork(step="pull", amounts={"bytes": 1e10})
    for publishes in (False, True):
        found = predict([work, whole_work(shares_lock=publishes)], rates)
        expected = sum(found.steps.values()) + gap + shared * publishes
        assert set(found.steps) == {"pull"}
        assert found.seconds == pytest.approx(expected, rel=0.02)
