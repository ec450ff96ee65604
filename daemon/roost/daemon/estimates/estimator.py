"""Estimates with what the index knows: the caches' content, and the durations of past steps."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress

from roost.daemon.estimates.model import Rates, StepEstimates, StepWork, learn, predict, usual_rates
from roost.daemon.estimates.priors import TOTAL
from roost.daemon.estimates.work import (
    LockWork,
    MissingLayers,
    image_work,
    list_cache_ids,
    prefix_work,
    whole_work,
)
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.records import Estimate, StepObservation
from roost.store.index.cache_keys import list_cache_keys
from roost.store.index.index import Index

_LATER_SECONDS = 0.5
"""After a build: the command that it was made for starts first."""


class Estimator:
    """Predicts by the rates of one machine. They are fitted anew when durations were added to the index: those of each
    step before it is predicted, and all of them some time after a build, so that the next one finds that done."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._rates: Rates = usual_rates()
        self._last = 0
        """Number of the latest duration that was read."""
        self._unlearned: list[StepObservation] = []
        self._learning: asyncio.Task[None] | None = None

    async def load_rates(self, steps: Collection[str] | None = None) -> Rates:
        """Return the rates: those of ``steps`` as of now, of all if it is ``None``."""
        new = await self._index.durations.list_since(self._last)
        if new and new[-1][0] > self._last:  # else somebody has read them meanwhile
            self._unlearned += [observation for number, observation in new if number > self._last]
            self._last = new[-1][0]
        wanted = [each for each in self._unlearned if steps is None or each.step in steps]
        if wanted:
            self._unlearned = [each for each in self._unlearned if steps is not None and each.step not in steps]
            self._rates = learn(self._rates, wanted)
        return self._rates

    async def predict(self, work: Sequence[StepWork]) -> StepEstimates:
        """Return how long ``work`` will take on this machine."""
        return predict(work, await self.load_rates({TOTAL, *(each.step for each in work)}))

    async def record_total(self, worked: float, seconds: float, *, shares_lock: bool) -> None:
        """Learn how long something took as a whole whose steps took ``worked`` seconds."""
        amounts = {"steps": worked, **whole_work(shares_lock=shares_lock).amounts}
        await self._index.durations.record(StepObservation(step=TOTAL, seconds=seconds, amounts=amounts))
        if self._learning is None or self._learning.done():
            self._learning = asyncio.create_task(self._learn_later())

    async def _learn_later(self) -> None:
        await asyncio.sleep(_LATER_SECONDS)
        with suppress(CodedError, ValueError):  # the index has been closed
            await self.load_rates()


async def gather_prefix_work(index: Index, lock: Lock) -> LockWork:
    """Return what making a prefix of ``lock`` means now, by what the index says is in the caches."""
    return prefix_work(lock, await index.caches.find(list_cache_keys(lock), list_cache_ids(lock)))


async def gather_image_work(index: Index, lock: Lock, missing: MissingLayers) -> LockWork:
    """Return what making an image of ``lock`` means now, by what the index says is in the caches."""
    return image_work(lock, await index.caches.find(list_cache_keys(lock), list_cache_ids(lock)), missing)


def list_estimates(predicted: StepEstimates, work: LockWork | None = None) -> dict[str, Estimate]:
    """Return the estimates by step, with the amounts of work that are shown."""
    found = {
        step: Estimate(step=step, seconds=round(seconds, 3), bytes=None, samples=predicted.samples.get(step, 0))
        for step, seconds in predicted.steps.items()
    }
    return found if work is None else {**found, **_add_amounts(found, work)}


def _add_amounts(found: dict[str, Estimate], work: LockWork) -> dict[str, Estimate]:
    amounts = {each.step: each.amounts for each in work.steps}
    shown = {}
    for step, estimate in found.items():
        has = amounts.get(step, {})
        shown[step] = Estimate(
            step=step,
            seconds=estimate.seconds,
            bytes=work.download_bytes if step == "download" else None,
            samples=estimate.samples,
            files=round(has["compiled"]) if "compiled" in has else None,
            packages=round(has["packages"]) if step in ("link", "pip", "layers") and "packages" in has else None,
        )
    return shown
