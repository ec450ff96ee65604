"""Plans of definitions with a project: what is left of its layer, and why."""

from __future__ import annotations

from itertools import product

import pytest

from roost.daemon.decision.decide import decide
from roost.daemon.decision.facts import Facts, Request
from roost.model.definition import Definition, Pip, PipItem
from roost.model.records import Artifact, Generation
from roost.wire.plans import PlanView, Reason

DEFINITION = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text="leaf"),)))
GENERATION = Generation(
    definition_digest="sha256:d", platform="linux-64", number=1, lock_digest="sha256:1", created="2026-01-01"
)
LAYER = Artifact(
    id="p-1",
    kind="prefix",
    key="sha256:2",
    platform="linux-64",
    state="ready",
    path="/root/prefixes/2",
    lease_path="/root/prefixes/2.lease",
    created="2026",
    last_used="2026",
)


def plan(project: str | None = "demo", *, rebuild: bool = False, known: bool = True, **facts: object) -> PlanView:
    if known:
        facts |= {"generation": GENERATION, "lock_digest": GENERATION.lock_digest}
    request = Request(definition=DEFINITION, rebuild=rebuild)
    return decide(request, Facts(platform="linux-64", project=project, **facts))  # type: ignore[arg-type]


def codes(view: PlanView) -> list[str]:
    return [reason.code for reason in view.reasons]


def test_a_ready_layer_is_used() -> None:
    view = plan(prefix=LAYER)
    assert (view.action, view.steps, "project-missing" in codes(view)) == ("reuse-prefix", [], False)


@pytest.mark.parametrize("has_base", [True, False])
def test_of_a_recorded_lock_only_the_project_is_missing(has_base: bool) -> None:
    view = plan(has_base_prefix=has_base)
    assert (view.action, codes(view)) == ("build-prefix", ["definition-known", "project-missing"])
    assert "runs its build backend" in view.reasons[-1].message
    assert [step.kind for step in view.steps][-3:] == ["project", "bytecode", "publish"]


@pytest.mark.parametrize(("known", "rebuild", "drifts"), [*product([True, False], repeat=3)])
def test_whoever_runs_a_backend_is_told(known: bool, rebuild: bool, drifts: bool) -> None:
    drift = Reason(code="prefix-drift", message="it has changed") if drifts else None
    facts = {"prefix": LAYER, "prefix_drift": drift} if known else {}
    view = plan(known=known, rebuild=rebuild, **facts)
    runs = view.action == "build-prefix"
    assert ("project-missing" in codes(view)) == runs
    assert ("project" in [step.kind for step in view.steps]) == runs
    without = plan(None, known=known, rebuild=rebuild, **facts)
    assert "project-missing" not in codes(without)
    assert "project" not in [step.kind for step in without.steps]
