"""What a build said, kept as NDJSON: one file a build, readable long after."""

from __future__ import annotations

import asyncio
import logging
import os

import msgspec

from roost.daemon.jobs.shared_task import Listener
from roost.store.disk.layout import Layout
from roost.wire.builds import Message

log = logging.getLogger(__name__)


def log_path(layout: Layout, build_id: str) -> str:
    """Where the log of a build is."""
    return os.path.join(layout.logs, "builds", f"{build_id}.ndjson")


async def keep(listener: Listener, path: str) -> None:
    """Append everything but progress to ``path``, till the flight ends. A log that can't be written ends no build."""
    async for batch in listener.batches():
        kept = [message for message in batch if message.event not in ("progress", "heartbeat")]
        if not kept:
            continue
        try:
            await asyncio.to_thread(_append, path, kept)
        except OSError as error:
            log.warning("Lines of a build's log were lost: %s", error)


def _append(path: str, messages: list[Message]) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "ab") as file:
        file.write(b"".join(msgspec.json.encode(message) + b"\n" for message in messages))


async def read(path: str) -> list[Message]:
    """Everything that was kept; empty where nothing was."""
    return await asyncio.to_thread(_read, path)


def _read(path: str) -> list[Message]:
    try:
        with open(path, "rb") as file:
            return [msgspec.json.decode(line, type=Message) for line in file if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
