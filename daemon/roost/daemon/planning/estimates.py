"""Estimates in plans: what is left to do by the facts of a plan, and once the lock is known."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from roost.daemon.decision.facts import Facts, Request
from roost.daemon.decision.images import adds_packages, follows_moved_base, has_docker_steps, preferred_location
from roost.daemon.decision.lock import LOCK_STEPS, estimated_step, has_to_check
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.estimates.estimator import Estimator, gather_image_work, gather_prefix_work, list_estimates
from roost.daemon.estimates.model import StepWork
from roost.daemon.estimates.work import LockWork, base_work, check_work, layer_work, solve_work, whole_work
from roost.daemon.images.layer_probe import LayerProbe
from roost.daemon.oci.answers import Yes
from roost.daemon.projects.layer import add_project
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Estimate
from roost.store.index.index import Index
from roost.wire.plans import PlanView

_IMAGE_STEPS = ("base", "docker-steps", "download", "layers", "load")


class PlanEstimates:
    """Predicts what plans say, by one index."""

    def __init__(self, index: Index, layers: LayerProbe) -> None:
        self._index = index
        self._layers = layers
        self._estimator = Estimator(index)

    async def complete(
        self,
        facts: Facts,
        resolved: TargetedDefinition,
        request: Request,
        lock: Lock | None,
        *,
        publishes: bool = False,
    ) -> Facts:
        """Return ``facts`` with the estimates of what they leave to do. ``lock``: that of the facts, if it was read.
        ``publishes``: a lock without a generation will be published."""
        is_new = request.rebuild or request.as_of is not None
        if not is_new and _is_ready(facts, resolved):
            return facts
        if is_new or facts.lock_digest is None:  # what comes after the solve is not known before it
            predicted = await self._estimator.predict(solve_work(resolved.definition))
            return msgspec.structs.replace(facts, estimates=list_estimates(predicted))
        lock = lock or await self._index.locks.find(facts.lock_digest)
        if lock is None:
            return facts
        checks = (check_work(lock),) if has_to_check(facts) else ()
        beside = whole_work(shares_lock=publishes and facts.generation is None and not checks)
        return await self._estimate_lock(facts, resolved, lock, others=(*checks, beside))

    async def update_plan(
        self,
        plan: PlanView,
        facts: Facts,
        resolved: TargetedDefinition,
        lock: Lock,
        push: str | None,
        *,
        shares_lock: bool,
    ) -> PlanView:
        """Return the plan of a build whose lock is known now: the steps that are left, with their estimates.

        ``push``: the location of the registry that an image is for, and not the engine. ``shares_lock``: the lock is
        published in a registry.
        """
        if plan.action not in ("build-prefix", "build-image"):
            return plan
        ready = await self._index.artifacts.find_ready("prefix", digest_lock(lock))
        facts = msgspec.structs.replace(facts, has_base_prefix=ready is not None, generation=None)
        if ready is not None and resolved.project is None and not resolved.is_image:
            return msgspec.structs.replace(plan, steps=[], seconds=0.0)
        known = await self._estimate_lock(facts, resolved, lock, push, others=[whole_work(shares_lock=shares_lock)])
        kinds = [step.kind for step in plan.steps if step.kind not in LOCK_STEPS]
        kinds = [kind if kind != "load" or push is None else "push" for kind in kinds]
        steps = [estimated_step(kind, known) for kind in kinds]
        return msgspec.structs.replace(plan, steps=steps, seconds=known.seconds)

    async def record_total(self, worked: float, seconds: float, *, shares_lock: bool) -> None:
        """Learn how long a build took as a whole whose steps took ``worked`` seconds."""
        await self._estimator.record_total(worked, seconds, shares_lock=shares_lock)

    async def _estimate_lock(
        self,
        facts: Facts,
        resolved: TargetedDefinition,
        lock: Lock,
        push: str | None = None,
        *,
        others: Sequence[StepWork] = (),
    ) -> Facts:
        """``others``: work that is not of the lock itself."""
        if resolved.is_image:
            found = await self._find_image_work(facts, resolved, lock, push)
        else:
            found = await self._find_prefix_work(facts, resolved, lock)
        predicted = await self._estimator.predict((*others, *found.steps))
        # A step of an image that has nothing to do takes no time.
        done = _IMAGE_STEPS if resolved.is_image else ()
        idle = {kind: Estimate(step=kind, seconds=0.0, bytes=None, samples=0) for kind in done}
        estimates = idle | list_estimates(predicted, found)
        location = preferred_location(facts.image)
        if location is not None:
            pulled = await self._estimator.predict([await self._layers.find_pull_work(location.layers)])
            estimates |= list_estimates(pulled)
        return msgspec.structs.replace(facts, estimates=estimates, seconds=round(predicted.seconds, 3))

    async def _find_prefix_work(self, facts: Facts, resolved: TargetedDefinition, lock: Lock) -> LockWork:
        layer = add_project(lock, resolved.project) if resolved.project is not None else None
        if layer is None or facts.only_project_missing:
            return await gather_prefix_work(self._index, layer or lock)
        found = await gather_prefix_work(self._index, lock)
        return msgspec.structs.replace(found, steps=(*found.steps, *layer_work(found, layer)))

    async def _find_image_work(
        self, facts: Facts, resolved: TargetedDefinition, lock: Lock, push: str | None
    ) -> LockWork:
        """Return the work of an image, with that of its base unless the generation has one. What docker steps will make
        is not known before they ran."""
        definition, generation = resolved.definition, facts.generation
        if generation is not None and (generation.base_digest is None or follows_moved_base(generation, facts.image)):
            generation = None
        has_steps, top = has_docker_steps(definition), None
        if generation is not None or not has_steps:
            text = (definition.base.image if definition.base else None) or resolved.defaults.base_image
            top = await self._layers.find_likely_base(generation, text)
        planned = await self._layers.plan_layers(lock, top, adds_packages=adds_packages(definition))
        missing = await self._layers.find_missing(planned)
        found = await gather_image_work(self._index, lock, missing)
        steps = [*(base_work(definition.base, has_steps) if generation is None else ()), *found.steps]
        if push is not None:
            steps = [step for step in steps if step.step != "load"]
            steps.append(await self._layers.find_push_work(planned, push))
        return msgspec.structs.replace(found, steps=tuple(steps))


def _is_ready(facts: Facts, resolved: TargetedDefinition) -> bool:
    if resolved.is_image:
        return isinstance(facts.image.engine, Yes)
    return facts.prefix is not None and facts.prefix_drift is None
