"""The decision, case by case; what holds for all cases is in tests/property/test_decide_properties.py."""

from __future__ import annotations

import pytest

from roost.client.wire import Reason
from roost.daemon.decide import Facts, ImageNeededError, NoSuchTargetError, Request, decide
from roost.store.definition import Base, Conda, Definition, Pip, PipItem, Python
from roost.store.records import Artifact, Estimate, Generation

LOCK = "sha256:" + "ab" * 32
CONDA = Definition(conda=Conda(dependencies=("numpy",)))
PIP = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text="six"),)))
GENERATION = Generation(
    definition_digest="sha256:" + "00" * 32,
    platform="linux-64",
    number=3,
    lock_digest=LOCK,
    created="2026-01-02T03:04:05Z",
)
PREFIX = Artifact(
    id="p-1", kind="prefix", key=LOCK, platform="linux-64", state="ready", path="/r/prefixes/ab-1", bytes=9
)


def known(**changes: object) -> Facts:
    facts = {"platform": "linux-64", "definition_known": True, "generation": GENERATION, "lock_digest": LOCK}
    return Facts(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_ready_prefix_is_reused_and_named() -> None:
    plan = decide(Request(definition=CONDA), known(prefix=PREFIX))
    assert plan.action == "reuse-prefix"
    assert plan.artifact is not None
    assert (plan.artifact.id, plan.artifact.path, plan.artifact.digest) == ("p-1", "/r/prefixes/ab-1", LOCK)
    assert plan.steps == []
    assert [reason.code for reason in plan.reasons] == ["definition-known", "prefix-ready"]
    assert "generation 3" in plan.reasons[0].message


def test_an_unknown_definition_is_solved_and_built_with_estimates() -> None:
    past = {"solve": Estimate(step="solve", seconds=1.5, bytes=None, samples=4)}
    plan = decide(Request(definition=CONDA), Facts(platform="linux-64", estimates=past))
    assert plan.action == "build-prefix"
    assert [reason.code for reason in plan.reasons] == ["definition-unknown"]
    kinds = [step.kind for step in plan.steps]
    assert kinds == ["solve", "download", "link", "bytecode", "publish"]
    assert plan.steps[0].seconds == 1.5


def test_a_known_lock_without_a_prefix_is_built_without_a_solve() -> None:
    plan = decide(Request(definition=PIP), known())
    assert plan.action == "build-prefix"
    assert [reason.code for reason in plan.reasons] == ["definition-known", "prefix-missing"]
    assert [step.kind for step in plan.steps] == ["pip", "bytecode", "publish"]


def test_a_drifted_prefix_is_rebuilt_and_says_what_changed() -> None:
    fault = Reason(code="prefix-drifted", message="/r/prefixes/ab-1/bin/python is gone")
    plan = decide(Request(definition=CONDA), known(prefix=PREFIX, prefix_fault=fault))
    assert plan.action == "build-prefix"
    assert plan.reasons[-1] == fault


@pytest.mark.parametrize("asked", [{"rebuild": True}, {"as_of": "2020-07-08"}])
def test_a_new_generation_is_built_though_a_prefix_is_ready(asked: dict[str, object]) -> None:
    plan = decide(Request(definition=CONDA, **asked), known(prefix=PREFIX))  # type: ignore[arg-type]
    assert plan.action == "build-prefix"
    assert "generation 4" in plan.reasons[0].message
    assert plan.steps[0].kind == "solve"


def test_user_managed_uses_the_interpreter_and_builds_nothing() -> None:
    definition = Definition(python=Python(user_managed=True, interpreter="/opt/py/bin/python"), conda=CONDA.conda)
    plan = decide(
        Request(definition=definition),
        Facts(platform="linux-64", interpreter={"path": "/opt/py/bin/python", "version": "3.11.7"}),
    )
    assert plan.action == "use-interpreter"
    assert plan.steps == []
    assert "3.11.7" in plan.reasons[0].message


def test_local_refuses_to_drop_docker_steps_unless_told_to() -> None:
    definition = Definition(base=Base(image="debian:12", steps=("RUN true",)), conda=CONDA.conda)
    with pytest.raises(ImageNeededError) as refused:
        decide(Request(definition=definition, target="local"), known(prefix=PREFIX))
    assert "--ignore-image" in refused.value.hint
    told = Request(definition=definition, target="local", ignore_image=True)
    assert decide(told, known(prefix=PREFIX)).action == "reuse-prefix"


def test_an_unknown_target_is_not_found() -> None:
    with pytest.raises(NoSuchTargetError) as refused:
        decide(Request(definition=CONDA, target="moon"), known())
    assert refused.value.exit_status == 7
