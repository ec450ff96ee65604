"""A run in a container is cancelled by a daemon that has only just started, while the engine is still being asked."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.engines.docker.labels import RUN_LABEL
from roost.daemon.engines.docker.values import EngineContainer
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.runs import containers
from roost.daemon.runs.containers import ContainerRuns, NotAttachableError
from roost.daemon.runs.runs import Runs
from roost.model.errors import ServiceUnreachableError
from roost.model.records import RunRecord

RUN = RunRecord(
    id="r1",
    state="running",
    target="docker",
    command=("true",),
    cwd="/",
    definition_digest="sha256:d",
    settings_digest="sha256:s",
    created="2026-01-01T00:00:00Z",
)


class SlowEngine:
    """An engine that answers a list when it is let, and ends the container at its first signal."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.signals: list[str] = []
        self.has_ended = asyncio.Event()
        self.probe_mark = ""
        self.containers = self
        self.error: Exception | None = None

    async def find(self, label: str | None = None) -> list[EngineContainer]:
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return [EngineContainer(id="c1", image="sha256:i", labels={RUN_LABEL: "r1"}, state="running")]

    async def wait(self, container: str) -> int:
        await self.has_ended.wait()
        return 143

    async def kill(self, container: str, signal: str) -> None:
        self.signals.append(signal)
        self.has_ended.set()

    async def remove(self, container: str) -> None:
        pass

    def pop_unremoved(self) -> set[str]:
        return set()


class Records:
    """Of one run that an earlier daemon left running."""

    starting: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.requested: list[str] = []
        self.ended = asyncio.Event()

    async def list_open(self) -> list[RunRecord]:
        return [] if self.ended.is_set() else [RUN]

    async def find_id(self, run_id: str) -> str:
        return run_id

    async def get(self, run_id: str) -> RunRecord:
        return RUN

    find = get

    def request_cancel(self, run_id: str) -> None:
        self.requested.append(run_id)

    async def end(self, run_id: str, observation: object) -> None:
        self.ended.set()


def make_runs(engine: SlowEngine, records: Records) -> Any:
    async def docker() -> SlowEngine:
        return engine

    engines: Any = SimpleNamespace(docker=docker, docker_variables=dict)
    runs: Any = object.__new__(Runs)
    runs.records = runs.processes = records
    runs.starts = SimpleNamespace(is_starting=lambda run_id: False)
    anything: Any = records
    runs.containers = ContainerRuns(anything, engines, Lifecycle(0), "/r")
    return runs


async def test_a_run_that_an_earlier_daemon_started_is_cancelled_once_its_container_is_known() -> None:
    engine, records = SlowEngine(), Records()
    runs = make_runs(engine, records)
    await runs.containers.reattach()
    cancelling = asyncio.create_task(runs.cancel("r1"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not cancelling.done()
    engine.answers.set()
    assert (await cancelling).id == "r1"
    await records.ended.wait()
    assert engine.signals[0] == "SIGTERM"
    assert records.requested == ["r1"]
    await runs.containers.stop()


async def test_an_engine_that_gives_no_answer_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "AWAY_SECONDS", 0.01)
    engine, records = SlowEngine(), Records()
    runs = make_runs(engine, records)
    await runs.containers.reattach()
    with pytest.raises(NotAttachableError, match="r1"):
        await runs.cancel("r1")
    engine.error = ServiceUnreachableError("away")
    engine.answers.set()
    with pytest.raises(NotAttachableError) as told:
        await runs.cancel("r1")
    assert "engine" in (told.value.hint or "")
    await runs.containers.stop()
