"""Workers and daemons killed while packages are fetched and linked: one build fails, and nothing half-made is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.channel.hostile import entry, write_hostile
from tests.support.conda_tools import STARTS, close_workers, engine, solve
from tests.support.roost_process import Roost, new_roost

from roost.daemon.workers.errors import WorkerCrashedError

YAML = "channels: [{channel}]\ndependencies: [{names}]\n"


@pytest.fixture
def roost() -> Iterator[Roost]:
    made = new_roost()
    made.config.write_text("")
    yield made
    made.end()


@pytest.fixture
async def workers_end(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setenv(STARTS, "1")
    yield
    await close_workers()


def make_index(channel: Path) -> None:
    from rattler.index import index_fs

    asyncio.run(index_fs(channel, write_zst=False, write_shards=False, force=True))


def small_channel(folder: Path) -> Path:
    """A channel with three honest packages and one that is not."""
    channel = folder / "channel"
    for name in ("one", "two", "three"):
        write_hostile(channel, name, {f"share/{name}.txt": name})
    write_hostile(channel, "evil", {"share/evil.txt": "x"}, listed=[entry(f"/{folder}/outside", "x")])
    make_index(channel)
    return channel


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def worker_pids(root: Path) -> list[int]:
    """The workers of a root, by their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"roost.daemon.workers.main" in words and any(w.startswith(f"{root}/workers".encode()) for w in words):
            found.append(int(path.parent.name))
    return found


def held_in(roost: Roost, name: str) -> bool:
    trace = Path(roost.variables["ROOST_FAILPOINT_TRACE"])
    return trace.exists() and f"point {name}" in trace.read_text()


def prefixes(roost: Roost) -> list[str]:
    return [path.name for path in (roost.root / "prefixes").iterdir()]


def write_environment(roost: Roost, channel: Path, *names: str) -> None:
    roost.write("environment.yml", YAML.format(channel=channel.as_uri(), names=", ".join(names)))


def hold(roost: Roost, point: str) -> Path:
    """Let workers of the daemon that is started next wait at ``point`` as long as the file exists."""
    file = roost.folder / "hold"
    file.write_text("")
    roost.variables["ROOST_FAILPOINT_HOLD"] = f"{point}={file}"
    roost.variables["ROOST_FAILPOINT_TRACE"] = str(roost.folder / "trace")
    return file


@pytest.mark.parametrize("point", ["conda.linking", "conda.fetched"])
def test_a_worker_dies_with_its_daemon(roost: Roost, tmp_path: Path, point: str) -> None:
    channel = small_channel(tmp_path)
    write_environment(roost, channel, "one", "two", "three")
    file = hold(roost, point)
    roost.start("build")
    wait_until(lambda: held_in(roost, point))
    daemon, workers = roost.daemon_pid(), worker_pids(roost.root)
    assert daemon is not None
    assert workers
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not worker_pids(roost.root))
    roost.variables.clear()
    file.unlink()
    roost.ok("daemon", "start")
    assert prefixes(roost) == []
    assert list((roost.root / "workers").iterdir()) == []
    assert roost.json("build")["build"]["state"] == "succeeded"
    assert roost.ok("exec", "--", "sh", "-c", 'cat "$CONDA_PREFIX"/share/*.txt') == "onethreetwo"


def test_a_daemon_waits_for_the_stopped_worker_of_the_one_before(roost: Roost, tmp_path: Path) -> None:
    """A stopped process is killed all the same, and nothing of it writes into what is deleted."""
    channel = small_channel(tmp_path)
    write_environment(roost, channel, "one")
    file = hold(roost, "conda.linking")
    roost.start("build")
    wait_until(lambda: held_in(roost, "conda.linking"))
    daemon, (worker,) = roost.daemon_pid(), worker_pids(roost.root)
    assert daemon is not None
    os.kill(worker, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    roost.variables.clear()
    file.unlink()
    roost.ok("daemon", "start")
    assert worker_pids(roost.root) == []
    assert prefixes(roost) == []


def test_a_killed_worker_fails_its_build_and_no_other(roost: Roost, tmp_path: Path) -> None:
    channel = small_channel(tmp_path)
    write_environment(roost, channel, "one")
    file = hold(roost, "conda.linking")
    failing = roost.start("build", "--json")
    wait_until(lambda: held_in(roost, "conda.linking"))
    daemon, (worker,) = roost.daemon_pid(), worker_pids(roost.root)
    os.kill(worker, signal.SIGKILL)
    out, _ = failing.communicate(timeout=60)
    assert failing.returncode == 4
    error = json.loads(out.strip().splitlines()[-1])
    assert error["code"] == "worker-crashed"
    assert error["message"] == ("The conda worker ended by signal 9 (SIGKILL) while linking one-1.0; see the log")
    assert error["retryable"]
    file.unlink()
    assert roost.json("build")["build"]["state"] == "succeeded"
    assert roost.daemon_pid() == daemon


def test_a_hostile_package_fails_its_build_by_name_and_no_other(roost: Roost, tmp_path: Path) -> None:
    channel = small_channel(tmp_path)
    write_environment(roost, channel, "one", "two")
    roost.ok("build")
    daemon = roost.daemon_pid()
    sleeping = roost.start("run", "--", "sleep", "600")
    wait_until(
        lambda: roost.json("runs", "list")["runs"][:1] and roost.json("runs", "list")["runs"][0]["state"] == "running"
    )
    folders = [roost.folder / name for name in ("evil", "good")]
    for folder, names in zip(folders, (("one", "evil"), ("one", "three")), strict=True):
        roost.write(f"{folder.name}/environment.yml", YAML.format(channel=channel.as_uri(), names=", ".join(names)))
    good = roost.start("build", "-f", str(folders[1]))
    error = roost.failed(4, "build", "-f", str(folders[0]))
    assert error["code"] == "package-unsafe"
    assert "The package evil-1.0-0 would write outside of the prefix" in error["message"]
    assert good.wait(60) == 0
    assert roost.daemon_pid() == daemon
    assert sleeping.poll() is None
    sleeping.terminate()
    sleeping.communicate(timeout=60)
    assert not (tmp_path / "outside").exists()


POINTS = ["worker.job", "conda.fetched", "conda.fetched:3", "conda.linking", "conda.linking:3", "conda.linked",
          "conda.linked:3", "worker.answer"]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_killed_anywhere_leaves_nothing_that_harms(
    short_folder: Path, point: str, monkeypatch: pytest.MonkeyPatch, workers_end: None
) -> None:
    channel = await asyncio.to_thread(small_channel, short_folder)
    conda = engine(short_folder, short_folder, mirrors={"conda-forge": [channel.as_uri()]})
    packages = await solve(conda, "one", "two", "three")
    monkeypatch.setenv("ROOST_FAILPOINT", point)
    with pytest.raises(WorkerCrashedError, match="SIGKILL"):
        await conda.link(packages, str(short_folder / "p"))
    monkeypatch.delenv("ROOST_FAILPOINT")
    assert [path.name for path in Path(conda.packages_dir).glob(".*") if path.is_dir()] == []
    await conda.link(packages, str(short_folder / "q"))
    found = sorted(path.read_text() for path in (short_folder / "q/share").iterdir())
    assert found == ["one", "three", "two"]
    assert len(list((short_folder / "q/conda-meta").glob("*-1.0-0.json"))) == 3
