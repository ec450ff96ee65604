"""When the rates of a machine are fitted anew."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.estimates import estimator as module
from roost.daemon.estimates.estimator import Estimator
from roost.daemon.estimates.model import StepWork, learn, predict, usual_rates
from roost.model.records import StepObservation


class Durations:
    def __init__(self) -> None:
        self.rows: list[tuple[int, StepObservation]] = []

    async def list_since(self, last: int) -> list[tuple[int, StepObservation]]:
        return [row for row in self.rows if row[0] > last]

    async def record(self, *observations: StepObservation) -> None:
        self.rows += [(len(self.rows) + 1, each) for each in observations]


@pytest.fixture
def durations() -> Durations:
    return Durations()


def estimator_of(durations: Durations) -> Estimator:
    index: Any = SimpleNamespace(durations=durations)
    return Estimator(index)


def took(step: str, seconds: float) -> StepObservation:
    return StepObservation(step=step, seconds=seconds, amounts={"packages": 3.0, "steps": 3.0})


async def test_a_prediction_knows_all_that_was_observed(durations: Durations) -> None:
    estimator = estimator_of(durations)
    work = [StepWork(step="publish"), StepWork(step="pip", amounts={"packages": 3.0})]
    seen = [took("pip", 9.0), took("publish", 2.0), took("total", 12.0), took("lock-pip", 4.0)]
    for each in seen:
        await durations.record(each)
        known = learn(usual_rates(), [row for _, row in durations.rows])
        for part in (work[:1], work[1:], work):
            found, expected = await estimator.predict(part), predict(part, known)
            assert found.steps == pytest.approx(expected.steps)
            assert found.seconds == pytest.approx(expected.seconds)
    assert dict(await estimator.load_rates()) == dict(learn(usual_rates(), seen))


async def test_only_what_is_predicted_is_fitted_at_once(durations: Durations, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[str] = []

    def note(rates: Any, observations: Any) -> Any:
        fitted.extend(each.step for each in observations)
        return learn(rates, observations)

    monkeypatch.setattr(module, "learn", note)
    monkeypatch.setattr(module, "_LATER_SECONDS", 0.0)
    estimator = estimator_of(durations)
    await durations.record(took("lock-pip", 1.0), took("pip", 1.0))
    await estimator.predict([StepWork(step="pip")])
    assert fitted == ["pip"]
    await estimator.record_total(2.0, 2.0, shares_lock=False)
    assert estimator._learning is not None
    await estimator._learning
    assert sorted(fitted) == ["lock-pip", "pip", "total"]
    await estimator.predict([StepWork(step="lock-pip")])
    assert len(fitted) == 3
