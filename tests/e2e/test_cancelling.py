"""Cancelling a build at each of its steps: whatever was under way, its end is told and recorded, nothing half-made is
left, and the next try works."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support.pip_index import PipIndex

from roost.daemon.builds.job import BuildJob
from roost.daemon.caller.current import LastCaller
from roost.daemon.config.config import Config
from roost.daemon.config.schema import ConfigFile, PipSettings
from roost.daemon.decision.facts import Request
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.launch.folder import find_tools
from roost.daemon.services import Services, create_services
from roost.model.records import FileStamp
from roost.store.disk.file_ops import list_names, remove_tree
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector


class Steps:
    """A coroutine that tells before each of its steps."""

    def __init__(self, inner: Coroutine[Any, Any, Any], tell: Any) -> None:
        self._inner = inner
        self._tell = tell

    def __await__(self) -> Generator[Any, Any, Any]:
        value, error = None, None
        while True:
            try:
                asked = self._inner.throw(error) if error else self._inner.send(value)
            except StopIteration as end:
                return end.value
            self._tell()
            value, error = None, None
            try:
                value = yield asked
            except BaseException as thrown:
                error = thrown


class Steering:
    """Counts the steps of all flights, and calls ``act`` at step ``at``."""

    def __init__(self) -> None:
        self.count = 0
        self.at: int | None = None
        self.act: Any = None

    def task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        if "SharedTask._execute" not in getattr(coroutine, "__qualname__", ""):
            return asyncio.Task(coroutine, loop=loop, **options)

        async def stepping() -> Any:
            return await Steps(coroutine, self._told)

        return asyncio.Task(stepping(), loop=loop, **options)

    def _told(self) -> None:
        self.count += 1
        if self.count == self.at:
            asyncio.get_running_loop().call_soon(self.act)


@pytest_asyncio.fixture
async def work(pip_index: PipIndex) -> AsyncIterator[Services]:
    """The real parts on a fresh root, with the loopback index."""
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    store = await Store.open(root)
    events = Events(store.index, keep=1000)
    await events.begin()
    config = Config(settings=ConfigFile(pip=PipSettings(index_url=pip_index.url)))
    # No file: what the test says stays in force.
    made = create_services(
        store,
        config,
        FileStamp(path=f"{root}/none", identity="absent"),
        events,
        Lifecycle(0),
        "",
        find_tools(str(root)),
        LastCaller(),
    )
    yield made
    await made.stop()
    await store.close()
    remove_tree(root)


async def job(work: Services, folder: Path, *, rebuild: bool = False) -> BuildJob:
    what = EnvironmentSelector(cwd=str(folder), file="requirements.txt")
    resolved = (await work.resolver.resolve(what)).for_prefix()
    return BuildJob(resolved=resolved, request=Request(definition=resolved.definition, rebuild=rebuild), selector=what)


async def told(work: Services, asked: BuildJob) -> list[str]:
    async with aclosing(work.builds.stream(asked)) as messages:
        return [message.event async for message in messages]


async def check_nothing_is_left(work: Services) -> None:
    """Every build has its end, and rows and content fit."""
    while work.builds.running:  # its end was told; what keeps its log may have a line to write
        await asyncio.sleep(0.001)
    assert {build.state for build in await work.store.index.builds.list_page(1000)} <= {"succeeded", "cancelled"}
    artifacts = await work.store.index.artifacts.list_all()
    assert {artifact.state for artifact in artifacts} <= {"ready"}
    there = {name.partition(".")[0] for name in list_names(work.store.layout.prefixes)}
    assert there == {Path(artifact.path).name for artifact in artifacts}
    assert await work.store.index.leases.list_active() == []
    assert list_names(work.store.layout.stage) == []


@pytest.mark.long
@pytest.mark.parametrize("how", ["leave", "cancel"])
async def test_cancelled_at_every_step_of_its_flights(
    work: Services, pip_index: PipIndex, short_folder: Path, how: str
) -> None:
    steering = Steering()
    asyncio.get_running_loop().set_task_factory(steering.task)  # type: ignore[arg-type]
    for at in range(1, 300, 1 if how == "leave" else 3):
        pip_index.wheel("greet", f"1.{at}")
        (short_folder / "requirements.txt").write_text(f"greet==1.{at}\n")
        asked = await job(work, short_folder)
        task = asyncio.create_task(told(work, asked))
        steering.act = task.cancel if how == "leave" else lambda: cancel_all(work)
        steering.count, steering.at = 0, at
        await asyncio.wait([task])
        steering.at = None
        await check_nothing_is_left(work)
        if how == "cancel":
            assert task.result()[-1] in ("result", "error"), at
        if steering.count < at:
            break
    assert 20 < at < 297
    (short_folder / "requirements.txt").write_text("greet==1.1\n")
    assert (await told(work, await job(work, short_folder)))[-1] == "result"


def cancel_all(work: Services) -> None:
    for build_id in list(work.builds._by_id):
        assert work.builds.cancel(build_id)
