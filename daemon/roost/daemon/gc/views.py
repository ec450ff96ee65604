"""Collections as the protocol has them: pure."""

from __future__ import annotations

import msgspec

from roost.daemon.gc.collector import Collection, PlannedCollection, StepResult
from roost.daemon.gc.values import CollectionLimits, CollectionStep, Remainder
from roost.wire.collection import (
    CollectionLimitsView,
    CollectionStepView,
    CollectionView,
    NextCollectionView,
    RemainderView,
)


def view_plan(planned: PlannedCollection, upcoming: NextCollectionView) -> CollectionView:
    """Return a plan of which nothing is done."""
    plan = planned.plan
    return CollectionView(
        dry_run=True,
        limits=_view_limits(planned.limits),
        used_bytes=plan.used_bytes,
        image_bytes=plan.image_bytes,
        free_bytes=plan.free_bytes,
        disk_bytes=planned.disk.total,
        steps=[_view_step(step) for step in plan.steps],
        kept=[_view_remainder(each) for each in plan.kept],
        freed_bytes=plan.freed_bytes,
        freed_image_bytes=plan.freed_image_bytes,
        missing_bytes=plan.missing_bytes,
        missing_image_bytes=plan.missing_image_bytes,
        next=upcoming,
    )


def view_collection(collection: Collection, upcoming: NextCollectionView) -> CollectionView:
    """Return a collection that has ended."""
    view = view_plan(collection.planned, upcoming)
    removed = [result for result in collection.results if not result.kept]
    return msgspec.structs.replace(
        view,
        dry_run=False,
        steps=[view_result(result) for result in collection.results],
        freed_bytes=sum(result.freed for result in removed if result.step.kind != "image"),
        freed_image_bytes=sum(result.freed for result in removed if result.step.kind == "image"),
        missing_bytes=collection.missing_bytes,
        missing_image_bytes=collection.missing_image_bytes,
    )


def view_result(result: StepResult) -> CollectionStepView:
    """Return a step that was tried."""
    view = _view_step(result.step)
    if result.kept:
        return msgspec.structs.replace(view, state="kept", reason=result.kept, bytes=0)
    return msgspec.structs.replace(view, state="removed", bytes=result.freed)


def _view_limits(limits: CollectionLimits) -> CollectionLimitsView:
    names = CollectionLimitsView.__struct_fields__
    return CollectionLimitsView(**{name: getattr(limits, name) for name in names})


def _view_step(step: CollectionStep) -> CollectionStepView:
    return CollectionStepView(**msgspec.structs.asdict(step))


def _view_remainder(remainder: Remainder) -> RemainderView:
    return RemainderView(**msgspec.structs.asdict(remainder))
