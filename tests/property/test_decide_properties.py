"""What holds for every decision: it is a function, it never serves a part, and it says why."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.decision.decide import ImageNeededError, NoSuchTargetError, decide
from roost.daemon.decision.facts import Facts, ImageFacts, ImageLocation, Request
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.model.definition import Base, Conda, Definition, Pip, PipItem, Python
from roost.model.records import Artifact, Estimate, Generation
from roost.wire.plans import Nearest, Reason

LOCKS = st.sampled_from(["sha256:" + c * 64 for c in "0123"])
SECONDS = st.floats(0, 1e4, allow_nan=False)
TEXT = st.text("abcxyz", min_size=1, max_size=5)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    pip = draw(st.lists(TEXT.map(lambda text: PipItem(kind="requirement", text=text)), max_size=2))
    return Definition(
        base=draw(st.none() | st.just(Base(image="debian:12"))),
        conda=Conda(dependencies=tuple(draw(st.lists(TEXT, max_size=2)))),
        pip=Pip(requirements=tuple(pip)),
        python=Python(user_managed=draw(st.booleans()), interpreter="/usr/bin/python3"),
    )


@st.composite
def requests(draw: st.DrawFn) -> Request:
    return Request(
        definition=draw(definitions()),
        target=draw(st.sampled_from(["auto", "local", "docker", "moon"])),
        ignore_image=draw(st.booleans()),
        rebuild=draw(st.booleans()),
        as_of=draw(st.none() | st.just("2020-07-08")),
    )


CONFIG = "sha256:" + "c" * 64


def answers(where: str) -> st.SearchStrategy[Answer[ImageLocation]]:
    place = ImageLocation(reference=f"{where}/images:k", digest=CONFIG, bytes=1000)
    lost = Unknown(Reason(code="registry-unreachable", message=f"{where} does not answer"))
    return st.sampled_from([Yes(place), No(), lost])


@st.composite
def image_facts(draw: st.DrawFn) -> ImageFacts:
    """What was asked and answered, in every combination."""
    moved = Unknown(Reason(code="registry-unreachable", message="no answer"))
    return ImageFacts(
        key=draw(st.none() | st.just("sha256:" + "1" * 64)),
        engine=draw(st.none() | answers("engine")),
        workspace=draw(st.none() | answers("workspace")),
        catalogues=tuple(draw(st.lists(answers("catalogue"), max_size=2))),
        repeatable=draw(st.booleans()),
        base_policy=draw(st.sampled_from(["pin", "warn", "follow"])),
        current_base=draw(st.sampled_from([None, moved, Yes("sha256:" + "b" * 64), Yes("sha256:" + "a" * 64)])),
    )


@st.composite
def all_facts(draw: st.DrawFn) -> Facts:
    """Facts as they can be gathered: a prefix only of the lock that is known."""
    lock = draw(st.none() | LOCKS)
    numbered = lock is not None and draw(st.booleans())
    generation = (
        Generation(
            definition_digest="sha256:" + "f" * 64,
            platform="linux-64",
            number=draw(st.integers(1, 9)),
            lock_digest=lock,
            created="2026-01-02T03:04:05Z",
            base_digest=draw(st.none() | st.just("sha256:" + "a" * 64)),
        )
        if numbered and lock is not None
        else None
    )
    ready = lock is not None and draw(st.booleans())
    prefix = (
        Artifact(id="p-1", kind="prefix", key=lock, platform="linux-64", state="ready", path="/p", bytes=1)
        if ready and lock is not None
        else None
    )
    fault = Reason(code="prefix-drifted", message="it was changed") if ready and draw(st.booleans()) else None
    steps = draw(st.dictionaries(st.sampled_from(["solve", "link", "pip", "base", "layers", "load", "pull"]), SECONDS))
    return Facts(
        platform="linux-64",
        definition_known=draw(st.booleans()),
        generation=generation,
        lock_digest=lock,
        prefix=prefix,
        prefix_drift=fault,
        interpreter={"path": "/usr/bin/python3", "version": "3.11.7"},
        image=draw(image_facts()),
        estimates={k: Estimate(step=k, seconds=v, bytes=None, samples=1) for k, v in steps.items()},
        nearest=draw(st.none() | st.just(Nearest(definition_digest="sha256:" + "e" * 64, differences=[]))),
    )


@given(requests(), all_facts())
def test_every_decision_is_whole(request: Request, facts: Facts) -> None:
    try:
        plan = decide(request, facts)
    except ImageNeededError:
        assert request.definition.base is not None
        assert request.target == "local"
        assert not request.ignore_image
        return
    except NoSuchTargetError:
        assert request.target == "moon"
        return
    assert plan == decide(request, facts)
    image = request.definition.base is not None and not request.ignore_image
    assert plan.target == (request.target if request.target != "auto" else "docker" if image else "local")
    assert plan.reasons
    assert all(reason.code and reason.message for reason in plan.reasons)
    assert (plan.steps != []) == (plan.action in ("build-prefix", "build-image", "pull-image"))
    assert plan.action.endswith("image") == (plan.target == "docker")


@given(all_facts(), definitions(), st.booleans(), st.none() | st.just("2020-07-08"))
def test_a_prefix_is_served_only_if_ready_sound_and_wanted(
    facts: Facts, definition: Definition, rebuild: bool, as_of: str | None
) -> None:
    request = Request(definition=definition, target="local", ignore_image=True, rebuild=rebuild, as_of=as_of)
    plan = decide(request, facts)
    managed = definition.python.user_managed
    sound = facts.prefix is not None and facts.prefix_drift is None
    assert (plan.action == "use-interpreter") == managed
    assert (plan.action == "reuse-prefix") == (sound and not managed and not rebuild and as_of is None)
    if plan.action == "reuse-prefix":
        assert plan.artifact is not None
        assert plan.artifact.digest == facts.lock_digest
    else:
        assert plan.artifact is None


@given(all_facts(), definitions())
def test_a_lock_that_is_known_is_never_solved_for_again(facts: Facts, definition: Definition) -> None:
    plan = decide(Request(definition=definition, target="local", ignore_image=True), facts)
    kinds = {step.kind for step in plan.steps}
    if facts.lock_digest is not None:
        assert not kinds & {"solve", "lock-pip"}
        adopts = facts.generation is None and facts.shared_lock is not None
        assert ("check-lock" in kinds) == (adopts and plan.action == "build-prefix")


@pytest.mark.parametrize("target", ["local", "auto"])
def test_the_default_base_is_no_reason_for_an_image(target: str) -> None:
    plan = decide(Request(definition=Definition(), target=target), Facts(platform="linux-64"))
    assert plan.target == "local"


@given(definitions(), all_facts())
def test_unknown_is_never_taken_for_absent_and_absent_never_for_there(definition: Definition, facts: Facts) -> None:
    plan = decide(Request(definition=definition, target="docker"), facts)
    image, codes = facts.image, [reason.code for reason in plan.reasons]
    registries = (image.workspace, *image.catalogues)
    if plan.action == "reuse-image":
        assert isinstance(image.engine, Yes)
    if plan.action == "pull-image":
        assert any(isinstance(answer, Yes) for answer in registries)
    if "image-missing" in codes:
        assert image.engine == No()
    looked = facts.lock_digest is not None and image.key is not None and "base-moved" not in codes
    if looked and plan.action != "reuse-image":
        assert codes.count("registry-unknown") == sum(isinstance(answer, Unknown) for answer in registries)
        assert ("engine-unknown" in codes) == isinstance(image.engine, Unknown)


@given(definitions(), all_facts(), st.booleans(), st.none() | st.just("2020-07-08"))
def test_only_the_image_of_the_lock_that_is_wanted_is_served(
    definition: Definition, facts: Facts, rebuild: bool, as_of: str | None
) -> None:
    plan = decide(Request(definition=definition, target="docker", rebuild=rebuild, as_of=as_of), facts)
    if rebuild or as_of or facts.lock_digest is None or facts.image.key is None:
        assert plan.action == "build-image"
    if plan.action == "build-image":
        assert plan.artifact is None
    else:
        assert plan.artifact is not None
        assert plan.artifact.digest == CONFIG


@given(definitions(), all_facts())
def test_cost_never_chooses_another_artifact(definition: Definition, facts: Facts) -> None:
    """Without what the past took the plan may only change between pulling and building what is the same."""
    request = Request(definition=definition, target="docker")
    plan, blind = decide(request, facts), decide(request, msgspec.structs.replace(facts, estimates={}))
    if plan.action != blind.action:
        assert facts.image.repeatable
        assert {plan.action, blind.action} == {"pull-image", "build-image"}
