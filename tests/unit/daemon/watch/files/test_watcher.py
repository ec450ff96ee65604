"""FileWatcher on real files: what is reported, and what is not."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from roost.daemon.watch.files.watcher import FileWatcher

PATIENCE = 20.0


class Watched:
    """A watcher with the owners that were reported, each with the number of reports."""

    def __init__(self, **options):
        self.reports: list[str] = []
        self._news = asyncio.Event()
        self.watcher = FileWatcher(self._note, **options)

    def _note(self, owners):
        self.reports += sorted(owners)
        self._news.set()

    async def until(self, owner, count=1):
        """Wait until an owner was reported so many times."""
        async with asyncio.timeout(PATIENCE):
            while self.reports.count(owner) < count:
                self._news.clear()
                await self._news.wait()

    async def settle(self):
        """Wait until all notices that have come are served."""
        await self.watcher.look_again()


@pytest.fixture
async def watched():
    found = Watched()
    yield found
    await found.watcher.close()


@pytest.fixture
def file(tmp_path: Path):
    path = tmp_path / "project" / "environment.yml"
    path.parent.mkdir()
    path.write_text("one")
    return path


def replace(path, text):
    """Save as vim and most editors do."""
    part = path.with_name(f"{path.name}~")
    part.write_text(text)
    part.rename(path)


async def test_saves_by_rename_and_by_truncation_are_all_seen(watched, file):
    await watched.watcher.watch("a", [str(file)])
    for number in range(1, 4):
        replace(file, f"saved {number}")
        await watched.until("a", number)
    seen = len(watched.reports)
    file.write_text("truncated")
    await watched.until("a", seen + 1)


async def test_what_changes_no_content_is_not_reported(watched, file):
    await watched.watcher.watch("a", [str(file)])
    os.utime(file)
    file.chmod(0o600)
    file.write_bytes(file.read_bytes() if file.stat().st_size else b"")
    (file.parent / ".git").mkdir()
    for _ in range(3):
        lock = file.parent / ".git" / "index.lock"
        lock.write_text("x")
        lock.unlink()
        (file.parent / ".environment.yml.swp").write_text("swap")
    replace(file, "one")
    os.link(file, file.parent / "link")
    await watched.settle()
    assert set(watched.reports) <= {"a"}
    file.unlink()
    await watched.until("a")


async def test_a_folder_that_is_removed_and_returns(watched, file):
    await watched.watcher.watch("a", [str(file)])
    shutil.rmtree(file.parent)
    await watched.until("a")
    await watched.settle()
    count = watched.reports.count("a")
    file.parent.mkdir()
    file.write_text("one again")
    await watched.until("a", count + 1)
    await watched.settle()
    count = watched.reports.count("a")
    replace(file, "two")
    await watched.until("a", count + 1)
