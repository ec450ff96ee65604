"""What holds for every decision: it is a function, it never serves a part, and it says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.client.wire import Nearest, Reason
from roost.daemon.decide import Facts, ImageNeededError, NoSuchTargetError, Request, decide
from roost.store.definition import Base, Conda, Definition, Pip, PipItem, Python
from roost.store.records import Artifact, Estimate, Generation

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
    steps = draw(st.dictionaries(st.sampled_from(["solve", "link", "pip"]), SECONDS))
    return Facts(
        platform="linux-64",
        definition_known=draw(st.booleans()),
        generation=generation,
        lock_digest=lock,
        prefix=prefix,
        prefix_fault=fault,
        interpreter={"path": "/usr/bin/python3", "version": "3.11.7"},
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
        image = request.definition.base is not None and not request.ignore_image
        assert request.target in ("docker", "moon") or (request.target == "auto" and image)
        return
    assert plan == decide(request, facts)
    assert plan.target == "local"
    assert plan.reasons
    assert all(reason.code and reason.message for reason in plan.reasons)
    assert (plan.steps != []) == (plan.action == "build-prefix")


@given(all_facts(), definitions(), st.booleans(), st.none() | st.just("2020-07-08"))
def test_a_prefix_is_served_only_if_ready_sound_and_wanted(
    facts: Facts, definition: Definition, rebuild: bool, as_of: str | None
) -> None:
    request = Request(definition=definition, target="local", ignore_image=True, rebuild=rebuild, as_of=as_of)
    plan = decide(request, facts)
    managed = definition.python.user_managed
    sound = facts.prefix is not None and facts.prefix_fault is None
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


@pytest.mark.parametrize("target", ["local", "auto"])
def test_the_default_base_is_no_reason_for_an_image(target: str) -> None:
    plan = decide(Request(definition=Definition(), target=target), Facts(platform="linux-64"))
    assert plan.target == "local"
