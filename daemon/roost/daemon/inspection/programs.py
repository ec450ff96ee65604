"""Where an environment is: its prefix or interpreter, or its image. Builds nothing."""

from __future__ import annotations

from roost.daemon.decision.facts import IMAGE_TARGETS, Request
from roost.daemon.decision.images import adds_packages
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.daemon.planning.planner import Planner, PlanWithFacts
from roost.daemon.runs.starts import container_launch, local_launch
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import LookupFailedError
from roost.wire.inspection.programs import WhichRequest, WhichView


class NotBuiltError(LookupFailedError):
    """An environment that is not ready has no place."""

    code = "not-built"


async def find_place(resolver: EnvironmentResolver, planner: Planner, body: WhichRequest) -> WhichView:
    """Return where an environment is. Raises NotBuiltError if it is not ready, and what planning raises."""
    found = await resolver.resolve(body.what)
    request = Request(definition=found.definition, target=body.target, ignore_image=body.what.ignore_image)
    resolved, selector = await resolver.target(found, request, body.what)
    planned = await planner.plan(resolved, request, selector)
    if planned.plan.target in IMAGE_TARGETS:
        return _describe_image(resolved, planned)
    launch = local_launch(resolved, planned)
    if launch is None:
        raise _not_built(resolved, planned)
    return WhichView(
        target=planned.plan.target,
        launch=launch,
        image=None,
        interpreter=None,
        environment=None,
        source=resolved.source,
        warnings=resolved.warnings,
    )


def _describe_image(resolved: TargetedDefinition, planned: PlanWithFacts) -> WhichView:
    launch = container_launch(resolved, planned)
    if launch is None:
        raise _not_built(resolved, planned)
    artifact = planned.plan.artifact
    has_packages = planned.unmodified_image is None and adds_packages(resolved.definition)
    return WhichView(
        target=planned.plan.target,
        launch=None,
        image=(artifact.reference if artifact else None) or launch.image,
        interpreter=launch.interpreter,
        environment=PREFIX_IN_IMAGE if has_packages else None,
        source=resolved.source,
        warnings=resolved.warnings,
    )


def _not_built(resolved: TargetedDefinition, planned: PlanWithFacts) -> NotBuiltError:
    origin = resolved.source.path or resolved.source.name or "This environment"
    target = planned.plan.target
    option = f" -t {target}" if target in IMAGE_TARGETS else ""
    drifted = [reason.message for reason in planned.plan.reasons if reason.code == "prefix-drifted"]
    state = f"has to be built again: {drifted[0]}" if drifted else "is not built yet"
    return NotBuiltError(
        f"{origin} {state} (target {target}, {resolved.platform})",
        hint=f"`roost build{option}` with the same options builds it; `roost run` does so by itself.",
        fields={"definition_digest": resolved.digest, "action": planned.plan.action},
    )
