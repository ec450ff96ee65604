"""The log file of a build: every message but progress, also after the daemon that wrote it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from roost.daemon.builds.history import mark_joined, read_log, write_log
from roost.daemon.jobs.shared_task import Listener
from roost.store.disk.layout import Layout
from roost.wire.builds import BuildResult, Message


def ended_listener(messages: list[Message]) -> Listener:
    listener = Listener(messages)
    listener.close()
    return listener


MESSAGES = [
    Message(event="build", id="b1"),
    Message(event="progress", step="download", done=1, total=2),
    Message(event="log", line="one"),
    Message(event="heartbeat"),
]


async def test_a_log_has_every_message_but_progress_and_heartbeats(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    await write_log(ended_listener(MESSAGES), layout, "b1")
    assert await read_log(layout, "b1") == [MESSAGES[0], MESSAGES[2]]


async def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    await write_log(ended_listener(MESSAGES), layout, "b1")
    with Path(layout.logs, "builds", "b1.ndjson").open("ab") as file:
        await asyncio.to_thread(file.write, b'{"event":"lo')
    assert len(await read_log(layout, "b1")) == 2


async def test_a_build_without_a_log_has_no_messages(tmp_path: Path) -> None:
    assert await read_log(Layout(str(tmp_path)), "b1") == []


async def test_a_log_that_cant_be_written_ends_no_build(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    layout = Layout(str(tmp_path))
    Path(layout.logs).write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        await write_log(ended_listener(MESSAGES), layout, "b1")
    assert "Lines of a build's log were lost" in caplog.text


@pytest.mark.parametrize(("state", "shown"), [("succeeded", "joined"), ("not-needed", "not-needed")])
def test_only_a_success_is_shown_as_joined(state: str, shown: str) -> None:
    fields: Any = {"lock_digest": None, "generation": None, "artifacts": [], "seconds": 0.0}
    result = BuildResult(id="b1", state=state, definition_digest="d", **fields)
    joined = mark_joined(Message(event="result", result=result), []).result
    assert joined is not None
    assert joined.state == shown
