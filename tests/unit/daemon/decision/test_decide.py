"""The decision, case by case; what holds for all cases is in tests/property/test_decide_properties.py."""

from __future__ import annotations

import msgspec
import pytest

from roost.daemon.decision.decide import ImageNeededError, NoSuchTargetError, decide
from roost.daemon.decision.facts import Facts, ImageFacts, ImageLocation, Request
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.model.definition import Base, Conda, Definition, Pip, PipItem, Python
from roost.model.records import Artifact, Estimate, Generation
from roost.wire.plans import PlanView, Reason

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
    assert "Generation 3" in plan.reasons[0].message


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
    assert [step.kind for step in plan.steps] == ["download", "pip", "bytecode", "publish"]


def test_a_drifted_prefix_is_rebuilt_and_says_what_changed() -> None:
    fault = Reason(code="prefix-drifted", message="/r/prefixes/ab-1/bin/python no longer exists")
    plan = decide(Request(definition=CONDA), known(prefix=PREFIX, prefix_drift=fault))
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


# -- images ------------------------------------------------------------------------------------------------------------

IMAGE_STEPS = ("base", "download", "layers", "load")
IMAGE = Definition(base=Base(image="debian:12"), conda=CONDA.conda)
STEPS = Definition(base=Base(image="debian:12", steps=("RUN true",)), conda=CONDA.conda)
CONFIG = "sha256:" + "cd" * 32
HERE = Yes(ImageLocation(reference="roost/train:0123456789ab", digest=CONFIG, bytes=900))
THERE = Yes(ImageLocation(reference="reg:5000/team/images:k1", digest=CONFIG, manifest_digest=LOCK, bytes=500))
CURATED = Yes(ImageLocation(reference="catalogue:5000/images:k1", digest=CONFIG, manifest_digest=LOCK, bytes=500))
LOST = Unknown(Reason(code="registry-unreachable", message="reg:5000 answered 503"))


def imaged(**changes: object) -> Facts:
    image = ImageFacts(**{"key": "sha256:" + "11" * 32, "id": "i-1", "engine": No(), **changes})  # type: ignore[arg-type]
    return known(generation=msgspec.structs.replace(GENERATION, base_digest="sha256:" + "ba" * 32), image=image)


def codes(plan: PlanView) -> list[str]:
    return [reason.code for reason in plan.reasons]


def test_an_image_in_the_engine_is_reused_and_registries_play_no_part() -> None:
    plan = decide(Request(definition=IMAGE), imaged(engine=HERE, workspace=LOST))
    assert (plan.target, plan.action, plan.steps) == ("docker", "reuse-image", [])
    assert plan.artifact is not None
    assert (plan.artifact.id, plan.artifact.reference, plan.artifact.digest) == ("i-1", HERE.value.reference, CONFIG)
    assert codes(plan) == ["definition-known", "image-ready"]


@pytest.mark.parametrize(
    ("workspace", "catalogues", "reference", "code"),
    [
        (THERE, (CURATED,), "reg:5000/team/images:k1", "image-in-registry"),
        (No(), (No(), CURATED), "catalogue:5000/images:k1", "image-in-catalogue"),
        (LOST, (CURATED,), "catalogue:5000/images:k1", "image-in-catalogue"),
    ],
)
def test_what_the_engine_lacks_is_pulled_from_the_workspace_before_the_global_ones(
    workspace: Answer[ImageLocation], catalogues: tuple[Answer[ImageLocation], ...], reference: str, code: str
) -> None:
    plan = decide(Request(definition=IMAGE), imaged(workspace=workspace, catalogues=catalogues))
    assert plan.action == "pull-image"
    assert plan.artifact is not None
    assert (plan.artifact.reference, plan.artifact.manifest_digest) == (reference, LOCK)
    assert [(step.kind, step.bytes) for step in plan.steps] == [("pull", 500)]
    assert codes(plan)[-1] == code
    assert ("registry-unknown" in codes(plan)) == (workspace is LOST)


def test_what_is_nowhere_is_built_in_two_steps_and_an_unknown_registry_is_named() -> None:
    plan = decide(Request(definition=STEPS), imaged(workspace=LOST, catalogues=(No(),)))
    assert plan.action == "build-image"
    assert [step.kind for step in plan.steps] == ["base", "docker-steps", "download", "layers", "load"]
    assert codes(plan) == ["definition-known", "image-missing", "registry-unknown"]
    assert "503" in plan.reasons[-1].message


def test_a_lock_without_an_image_yet_gets_one_without_a_solve() -> None:
    plan = decide(Request(definition=CONDA, target="docker"), known(image=ImageFacts()))
    assert plan.action == "build-image"
    assert [step.kind for step in plan.steps] == ["base", "download", "layers", "load"]
    assert codes(plan) == ["definition-known", "image-unknown"]


def test_user_managed_images_get_no_layers_and_no_solve() -> None:
    definition = Definition(base=IMAGE.base, python=Python(user_managed=True), conda=CONDA.conda)
    plan = decide(Request(definition=definition), Facts(platform="linux-64"))
    assert [step.kind for step in plan.steps] == ["base", "load"]


def test_an_engine_that_does_not_answer_is_not_one_without_the_image() -> None:
    down = Unknown(Reason(code="engine-unreachable", message="no engine answers"))
    plan = decide(Request(definition=IMAGE), imaged(engine=down, workspace=No()))
    assert codes(plan)[1] == "engine-unknown"
    assert "image-missing" not in codes(plan)


@pytest.mark.parametrize("policy", ["pin", "warn", "follow"])
def test_a_base_tag_that_moved_makes_a_new_generation_only_where_the_policy_follows(policy: str) -> None:
    moved = Yes("sha256:" + "bb" * 32) if policy != "pin" else None
    plan = decide(Request(definition=IMAGE), imaged(engine=HERE, base_policy=policy, current_base=moved))
    assert plan.action == ("build-image" if policy == "follow" else "reuse-image")
    assert ("base-moved" in codes(plan)) == (policy != "pin")


def test_a_base_that_can_not_be_asked_for_moves_nothing() -> None:
    plan = decide(Request(definition=IMAGE), imaged(engine=HERE, base_policy="follow", current_base=LOST))
    assert plan.action == "reuse-image"
    assert "base-unknown" in codes(plan)


@pytest.mark.parametrize(("seconds", "action"), [(3.0, "build-image"), (30.0, "pull-image")])
def test_cost_chooses_between_ways_to_the_same_artifact(seconds: float, action: str) -> None:
    steps = {kind: Estimate(step=kind, seconds=seconds / 4, bytes=None, samples=3) for kind in IMAGE_STEPS}
    steps["pull"] = Estimate(step="pull", seconds=10.0, bytes=None, samples=3)
    facts = msgspec.structs.replace(imaged(workspace=THERE), estimates=steps)
    assert decide(Request(definition=IMAGE), facts).action == action
    once = msgspec.structs.replace(facts.image, repeatable=False)
    assert decide(Request(definition=IMAGE), msgspec.structs.replace(facts, image=once)).action == "pull-image"


def test_docker_steps_whose_result_is_gone_run_again_as_a_new_generation() -> None:
    plan = decide(Request(definition=STEPS), imaged(repeatable=False, workspace=No()))
    assert plan.action == "build-image"
    assert codes(plan)[-1] == "steps-gone"
    assert "generation 4" in plan.reasons[-1].message


def test_a_base_that_is_gone_is_told_as_that_and_moves_nothing_by_itself() -> None:
    plan = decide(Request(definition=IMAGE), imaged(repeatable=False, workspace=No()))
    assert (plan.action, codes(plan)[-1]) == ("build-image", "base-gone")
    assert "docker steps" not in plan.reasons[-1].message


SHARED = Reason(code="lock-shared-registry", message="Registry registry.example.org/team has lock abab")
UNKNOWN = Reason(code="registry-unknown", message="Whether registry registry.example.org/team has a lock is unknown")


def test_a_lock_that_a_registry_has_is_taken_and_nothing_is_solved() -> None:
    plan = decide(Request(definition=CONDA), Facts(platform="linux-64", shared_lock=SHARED, lock_digest=LOCK))
    assert plan.action == "build-prefix"
    assert [reason.code for reason in plan.reasons] == ["lock-shared-registry", "prefix-missing"]
    assert [step.kind for step in plan.steps] == ["check-lock", "download", "link", "bytecode", "publish"]


def test_a_shared_lock_whose_prefix_is_here_is_still_to_be_taken_as_this_definition_s_own() -> None:
    plan = decide(
        Request(definition=CONDA), Facts(platform="linux-64", shared_lock=SHARED, lock_digest=LOCK, prefix=PREFIX)
    )
    assert plan.action == "build-prefix"
    assert [reason.code for reason in plan.reasons] == ["lock-shared-registry", "prefix-ready"]


def test_a_registry_that_can_t_be_asked_is_told_and_holds_nothing_up() -> None:
    plan = decide(Request(definition=CONDA), Facts(platform="linux-64", registry_unknown=UNKNOWN))
    assert plan.action == "build-prefix"
    assert [reason.code for reason in plan.reasons] == ["definition-unknown", "registry-unknown"]
    assert "solve" in [step.kind for step in plan.steps]
