"""Packages that would leave their prefix or crash what links them: refused by name, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx
from rattler.index import index_fs
from tests.support.channel.hostile import entry, write_hostile
from tests.support.conda_tools import close_workers, engine, open_workers, solve

from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.engines.conda.errors import LinkError, PackageUnsafeError
from roost.daemon.engines.conda.rules import CondaRules
from roost.daemon.jobs.progress import Silent
from roost.daemon.workers.errors import WorkerCrashedError


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """A blocking call of ours in the event loop fails the test."""
    with blockbuster_ctx(["roost.daemon", "roost.store"]) as detector:
        detector.functions["os.path.abspath"].deactivate()  # of an absolute path it asks the system nothing
        yield


@pytest.fixture(autouse=True)
async def workers_end() -> AsyncIterator[None]:
    yield
    await close_workers()


@pytest.fixture
def outside(short_folder: Path) -> Path:
    """A folder that nothing may be written into."""
    folder = short_folder / "outside"
    folder.mkdir()
    return folder


async def hostile_engine(folder: Path, **settings: Any) -> CondaEngine:
    """An engine whose conda-forge is the channel in ``folder``."""
    channel = folder / "channel"
    if not (channel / "noarch/good-1.0-0.conda").exists():
        write_hostile(channel, "good", {"share/good.txt": "good"})
    await index_fs(channel, write_zst=False, write_shards=False, force=True)
    return engine(folder, folder, mirrors={"conda-forge": [channel.as_uri()]}, **settings)


async def link(conda: CondaEngine, prefix: Path, *specs: str) -> None:
    await conda.link(await solve(conda, *specs), str(prefix))


PATHS = [
    ("/OUTSIDE/x", "an absolute path"),
    ("/etc/passwd", "an absolute path"),
    ("../../x", "leads out of the prefix"),
    ("share/../../x", "leads out of the prefix"),
    ("share/..", "leads out of the prefix"),
    ("..\\..\\x", "leads out of the prefix"),
    ("\\x", "an absolute path"),
    ("share/a\0b", "not a path"),
    ("", "not a path"),
]


@pytest.mark.parametrize(("path", "why"), PATHS)
async def test_a_path_outside_is_refused_by_name(short_folder: Path, outside: Path, path: str, why: str) -> None:
    listed = [entry("share/bad.txt", "x"), entry(path.replace("OUTSIDE", str(outside)[1:]), "x")]
    write_hostile(short_folder / "channel", "bad", {"share/bad.txt": "x"}, listed=listed)
    conda = await hostile_engine(short_folder)
    with pytest.raises(PackageUnsafeError):
        await link(conda, short_folder / "fetched", "bad")
    with pytest.raises(PackageUnsafeError) as caught:
        await link(conda, short_folder / "p", "bad", "good")
    assert caught.value.message.startswith("The package bad-1.0-0 would write outside of the prefix")
    assert why in caught.value.message
    assert caught.value.fields["package"] == "bad-1.0-0"
    assert list(outside.iterdir()) == []
    await link(conda, short_folder / "q", "good")
    assert (short_folder / "q/share/good.txt").read_text() == "good"


@pytest.mark.parametrize("names", [("a-link", "b-file"), ("b-link", "a-file"), ("both", "both")])
@pytest.mark.parametrize("target", ["OUTSIDE", "../../../outside", "through/../../../outside"])
async def test_a_link_out_of_the_prefix_with_files_below_it_is_refused(
    short_folder: Path, outside: Path, names: tuple[str, str], target: str
) -> None:
    link_name, file_name = names
    below = {"share/way/x.txt": "x"}
    way = {"share/way": f"-> {target.replace('OUTSIDE', str(outside))}"}
    channel = short_folder / "channel"
    if link_name == file_name:
        write_hostile(channel, link_name, way, listed=[entry("share/way", "-> "), entry("share/way/x.txt", "x")])
    else:
        # a list that hides what the file is
        write_hostile(channel, link_name, way, listed=[entry("share/way", "")])
        write_hostile(channel, file_name, below)
    conda = await hostile_engine(short_folder)
    with pytest.raises(PackageUnsafeError, match=f"The package {link_name}-1.0-0 .*outside of the prefix"):
        await link(conda, short_folder / "p", *dict.fromkeys(names))
    assert list(outside.iterdir()) == []


async def test_a_chain_of_links_that_leaves_the_prefix_is_refused(short_folder: Path, outside: Path) -> None:
    channel = short_folder / "channel"
    write_hostile(channel, "one", {"share/one": "-> two"})
    write_hostile(channel, "two", {"share/two": f"-> {outside}"})
    write_hostile(channel, "three", {"share/one/x": "x"})
    conda = await hostile_engine(short_folder)
    with pytest.raises(PackageUnsafeError, match="share/one is a link"):
        await link(conda, short_folder / "p", "one", "two", "three")
    assert list(outside.iterdir()) == []


async def test_folders_of_roost_may_not_lead_out(short_folder: Path, outside: Path) -> None:
    """roost itself writes there: marks, byte-code, packages of pip."""
    for name, path in (("meta", "conda-meta"), ("python", "lib/python3.99")):
        write_hostile(short_folder / "channel", f"bad-{name}", {path: f"-> {outside}"})
        conda = await hostile_engine(short_folder)
        with pytest.raises(PackageUnsafeError, match=f"bad-{name}"):
            await link(conda, short_folder / name, f"bad-{name}")
    assert list(outside.iterdir()) == []


async def test_a_command_outside_is_refused(short_folder: Path, channels_folder: Path) -> None:
    channel = short_folder / "channel"
    link_file = {"noarch": {"type": "python", "entry_points": ["../../evil = m:f"]}, "package_metadata_version": 1}
    write_hostile(channel, "bad", {"site-packages/m.py": "def f(): pass"}, link=link_file, noarch="python")
    await hostile_engine(short_folder)
    mirrors = {"conda-forge": [(channels_folder / "conda-forge").as_uri()], "second": [channel.as_uri()]}
    conda = engine(short_folder, channels_folder, mirrors=mirrors)
    packages = await solve(conda, "bad", "python=3.11", channels=["conda-forge", "second"])
    with pytest.raises(PackageUnsafeError, match=r"'\.\./\.\./evil' is not the name of a command"):
        await conda.link(packages, str(short_folder / "p"))


async def test_a_list_that_can_not_be_read_is_refused(short_folder: Path) -> None:
    write_hostile(short_folder / "channel", "bad", {"share/bad.txt": "x"}, listed=b'{"paths": [{"_path": 1}]}')
    conda = await hostile_engine(short_folder)
    with pytest.raises((PackageUnsafeError, LinkError), match="bad"):
        await link(conda, short_folder / "p", "bad")


async def test_archives_are_extracted_into_their_folder(short_folder: Path, outside: Path) -> None:
    """Members of the archive that no list has: rattler refuses or skips them, and nothing is written elsewhere."""
    up = tarfile.TarInfo("../../../outside/x")
    way = tarfile.TarInfo("share/way")
    way.type, way.linkname = tarfile.SYMTYPE, str(outside)
    below = tarfile.TarInfo("share/way/x")
    pipe = tarfile.TarInfo("share/pipe")
    pipe.type = tarfile.FIFOTYPE
    for name, extra in (("up", [up]), ("way", [way, below]), ("pipe", [pipe])):
        write_hostile(short_folder / "channel", name, {f"share/{name}.txt": "x"}, extra=extra)
        conda = await hostile_engine(short_folder)
        packages = await solve(conda, name)
        (result,) = await asyncio.gather(conda.link(packages, str(short_folder / name)), return_exceptions=True)
        assert isinstance(result, list | LinkError), result
        assert list(outside.iterdir()) == []


async def test_what_honest_packages_do_is_linked(short_folder: Path) -> None:
    files = {
        "share/text.txt": "x",
        "share/other": "-> text.txt",
        "lib64": "-> lib",
        "lib/real.txt": "x",
        "etc/zoneinfo": "-> /usr/share/zoneinfo",
        "etc/system-a\\x2db.slice": "x",
        "share/..dots/x...y": "x",
    }
    write_hostile(short_folder / "channel", "honest", files)
    conda = await hostile_engine(short_folder)
    prefix = short_folder / "p"
    await link(conda, prefix, "honest")
    assert (prefix / "lib64/real.txt").read_text() == "x"
    assert os.readlink(prefix / "etc/zoneinfo") == "/usr/share/zoneinfo"
    assert (prefix / "share/..dots/x...y").exists()


async def test_a_crash_while_linking_names_the_package(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conda = await hostile_engine(short_folder)
    packages = await solve(conda, "good")
    monkeypatch.setenv("ROOST_FAILPOINT", "conda.linking")
    with pytest.raises(WorkerCrashedError) as caught:
        await conda.link(packages, str(short_folder / "p"))
    assert caught.value.message == ("The conda worker ended by signal 9 (SIGKILL) while linking good-1.0; see the log")
    monkeypatch.delenv("ROOST_FAILPOINT")
    await conda.link(packages, str(short_folder / "q"))
    assert (short_folder / "q/share/good.txt").read_text() == "good"


@pytest.mark.skipif(sys.platform != "linux", reason="stops a process by its state in /proc")
async def test_others_link_on_while_one_worker_hangs_and_dies(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda = await hostile_engine(short_folder)
    packages = await solve(conda, "good")
    hold = short_folder / "hold"
    hold.write_text("")
    monkeypatch.setenv("ROOST_FAILPOINT_HOLD", f"conda.linking={hold}")
    hanging = asyncio.ensure_future(conda.link(packages, str(short_folder / "p")))
    while not list((short_folder / "workers").iterdir()) or len(conda._workers.list_pids()) < 2:
        await asyncio.sleep(0.01)
    monkeypatch.delenv("ROOST_FAILPOINT_HOLD")
    await conda.link(packages, str(short_folder / "q"))
    assert (short_folder / "q/share/good.txt").exists()
    busy = [worker for worker in conda._workers._all if worker not in conda._workers._timers]
    (pid,) = [worker.pid for worker in busy]
    os.kill(pid, signal.SIGSTOP)
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    assert pid not in conda._workers.list_pids()
    assert [path.name for path in Path(conda.packages_dir).glob(".*") if path.is_dir()] == []


async def test_two_solves_use_one_worker(short_folder: Path) -> None:
    conda = await hostile_engine(short_folder)
    await solve(conda, "good")
    first = conda._workers.list_pids()
    await solve(conda, "good")
    assert conda._workers.list_pids() == first


async def test_a_spec_that_was_valid_asks_nobody_again(short_folder: Path) -> None:
    workers = open_workers(short_folder)
    rules = CondaRules(workers)
    await rules.check_specs(["numpy>=1", "six"])
    await workers.close()
    await rules.check_specs(["six"])
    assert workers.list_pids() == []


async def test_progress_of_a_link_reaches_the_caller(short_folder: Path) -> None:
    heard: list[tuple[str, int, int | None]] = []

    class Recorder(Silent):
        def advance(self, step: str, done: int, total: int | None = None) -> None:
            heard.append((step, done, total))

    conda = await hostile_engine(short_folder)
    await conda.link(await solve(conda, "good"), str(short_folder / "p"), progress=Recorder())
    assert ("link", 1, 1) in heard
