"""Signals reach a command whose container is about to start. Doubles: a real engine starts it when it likes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.runs import bridge
from roost.daemon.runs.bridge import Bridge
from roost.wire.runs import Frame


async def test_signals_wait_for_the_start_of_the_container_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "SIGNAL_STEP", 0.001)
    taken: list[str] = []
    asked, ended = 0, asyncio.Event()
    frames = [(Frame.SIGNAL, b"SIGINT"), (Frame.SIGNAL, b"SIGTERM")]

    async def kill(container: str, signal: str) -> bool:
        nonlocal asked
        asked += 1
        if asked < 4:
            return False
        taken.append(signal)
        if signal == "SIGTERM":
            ended.set()
        return True

    async def receive() -> tuple[Frame, bytes]:
        if frames:
            return frames.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def read(size: int) -> bytes:
        await ended.wait()
        return b""

    async def wait_exit(container: str) -> int:
        return 143

    engine: Any = SimpleNamespace(kill=kill)
    streams: Any = SimpleNamespace(reader=SimpleNamespace(read=read))
    channel: Any = SimpleNamespace(receive=receive)
    assert await Bridge(engine, "c", streams, channel, at_terminal=False).run(wait_exit) == 143
    assert taken == ["SIGINT", "SIGTERM"]
