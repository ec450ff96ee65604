"""A real daemon that prebuilds: `roost run` in its middle, a kill in its middle, and what is left of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rattler.index import index_fs
from tests.support.channel.hostile import write_hostile
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.daemon.background.priority import read_priority
from roost.store.failpoints import HOLD, TRACE

pytestmark = [pytest.mark.starts_daemon]
DEFINITION = "channels: [conda-forge]\ndependencies: [one, two]\n"


class Held:
    """A root whose workers wait at the point ``conda.linked`` while ``hold`` exists."""

    def __init__(self, roost: Roost, folder: Path) -> None:
        self.roost = roost
        self.hold = folder / "hold"
        self.trace = folder / "trace"
        self.hold.touch()
        roost.variables |= {HOLD: f"conda.linked={self.hold}", TRACE: str(self.trace)}

    @property
    def reached(self) -> int:
        return self.trace.read_text().count("point conda.linked") if self.trace.exists() else 0

    def workers(self) -> dict[int, int]:
        """Return the nice value of each conda worker of this root by its process."""
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
                if b"roost.daemon.workers.main" in words and any(w.startswith(bytes(self.roost.root)) for w in words):
                    found[int(name)] = read_priority(int(name))[0]
            except OSError:
                continue
        return found

    def lowered(self) -> list[int]:
        """Return the conda workers of lowest priority."""
        return [pid for pid, nice in self.workers().items() if nice == 19]

    def state(self) -> str:
        [watch] = self.roost.json("watch", "list")["watches"]
        return str(watch["state"])


@pytest.fixture
async def held(pip_index: PipIndex, tmp_path: Path) -> Iterator[Held]:
    channel = tmp_path / "channel"
    for name in ("one", "two"):
        write_hostile(channel, name, {f"share/{name}.txt": name})
    await index_fs(channel, write_zst=False, write_shards=False, force=True)
    roost = new_roost(forks_daemon=False)
    roost.config.write_text(
        f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel.as_uri()}"]\n'
        "[watch]\nmax_load = 0\non_battery = true\n"
    )
    roost.write("environment.yml", DEFINITION)
    yield Held(roost, tmp_path)
    roost.end()


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_a_run_in_the_middle_of_a_prebuild_gets_normal_priority(held: Held) -> None:
    roost = held.roost
    roost.ok("watch", "add", "environment.yml")
    until(lambda: held.reached > 0)
    [behind] = held.lowered()
    reached = held.reached
    run = roost.start("run", "sh", "-c", 'cat "$CONDA_PREFIX/share/one.txt"')
    until(lambda: held.reached > reached)
    assert behind not in held.workers()
    assert held.lowered() == []  # who is held now has normal priority
    held.hold.unlink()
    output, errors = run.communicate(timeout=60)
    assert (output, run.returncode) == ("one", 0), errors
    until(lambda: held.state() == "warm")
    states = sorted(build["state"] for build in roost.json("builds", "list")["builds"])
    assert states == ["cancelled", "succeeded"]


def test_a_killed_daemon_leaves_nothing_and_its_successor_prebuilds_again(held: Held) -> None:
    roost = held.roost
    roost.ok("watch", "add", "environment.yml")
    until(lambda: held.reached > 0)
    [behind] = held.lowered()
    pid = roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: behind not in held.workers())
    held.hold.unlink()
    until(lambda: held.state() == "warm")
    assert len([name for name in os.listdir(roost.root / "prefixes") if "." not in name]) == 1
    states = sorted(build["state"] for build in roost.json("builds", "list")["builds"])
    assert states == ["failed", "succeeded"]
