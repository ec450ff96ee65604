"""A file watcher for tests, and scenarios that need namespaces of their own:
``python -m tests.support.file_watching SCENARIO FOLDER``, inside of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Set
from pathlib import Path

from roost.daemon.watch.files import looking, methods
from roost.daemon.watch.files.methods import WatchKind
from roost.daemon.watch.files.watcher import FileWatcher

PATIENCE = 30.0


class Watched:
    """A watcher, and the owners that it reported: each as often as it was."""

    def __init__(self, **options):
        self.reports: list[str] = []
        self.on_report: Callable[[Set[str]], None] = lambda owners: None
        self._news = asyncio.Event()
        self.watcher = FileWatcher(self._note, **options)
        self.watch = self.watcher.watch
        self.describe = self.watcher.describe

    def _note(self, owners):
        self.reports += sorted(owners)
        self.on_report(owners)
        self._news.set()

    def forget_reports(self):
        self.reports.clear()

    async def until(self, *owners):
        """Wait until all ``owners`` were reported."""
        await self.until_true(lambda: set(owners) <= set(self.reports))

    async def until_true(self, condition):
        """Wait until ``condition`` holds, which is tried after each report and now and then."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while not condition():
            assert asyncio.get_running_loop().time() < end, f"only {self.reports} were reported"
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), 0.05)
            except asyncio.TimeoutError:
                continue

    async def settle(self):
        """Have everything looked at that has changed until now; forget what was reported."""
        await self.watcher.look_again()
        self.forget_reports()

    async def no_more(self, folder: Path):
        """Wait until all notices of changes until now are served: until that of a later one is."""
        probe = folder / "probe"
        await self.watch("probe", [str(probe)])
        probe.write_text("x")
        await self.until("probe")
        await self.watcher.forget("probe")
        probe.unlink()
        self.reports = [each for each in self.reports if each != "probe"]


def poll_quickly():
    """Poll ten times a second, and try as often to do without."""
    methods.MIN_POLL_SECONDS = methods.MAX_POLL_SECONDS = 0.05
    looking.RECOVERY_SECONDS = 0.1


def save(path: Path, text: str) -> None:
    """Save as vim and most editors do."""
    part = path.with_name(f"{path.name}~")
    part.write_text(text)
    part.rename(path)


async def use_up_limits(folder: Path) -> None:
    """Without inotify instances, then with few watches, then with enough."""
    poll_quickly()
    places = {name: folder / name / "environment.yml" for name in "abcd"}
    for path in places.values():
        path.parent.mkdir()
        path.write_text("one")
    set_limit("instances", 0)
    enough = len(folder.parts) - 1 + 2
    set_limit("watches", enough)
    watched = Watched()
    for name, path in places.items():
        await watched.watch(name, [str(path)])
    told = {name: watched.describe(name) for name in places}
    assert {each.kind for each in told.values()} == {WatchKind.POLLING}, told
    assert "user.max_inotify_instances (now 0)" in told["a"].reason, told
    assert "sudo sysctl user.max_inotify_instances=1024" in told["a"].reason, told
    await check_saves(watched, places, "polled")
    set_limit("instances", 8)
    await watched.until_true(lambda: watched.describe("a").kind is WatchKind.INOTIFY)
    await watched.until_true(lambda: f"user.max_inotify_watches (now {enough})" in watched.describe("d").reason)
    assert watched.describe("d").kind is WatchKind.POLLING
    await check_saves(watched, places, "some of each")
    set_limit("watches", 100)
    await watched.until_true(lambda: watched.describe("d").kind is WatchKind.INOTIFY)
    await check_saves(watched, places, "watched")
    await watched.watcher.close()


async def check_saves(watched: Watched, places, text):
    watched.forget_reports()
    for path in places.values():
        save(path, text)
    await watched.until(*places)


def set_limit(name, value):
    Path(f"/proc/sys/user/max_inotify_{name}").write_text(str(value))


async def change_mounts(folder: Path) -> None:
    """Something is mounted over a watched folder, and unmounted; a folder is written to through another mount."""
    path = folder / "project" / "environment.yml"
    path.parent.mkdir()
    path.write_text("below")
    watched = Watched()
    await watched.watch("a", [str(path)])
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(path.parent)], check=True)
    await watched.until("a")
    await watched.settle()
    path.write_text("on top")
    await watched.until("a")
    await watched.settle()
    subprocess.run(["umount", str(path.parent)], check=True)
    await watched.until("a")
    await watched.settle()
    (folder / "other").mkdir()
    subprocess.run(["mount", "--bind", str(path.parent), str(folder / "other")], check=True)
    save(folder / "other" / "environment.yml", "through the other")
    await watched.until("a")
    await watched.watch("b", [str(folder / "other" / "environment.yml")])
    await watched.settle()
    save(path, "for both")
    await watched.until("a", "b")
    await watched.watcher.forget("a")
    await watched.settle()
    save(path, "for the one that is left")
    await watched.until("b")
    await watched.watcher.close()


SCENARIOS = {"limits": use_up_limits, "mounts": change_mounts}

if __name__ == "__main__":
    asyncio.run(SCENARIOS[sys.argv[1]](Path(sys.argv[2])))
