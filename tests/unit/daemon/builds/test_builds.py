"""A build is planned once, by the request that begins it, and again only if another build has ended since."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.builds import builds as builds_module
from roost.daemon.builds.builds import Builds
from roost.daemon.builds.job import BuildJob
from roost.daemon.config.config import Config
from roost.daemon.decision.facts import Request
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.leases.interest import LeaseInterest
from roost.model.definition import Definition
from roost.wire.builds import BuildResult
from roost.wire.plans import EnvironmentSelector


class Planner:
    """Plans that there is always something to build; ``before`` is awaited while a plan is being made."""

    def __init__(self) -> None:
        self.plans: list[Any] = []
        self.before: Callable[[], Any] | None = None

    async def plan(self, *_: object) -> Any:
        if self.before is not None:
            before, self.before = self.before, None
            await before()
        self.plans.append(
            SimpleNamespace(plan=SimpleNamespace(action="build-prefix"), facts=SimpleNamespace(generation=None))
        )
        return self.plans[-1]


class Session:
    """Records the plan that it was given, and ends when its gate opens."""

    given: list[Any]
    gate: asyncio.Event

    def __init__(self, _parts: object, _task: object, job: BuildJob) -> None:
        self.build = SimpleNamespace(id=job.resolved.digest)

    async def run(self, planned: Any) -> BuildResult:
        self.given.append(planned)
        await self.gate.wait()
        fields: Any = {"lock_digest": None, "generation": None, "artifacts": [], "seconds": 0.0}
        return BuildResult(id=self.build.id, state="succeeded", definition_digest="d", **fields)


@pytest.fixture
def planner() -> Planner:
    return Planner()


@pytest.fixture
def builds(planner: Planner, monkeypatch: pytest.MonkeyPatch) -> Builds:
    async def write_log(*_: object) -> None: ...

    Session.given, Session.gate = [], asyncio.Event()
    monkeypatch.setattr(builds_module, "BuildSession", Session)
    monkeypatch.setattr(builds_module, "write_log", write_log)
    monkeypatch.setattr(builds_module, "require_credentials", lambda *_: None)
    parts: Any = SimpleNamespace(index=None, layout=None, config=Config())
    return Builds(parts, parts, planner, parts, parts, parts, parts, LeaseInterest(Lifecycle()))


def job(digest: str) -> BuildJob:
    resolved: Any = SimpleNamespace(
        digest=digest, is_image=False, generation_scope="linux-64", project=None, file_lock=None
    )
    request = Request(definition=Definition())
    return BuildJob(resolved=resolved, request=request, selector=EnvironmentSelector(cwd="/"))


async def test_the_plan_of_the_request_is_handed_on(builds: Builds, planner: Planner) -> None:
    Session.gate.set()
    await builds.wait(job("a"))
    assert Session.given == planner.plans
    assert len(planner.plans) == 1


async def test_requests_that_join_share_one_session_by_the_first_plan(builds: Builds, planner: Planner) -> None:
    waiting = [asyncio.create_task(builds.wait(job("a"))) for _ in range(5)]
    await asyncio.sleep(0.01)
    Session.gate.set()
    await asyncio.gather(*waiting)
    assert Session.given == planner.plans[:1]


async def test_a_build_plans_again_if_another_ended_while_it_was_planned(builds: Builds, planner: Planner) -> None:
    Session.gate.set()

    async def build_another() -> None:
        await builds.wait(job("b"))

    planner.before = build_another
    await builds.wait(job("a"))
    assert Session.given == [planner.plans[0], None]


async def test_a_running_build_can_be_cancelled_by_its_id_and_an_ended_one_not(builds: Builds) -> None:
    waiting = asyncio.create_task(builds.wait(job("a")))
    await asyncio.sleep(0.01)
    assert builds.running == 1
    assert builds.cancel("a")
    await asyncio.wait([waiting])
    assert (builds.running, builds.cancel("a"), builds.listen("a")) == (0, False, None)
