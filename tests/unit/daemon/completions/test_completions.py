"""Files of values follow the index."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.unit.store.conftest import root, store
from tests.unit.store.index.tables.test_environments import new

from roost.daemon.completions import completions
from roost.daemon.completions.completions import CompletionFiles
from roost.daemon.jobs.events import Events
from roost.store.store import Store

__all__ = ["root", "store"]


@pytest.fixture
async def events(store: Store, monkeypatch: pytest.MonkeyPatch) -> Events:
    for name in ("DELAY_SECONDS", "INTERVAL_SECONDS", "START_SECONDS"):
        monkeypatch.setattr(completions, name, 0.01)
    return Events(store.index, keep=100)


async def wait_for(path: Path, text: str) -> None:
    while not path.exists() or path.read_text() != text:
        await asyncio.sleep(0.01)


async def test_files_are_replaced_after_changes_and_only_those_that_changed(store: Store, events: Events) -> None:
    files = CompletionFiles(store.layout.completions, store.index)
    files.start(events)
    folder = Path(store.layout.completions) / "1"
    await wait_for(folder / "environments", "end 0\n")
    targets = os.stat(folder / "targets").st_ino
    await store.index.environments.register(new("train", "six==1", labels=("prod",)))
    await store.index.environments.register(new("train", "six==2"))
    await events.append("environment-registered", name="train")
    await wait_for(folder / "environments", "train\t@latest :2 @prod :1\nend 1\n")
    await wait_for(folder / "labels", "prod\nend 1\n")
    assert os.stat(folder / "targets").st_ino == targets
    assert (folder / "targets").read_text() == "auto\ndocker\nlocal\nend 3\n"
    await files.stop()
    assert not [name for name in os.listdir(folder) if name.endswith(".new")]


async def test_a_change_right_before_the_end_is_written(store: Store, events: Events) -> None:
    files = CompletionFiles(store.layout.completions, store.index)
    files.start(events)
    await store.index.environments.register(new("train", "six==1"))
    files.note_change()
    await files.stop()
    assert (Path(store.layout.completions) / "1" / "environments").read_text() == "train\t@latest :1\nend 1\n"


async def test_a_folder_that_can_not_be_written_harms_nothing(store: Store, events: Events) -> None:
    Path(store.layout.completions).write_text("in the way")
    files = CompletionFiles(store.layout.completions, store.index)
    files.start(events)
    await files.stop()
    assert Path(store.layout.completions).read_text() == "in the way"


async def test_a_root_that_was_removed_is_not_made_again(store: Store, events: Events) -> None:
    removed = Path(f"{store.layout.root}.removed")
    files = CompletionFiles(f"{removed}/completions", store.index)
    files.start(events)
    await files.stop()
    assert not removed.exists()
