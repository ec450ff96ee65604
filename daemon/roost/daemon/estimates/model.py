"""Prediction of durations from amounts of work, and learning of the rates by which they are predicted. Pure.

A step takes the sum of its amounts of work, each times a rate that is never negative. The rates of a step are fitted
to its latest executions by the least absolute relative error, so that an execution on a busy machine moves them little,
and to the usual ones (``priors``, scaled to this machine) as far as the executions do not say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from roost.daemon.estimates.priors import DOWNLOADS, EXACT, FIXED, PRIORS, TOTAL
from roost.model.records import StepObservation

REMEMBERED = 60
"""Executions of a step that its rates are fitted to."""
_SHORTEST, _LONGEST = 1e-5, 7 * 86400.0
"""Seconds: what took less or more was not measured well."""
_MOST = 1e15
"""No amount of work is greater."""
_FADING = 0.96
"""Weight of an execution in relation to that of the next one."""
_PRIOR_WEIGHT = 0.3
"""Weight of the usual rates when the machine's speed is estimated, in executions."""
_STIFFNESS = 0.5
"""How strongly rates are held in proportion to each other; an execution counts 1 to 20."""
_LEAST = 0.02
"""A rate is at least this part of the usual one on this machine: it never vanishes because it was not seen alone."""
_RECENT, _RECENT_FADING, _TREND_DOUBT = 7, 0.85, 1.0
"""How many of the last executions show how busy the machine is now, the weight of one in relation to the next, and the
weight of the assumption that it is as busy as ever."""
_ROUNDS = 12


class StepWork(msgspec.Struct, frozen=True, kw_only=True):
    """What one step has to do."""

    step: str
    amounts: Mapping[str, float] = {}
    """Names as in ``priors`` to numbers."""
    subject: str = ""
    """What is done, if its own past says more than the amounts."""


class StepRates(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of one step, and the executions that they were learned from, the latest last."""

    seconds: Mapping[str, float]
    """Seconds for one unit of each amount."""
    observations: tuple[StepObservation, ...] = ()


Rates = Mapping[str, StepRates]
"""By step."""


class StepEstimates(msgspec.Struct, frozen=True, kw_only=True):
    """Predicted seconds of the steps of some work, and of all of it together."""

    steps: Mapping[str, float]
    """Time of transfers is that of ``download``, whichever step they are part of."""
    samples: Mapping[str, int]
    """Executions that each prediction rests on."""
    seconds: float


def usual_rates() -> Rates:
    """Return the rates of a machine that nothing is known of."""
    return {step: StepRates(seconds=seconds) for step, seconds in PRIORS.items()}


def predict(work: Iterable[StepWork], rates: Rates) -> StepEstimates:
    """Return how long ``work`` will take. Steps that are not known count nothing. Work of the step ``TOTAL`` has what
    is to be done beside the others."""
    steps: dict[str, float] = {}
    samples: dict[str, int] = {}
    beside: dict[str, float] = {}
    for each in work:
        known = rates.get(each.step)
        if each.step == TOTAL:
            beside.update(each.amounts)
        if known is None or each.step == TOTAL:
            continue
        shares = _predict_shares(each, known)
        transfer = sum(shares.get(name, 0.0) for name in DOWNLOADS)
        steps[each.step] = steps.get(each.step, 0.0) + sum(shares.values()) - transfer
        samples[each.step] = len(known.observations)
        if any(name in known.seconds for name in DOWNLOADS):
            steps["download"] = steps.get("download", 0.0) + transfer
            samples["download"] = min(samples.get("download", REMEMBERED), samples[each.step])
    together = StepWork(step=TOTAL, amounts={**beside, "steps": sum(steps.values())})
    total = sum(_predict_shares(together, rates[TOTAL]).values()) if TOTAL in rates else sum(steps.values())
    return StepEstimates(steps=steps, samples=samples, seconds=total if steps else 0.0)


def predict_step(work: StepWork, rates: Rates) -> float | None:
    """Return the seconds of one step with all its transfers; ``None`` if the step is not known."""
    known = rates.get(work.step)
    return sum(_predict_shares(work, known).values()) if known is not None else None


def learn(rates: Rates, observations: Iterable[StepObservation]) -> Rates:
    """Return the rates with what was observed. What can't be true is ignored."""
    added: dict[str, list[StepObservation]] = {}
    for each in observations:
        if is_plausible(each):
            added.setdefault(each.step, []).append(each)
    learned = {}
    for step, new in added.items():
        old = rates[step].observations if step in rates else ()
        latest = (*old, *new)[-REMEMBERED:]
        learned[step] = StepRates(seconds=_fit(PRIORS[step], latest), observations=latest)
    return {**rates, **learned}


def is_plausible(observation: StepObservation) -> bool:
    """Return whether an observation can be true, and is of a known step."""
    values = observation.amounts.values()
    return (
        observation.step in PRIORS
        and _SHORTEST <= observation.seconds <= _LONGEST
        and all(0.0 <= value <= _MOST for value in values)
    )


def _predict_shares(work: StepWork, known: StepRates) -> dict[str, float]:
    """Return the seconds of each amount of work."""
    shares = {name: rate * _amount(work.amounts, name) for name, rate in known.seconds.items()}
    factor = _find_subject_factor(work.subject, known) if work.subject else 1.0
    return {name: seconds * factor for name, seconds in shares.items()}


def _find_subject_factor(subject: str, known: StepRates) -> float:
    """Return how much longer than others of the same amounts ``subject`` took; 1 if it was not seen."""
    ratios = []
    for weight, each in _weigh(known.observations):
        predicted = sum(rate * _amount(each.amounts, name) for name, rate in known.seconds.items())
        if each.subject == subject and predicted > 0:
            ratios.append((each.seconds / predicted, weight))
    return _weighted_median([*ratios, (1.0, _PRIOR_WEIGHT * 0.5)]) if ratios else 1.0


def _amount(amounts: Mapping[str, float], name: str) -> float:
    value = 1.0 if name == FIXED else amounts.get(name, 0.0)
    return min(max(value, 0.0), _MOST) if math.isfinite(value) else 0.0


def _weigh(observations: Sequence[StepObservation]) -> list[tuple[float, StepObservation]]:
    last = len(observations) - 1
    return [(_FADING ** (last - number), each) for number, each in enumerate(observations)]


def _weighted_median(values: Iterable[tuple[float, float]]) -> float:
    """Return the median of (value, weight)."""
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    passed = 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= half:
            return value
    return ordered[-1][0]


def _fit(usual: Mapping[str, float], observations: Sequence[StepObservation]) -> dict[str, float]:
    """Return the rates that fit the observations best: each in proportion to its usual one, found by least squares that
    are weighted anew in every round (iteratively reweighted least squares for absolute errors)."""
    exact = {name: rate for name, rate in usual.items() if name in EXACT}
    names = [name for name in usual if name not in EXACT]
    rows = [
        _Row(
            parts=[usual[name] * _amount(each.amounts, name) for name in names],
            known=sum(rate * _amount(each.amounts, name) for name, rate in exact.items()),
            seconds=each.seconds,
            weight=weight,
        )
        for weight, each in _weigh(observations)
    ]
    ratios = [(max((row.seconds - row.known) / sum(row.parts), _LEAST), row.weight) for row in rows]
    speed = _weighted_median([*ratios, (1.0, _PRIOR_WEIGHT)])
    factors = [speed] * len(names)
    for _ in range(_ROUNDS):
        factors = _improve(factors, rows, speed)
    # What is beside exact amounts is too small a part to tell how busy the machine is.
    now = 1.0 if exact else _find_trend(rows[-_RECENT:], factors)
    return {**{name: usual[name] * factor * now for name, factor in zip(names, factors, strict=True)}, **exact}


class _Row(NamedTuple):
    """One execution: what it takes for each amount at the usual rates, and of those that are exact together."""

    parts: list[float]
    known: float
    seconds: float
    weight: float

    def predict(self, factors: Sequence[float]) -> float:
        return self.known + sum(part * factor for part, factor in zip(self.parts, factors, strict=True))


def _find_trend(rows: Sequence[_Row], factors: Sequence[float]) -> float:
    """Return how much longer the last executions took than the rates say: a machine that has become busy, or is no
    longer, shows in most of them, and one busy moment in one."""
    ratios = []
    for number, row in enumerate(rows):
        ratios.append((row.seconds / row.predict(factors), _RECENT_FADING ** (len(rows) - 1 - number)))
    return _weighted_median([*ratios, (1.0, _TREND_DOUBT)])


def _improve(factors: Sequence[float], rows: Sequence[_Row], speed: float) -> list[float]:
    count = len(factors)
    matrix = [[_STIFFNESS / speed**2 if row == column else 0.0 for column in range(count)] for row in range(count)]
    target = [_STIFFNESS / speed] * count
    for each in rows:
        predicted, parts = each.predict(factors), each.parts
        # Relative to the greater of the two: neither a very long nor a very short execution counts more than others.
        scale = max(predicted, each.seconds)
        counted = each.weight / max(abs(predicted - each.seconds) / scale, 0.05) / scale**2
        for row in range(count):
            if parts[row]:
                share = counted * parts[row]
                target[row] += share * (each.seconds - each.known)
                for column in range(count):
                    matrix[row][column] += share * parts[column]
    return _solve_bounded(matrix, target, factors, speed * _LEAST)


def _solve_bounded(
    matrix: Sequence[Sequence[float]], target: Sequence[float], start: Sequence[float], least: float
) -> list[float]:
    """Return the minimum of a convex quadratic form, with every value at least ``least`` (coordinate descent)."""
    found = list(start)
    for _ in range(40):
        moved = 0.0
        for row, coefficients in enumerate(matrix):
            others = sum(coefficients[column] * found[column] for column in range(len(found)) if column != row)
            value = max(least, (target[row] - others) / coefficients[row])
            moved = max(moved, abs(value - found[row]))
            found[row] = value
        if moved <= least * 1e-3:
            break
    return found
