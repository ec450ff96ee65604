"""A prebuild has the lowest priority, gives way to whoever asks for the same, and leaves nothing half made."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from rattler.index import index_fs
from tests.support.bytecode_prefix import wait_until_complete
from tests.support.channel.hostile import write_hostile
from tests.support.pip_index import PipIndex
from tests.support.prebuilding import Prebuilding, open_services

from roost.daemon.background.priority import read_priority
from roost.daemon.config.schema import CondaSettings, ConfigFile, PipSettings, WatchSettings
from roost.daemon.decision.facts import Request
from roost.store.disk.file_ops import list_names
from roost.store.failpoints import HOLD, TRACE


class Hold:
    """Workers wait at the point ``conda.linked`` while ``file`` exists, and note that in ``trace``."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "hold"
        self.trace = folder / "trace"
        self.file.touch()

    @property
    def reached(self) -> int:
        return self.trace.read_text().count("point conda.linked") if self.trace.exists() else 0


@pytest.fixture
def hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hold:
    made = Hold(tmp_path)
    monkeypatch.setenv(HOLD, f"conda.linked={made.file}")
    monkeypatch.setenv(TRACE, str(made.trace))
    return made


@pytest_asyncio.fixture
async def parts(pip_index: PipIndex, tmp_path: Path, short_folder: Path) -> AsyncIterator[Prebuilding]:
    channel = tmp_path / "channel"
    for name in ("one", "two"):
        write_hostile(channel, name, {f"share/{name}.txt": name})
    await index_fs(channel, write_zst=False, write_shards=False, force=True)
    config = ConfigFile(
        pip=PipSettings(index_url=pip_index.url),
        conda=CondaSettings(mirrors={"conda-forge": (channel.as_uri(),)}),
        watch=WatchSettings(max_load=0, on_battery=True),
    )
    async with open_services(config) as services:
        yield Prebuilding(services, short_folder)
        await check_nothing_is_left(services.store.layout.prefixes, parts_of=services)


async def check_nothing_is_left(folder: str, *, parts_of: object) -> None:
    from roost.daemon.services import Services

    assert isinstance(parts_of, Services)
    await until(lambda: not parts_of.builds.running)
    artifacts = await parts_of.store.index.artifacts.list_all()
    assert {each.state for each in artifacts} <= {"ready"}
    left = {name for name in list_names(folder) if "." not in name}
    assert left == {os.path.basename(each.path or "") for each in artifacts}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


def workers(parts: Prebuilding) -> set[int]:
    return set(parts.services.engines.workers.list_pids())


def lowered(parts: Prebuilding) -> set[int]:
    return {pid for pid in workers(parts) if read_priority(pid) == (19, True)}


ONE = "channels: [conda-forge]\ndependencies: [one, two]\n"
SAME_LOCK = "channels: [conda-forge]\ndependencies: [two, one]\n"


@pytest.mark.parametrize("asked", [ONE, SAME_LOCK], ids=["the same", "another definition of the same lock"])
async def test_who_asks_gets_a_worker_of_normal_priority_at_once(parts: Prebuilding, hold: Hold, asked: str) -> None:
    parts.request(ONE)
    await until(lambda: hold.reached > 0)
    [behind] = lowered(parts)
    packages = Path(parts.services.store.layout.packages)
    cached = {path: path.stat().st_ino for path in packages.glob("conda/packages/[!.]*/info")}
    assert cached
    reached = hold.reached
    asking = asyncio.create_task(parts.build(asked))
    await until(lambda: behind not in workers(parts) and hold.reached > reached)
    assert lowered(parts) <= workers(parts) - {behind}
    assert {read_priority(pid) for pid in workers(parts) - lowered(parts)} == {read_priority()}
    hold.file.unlink()
    assert (await asking).state == "succeeded"
    assert {path: path.stat().st_ino for path in cached} == cached  # it went on from what was fetched
    report = await parts.find_end(ONE)
    assert report.state == "ready"
    assert ("waiting", "asked") in [(each.state, each.reason) for each in parts.reports]


async def test_a_new_generation_does_not_wait_for_a_prebuild(parts: Prebuilding, hold: Hold) -> None:
    parts.request(ONE)
    await until(lambda: hold.reached > 0)
    job = await parts.create_job(ONE)
    job = msgspec.structs.replace(job, request=Request(definition=job.resolved.definition, rebuild=True))
    asking = asyncio.create_task(parts.services.builds.wait(job))
    await until(lambda: any(each.reason == "asked" for each in parts.reports))
    hold.file.unlink()
    assert (await asking).generation == 1
    assert (await parts.find_end(ONE)).state == "ready"


async def test_a_newer_request_cancels_the_older_build(parts: Prebuilding, hold: Hold) -> None:
    newer = "channels: [conda-forge]\ndependencies: [one]\n"
    parts.services.prebuilds.request("file", lambda: parts.create_job(ONE))
    await until(lambda: hold.reached > 0)
    old = workers(parts)
    parts.services.prebuilds.request("file", lambda: parts.create_job(newer))
    await until(lambda: not old & workers(parts))
    hold.file.unlink()
    report = await parts.find_end("file")
    assert report.state == "ready"
    assert report.result is not None
    states = [build.state for build in await parts.services.store.index.builds.list_page(10)]
    assert sorted(states) == ["cancelled", "succeeded"]
    assert (await parts.build(newer)).state == "not-needed"


async def test_a_killed_worker_fails_its_prebuild_and_nobody_elses(parts: Prebuilding, hold: Hold) -> None:
    parts.request(ONE)
    await until(lambda: hold.reached > 0)
    [pid] = lowered(parts)
    os.killpg(pid, signal.SIGKILL)
    report = await parts.find_end(ONE)
    assert (report.state, report.reason) == ("failed", "worker-crashed")
    hold.file.unlink()
    assert (await parts.build(ONE)).state == "succeeded"


async def test_uv_and_the_compiler_run_at_the_lowest_priority(
    parts: Prebuilding, pip_index: PipIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also threads of this process: all that a prebuild starts."""
    from roost.daemon.engines.conda import scripts
    from roost.daemon.engines.uv import process

    started: list[list[str]] = []

    def note(command: list[str]) -> list[str]:
        started.append(list(command))
        return lower(command)

    lower = process.niced_command
    for module in (process, scripts):
        monkeypatch.setattr(module, "niced_command", note)
    pip_index.wheel("greet", "1.0")
    assert (await parts.prebuild("greet")).state == "ready"
    assert [os.path.basename(command[0]) for command in started].count("uv") >= 3
    await asyncio.to_thread(wait_until_complete, Path(parts.services.store.layout.root))
    assert any("compile(" in " ".join(command) for command in started)
    started.clear()
    pip_index.wheel("other", "1.0")
    await parts.build("other")
    assert [command for command in started if "compile(" not in " ".join(command)] == []  # byte-code comes later
