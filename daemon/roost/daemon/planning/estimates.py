"""Estimates in plans: what is left to do by the facts of a plan, and once the lock is known."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import Facts, Request
from roost.daemon.decision.images import adds_packages, has_docker_steps, preferred_location
from roost.daemon.decision.lock import SOLVE_STEPS, estimated_step
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.estimates.estimator import Estimator, gather_prefix_work, list_estimates
from roost.daemon.estimates.model import StepWork
from roost.daemon.estimates.work import LockWork, base_work, image_work, layer_work, pull_work, solve_work
from roost.daemon.oci.answers import Yes
from roost.daemon.projects.layer import add_project
from roost.model.locks.lock import Lock, digest_lock
from roost.store.index.index import Index
from roost.wire.plans import PlanView


class PlanEstimates:
    """Predicts what plans say, by one index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._estimator = Estimator(index)

    async def complete(self, facts: Facts, resolved: TargetedDefinition, request: Request, lock: Lock | None) -> Facts:
        """Return ``facts`` with the estimates of what they leave to do. ``lock``: that of the facts, if it was read."""
        is_new = request.rebuild or request.as_of is not None
        if not is_new and _is_ready(facts, resolved):
            return facts
        if is_new or facts.lock_digest is None:  # what comes after the solve is not known before it
            predicted = await self._estimator.predict(solve_work(resolved.definition))
            return msgspec.structs.replace(facts, estimates=list_estimates(predicted))
        lock = lock or await self._index.locks.find(facts.lock_digest)
        return facts if lock is None else await self._estimate_lock(facts, resolved, lock)

    async def update_plan(self, plan: PlanView, facts: Facts, resolved: TargetedDefinition, lock: Lock) -> PlanView:
        """Return the plan of a build whose lock is known now: the steps that are left, with their estimates."""
        if plan.action not in ("build-prefix", "build-image"):
            return plan
        ready = await self._index.artifacts.find_ready("prefix", digest_lock(lock))
        facts = msgspec.structs.replace(facts, has_base_prefix=ready is not None, generation=None)
        if ready is not None and resolved.project is None and not resolved.is_image:
            return msgspec.structs.replace(plan, steps=[], seconds=0.0)
        known = await self._estimate_lock(facts, resolved, lock)
        steps = [estimated_step(step.kind, known) for step in plan.steps if step.kind not in SOLVE_STEPS]
        return msgspec.structs.replace(plan, steps=steps, seconds=known.seconds)

    async def record_total(self, worked: float, seconds: float) -> None:
        """Learn how long a build took as a whole whose steps took ``worked`` seconds."""
        await self._estimator.record_total(worked, seconds)

    async def _estimate_lock(self, facts: Facts, resolved: TargetedDefinition, lock: Lock) -> Facts:
        layer = add_project(lock, resolved.project) if resolved.project is not None else None
        found = await gather_prefix_work(self._index, layer if layer and facts.only_project_missing else lock)
        work = _image_steps(resolved, lock, found) if resolved.is_image else found.steps
        if layer is not None and not facts.only_project_missing:
            work = (*work, *layer_work(found, layer))
        predicted = await self._estimator.predict(work)
        estimates = list_estimates(predicted, found)
        location = preferred_location(facts.image)
        if location is not None:
            pulled = await self._estimator.predict([pull_work(location.bytes)])
            estimates |= list_estimates(pulled)
        return msgspec.structs.replace(facts, estimates=estimates, seconds=round(predicted.seconds, 3))


def _is_ready(facts: Facts, resolved: TargetedDefinition) -> bool:
    if resolved.is_image:
        return isinstance(facts.image.engine, Yes)
    return facts.prefix is not None and facts.prefix_drift is None


def _image_steps(resolved: TargetedDefinition, lock: Lock, found: LockWork) -> tuple[StepWork, ...]:
    definition = resolved.definition
    base = base_work(definition.base, has_docker_steps(definition))
    return (*base, *image_work(lock, found if adds_packages(definition) else None))
