"""Docker steps and Dockerfiles are refused in background work before anything of the engine is asked."""

from __future__ import annotations

from typing import Any

import pytest

from roost.daemon.background.code import CodeNotAllowedError, KnownCode
from roost.daemon.background.work import BackgroundWork
from roost.daemon.bases.resolve import BaseResolver
from roost.daemon.jobs.progress import Silent
from roost.model.definition import Base, Defaults, Definition
from roost.model.records import BaseRecord

BELOW = BaseRecord(digest="sha256:base", config=b"{}", layers=())
STEPS = ["RUN touch /x"]


class Asked(Exception):
    """The engine was asked."""


class Table:
    """Everything that was asked for is known, if ``knows``."""

    def __init__(self) -> None:
        self.knows = False
        self.asked: list[str] = []

    async def find(self, contents: Any) -> set[str]:
        self.asked += contents
        return set(contents) if self.knows else set()

    async def add(self, kind: str, contents: Any) -> None: ...


class Parts:
    """In place of the index, the layers, the engines and the loader."""

    def __init__(self, table: Table) -> None:
        self.known_code = KnownCode(table)
        self.bases = self

    async def put(self, record: BaseRecord) -> None: ...

    async def docker(self) -> Any:
        raise Asked


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def resolver(table: Table) -> BaseResolver:
    parts: Any = Parts(table)
    return BaseResolver(parts, parts, parts, parts)


async def test_steps_run_on_a_base_that_they_ran_on(resolver: BaseResolver, table: Table) -> None:
    async def run(below: BaseRecord = BELOW) -> BaseRecord:
        return await resolver.run_steps(below, STEPS, "linux/amd64", Silent())

    with pytest.raises(CodeNotAllowedError) as refused:
        await BackgroundWork().run(run)
    assert refused.value.fields == {"package": "RUN touch /x", "kind": "docker-step"}
    with pytest.raises(Asked):
        await run()
    table.knows = True
    with pytest.raises(Asked):
        await BackgroundWork().run(run)
    other = BaseRecord(digest="sha256:other", config=b"{}", layers=())
    with pytest.raises(Asked):
        await BackgroundWork().run(lambda: run(other))
    assert len(set(table.asked)) == 2  # the base is part of the content


async def test_a_dockerfile_always_waits(resolver: BaseResolver, table: Table) -> None:
    table.knows = True
    definition = Definition(base=Base(dockerfile="FROM debian\nRUN touch /x\n"))

    async def resolve() -> Any:
        return await resolver.resolve(definition, Defaults(), "linux/amd64", Silent())

    with pytest.raises(CodeNotAllowedError):
        await BackgroundWork().run(resolve)
    with pytest.raises(Asked):
        await BackgroundWork(allows_code=True).run(resolve)
    with pytest.raises(Asked):
        await resolve()
