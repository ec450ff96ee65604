"""The queue of prebuilds: one at a time, the latest first, a newer request in place of an older one, no second try."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from roost.daemon.background.code import refuse_code
from roost.daemon.background.work import current_work
from roost.daemon.builds.job import BuildJob
from roost.daemon.caller.current import caller_variables, use_caller
from roost.daemon.config.schema import WatchSettings
from roost.daemon.credentials.substitution import VariableMissingError
from roost.daemon.decision.facts import Request
from roost.daemon.prebuilding.choice import MachineState
from roost.daemon.prebuilding.prebuilds import PrebuildReport, Prebuilds
from roost.model.definition import Definition
from roost.model.errors import StoreFullError
from roost.wire.plans import EnvironmentSelector


class Builder:
    """Builds that end when their gate opens; ``log`` has what happened."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, Exception] = {}
        self.settings = WatchSettings(max_load=0)
        self.machine = MachineState()
        self.running = 0
        self.prebuilds = Prebuilds(
            self.build,
            lambda: self.settings,
            lambda: {"http_proxy": "last"},
            machine=lambda: self.machine,
            look_seconds=0.01,
        )
        self.reports: list[PrebuildReport] = []
        self.prebuilds.listen(self.note)
        self._reported = asyncio.Event()

    def note(self, report: PrebuildReport) -> None:
        self.reports.append(report)
        self.log.append(" ".join(filter(None, (report.key, report.state, report.reason))))
        self._reported.set()

    async def build(self, job: BuildJob) -> Any:
        name: Any = job.selector.file
        assert job.background
        assert current_work() is not None
        assert caller_variables() == {"http_proxy": "last"}
        assert self.running == 0
        self.running += 1
        try:
            if name in self.failures:
                raise self.failures[name]
            if name in self.gates:
                await self.gates[name].wait()
        except asyncio.CancelledError:
            self.log.append(f"{name} cancelled")
            raise
        finally:
            self.running -= 1
        return name

    def request(self, key: str, name: str | None = None) -> None:
        async def create() -> BuildJob:
            resolved: Any = None
            selector = EnvironmentSelector(cwd="/", file=name or key)
            return BuildJob(resolved=resolved, request=Request(definition=Definition()), selector=selector)

        self.prebuilds.request(key, create)

    async def until(self, line: str) -> None:
        await self.until_true(lambda: line in self.log)

    async def until_true(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._reported.clear()
            await asyncio.wait_for(self._reported.wait(), 10)


@pytest.fixture
def builder() -> Builder:
    return Builder()


async def test_one_at_a_time_and_the_latest_first(builder: Builder) -> None:
    builder.gates["a"] = asyncio.Event()
    builder.request("a")
    await builder.until("a building")
    for key in ("b", "c", "b", "d"):
        builder.request(key)
    builder.gates["a"].set()
    await builder.until("c ready")
    assert [line for line in builder.log if line.endswith(("building", "ready"))] == [
        f"{key} {state}" for key in ("a", "d", "b", "c") for state in ("building", "ready")
    ]


async def test_no_callers_variables_are_used_but_the_last_ones(builder: Builder) -> None:
    with use_caller({"SSH_AUTH_SOCK": "a caller's"}):
        builder.request("a")
    await builder.until("a ready")


async def test_a_newer_request_takes_the_place_of_one_that_is_building(builder: Builder) -> None:
    builder.gates["old"] = asyncio.Event()
    builder.request("a", "old")
    await builder.until("a building")
    while not builder.running:
        await asyncio.sleep(0)
    builder.request("a", "new")
    await builder.until("a ready")
    assert builder.log == ["a queued", "a building", "a queued", "old cancelled", "a building", "a ready"]
    assert builder.reports[-1].result == "new"


async def test_what_is_withdrawn_is_cancelled_and_not_reported_any_more(builder: Builder) -> None:
    builder.gates["a"] = asyncio.Event()
    builder.request("a")
    builder.request("b")
    await builder.until("b ready")
    await builder.until("a building")
    while not builder.running:  # it is reported before it begins
        await asyncio.sleep(0)
    builder.prebuilds.withdraw("a")
    builder.request("c")
    await builder.until("c ready")
    assert builder.log.index("a cancelled") < builder.log.index("c building")
    assert [line for line in builder.log if line.startswith("a ")][2:] == ["a cancelled"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (refuse_code("build-backend", "x"), "a waiting code"),
        (VariableMissingError("TOKEN"), "a waiting credentials"),
        (StoreFullError("full"), "a failed store-full"),
        (ValueError("a defect"), "a failed build-failed"),
    ],
)
async def test_a_failure_is_reported_with_its_reason_and_not_tried_again(
    builder: Builder, error: Exception, line: str
) -> None:
    builder.failures["a"] = error
    builder.request("a")
    await builder.until(line)
    builder.request("b")
    await builder.until("b ready")
    assert [each for each in builder.log if each.startswith("a ")] == ["a queued", "a building", line]
    assert builder.reports[2].error is not None


async def test_a_file_that_cannot_be_read_is_a_failure_of_its_request(builder: Builder) -> None:
    async def create() -> None:
        raise StoreFullError("no")

    builder.prebuilds.request("a", create)
    await builder.until("a failed store-full")


async def test_nothing_to_build_is_ready(builder: Builder) -> None:
    async def create() -> None:
        assert current_work() is not None

    builder.prebuilds.request("a", create)
    await builder.until("a ready")


async def test_what_gave_way_goes_last_and_is_tried_again(builder: Builder) -> None:
    builder.gates["a"] = asyncio.Event()
    builder.request("a")
    await builder.until("a building")
    builder.request("b")
    give_way = next(iter(builder_work()))
    give_way.give_way()
    builder.gates["a"].set()
    await builder.until("a ready")
    assert [line for line in builder.log if line != "a queued"] == [
        "a building", "b queued", "a cancelled", "a waiting asked", "b building", "b ready", "a building", "a ready",
    ]  # fmt: skip


def builder_work() -> set[Any]:
    from roost.daemon.background import work

    return set(work._running)


async def test_on_battery_it_waits_and_a_running_one_is_put_back(builder: Builder) -> None:
    builder.gates["a"] = asyncio.Event()
    builder.request("a")
    await builder.until("a building")
    builder.machine = MachineState(on_battery=True)
    await builder.until("a waiting battery")
    assert builder.log[2:] == ["a cancelled", "a waiting battery"]
    builder.gates["a"].set()
    builder.settings = WatchSettings(max_load=0, on_battery=True)
    await builder.until("a ready")


async def test_above_the_load_it_waits_but_a_running_one_goes_on(builder: Builder) -> None:
    builder.settings = WatchSettings(max_load=1)
    builder.gates["a"] = asyncio.Event()
    builder.request("a")
    await builder.until("a building")
    builder.machine = MachineState(load=5.0)
    builder.gates["a"].set()
    await builder.until("a ready")
    builder.request("b")
    await builder.until("b waiting load")
    builder.machine = MachineState(load=0.5)
    await builder.until("b ready")


async def test_hundreds_at_once_are_built_once_each(builder: Builder) -> None:
    for number in range(200):
        builder.request(f"k{number % 100}")
    await builder.until_true(lambda: sum(line.endswith("ready") for line in builder.log) == 100)
    assert len({line for line in builder.log if line.endswith("ready")}) == 100


async def test_a_stop_cancels_what_runs_and_accepts_nothing_more(builder: Builder) -> None:
    builder.gates["a"] = asyncio.Event()
    builder.request("a")
    await builder.until("a building")
    builder.request("b")
    await builder.prebuilds.stop()
    builder.request("c")
    assert builder.log == ["a queued", "a building", "b queued", "a cancelled"]
    assert builder.prebuilds.waiting == 0


async def test_it_can_be_withdrawn_by_whoever_hears_that_it_begins(builder: Builder) -> None:
    def withdraw(report: PrebuildReport) -> None:
        if (report.key, report.state) == ("a", "building"):
            builder.prebuilds.withdraw("a")

    builder.prebuilds.listen(withdraw)
    builder.request("a")
    await builder.until("a building")
    builder.request("b")
    await builder.until("b ready")
    assert [line for line in builder.log if line.startswith("a ")] == ["a queued", "a building"]
