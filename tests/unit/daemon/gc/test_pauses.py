"""Steps of a collection give way to every request, and go on in a daemon that is never quiet."""

from __future__ import annotations

import asyncio

import pytest

from roost.daemon.gc.pauses import Pauses
from roost.daemon.jobs.lifecycle import Lifecycle


class Step:
    """A step that notes each of its beginnings, and ends by itself at the ``last`` one."""

    def __init__(self, last: int) -> None:
        self.begun: asyncio.Queue[int] = asyncio.Queue()
        self.last = last
        self.count = 0

    async def __call__(self) -> int:
        self.count += 1
        self.begun.put_nowait(self.count)
        if self.count < self.last:
            await asyncio.sleep(600)
        return self.count


async def test_every_request_cancels_a_step_however_long_that_has_worked():
    lifecycle, step = Lifecycle(0), Step(4)
    pauses = Pauses(lifecycle, quiet=0.01, patience=0.1)
    running = asyncio.create_task(pauses.run(step))
    for number in (1, 2, 3):
        assert await asyncio.wait_for(step.begun.get(), 60) == number
        await asyncio.sleep(0.2)  # longer than the patience: only what a step is put off counts
        lifecycle.touch()
    assert await asyncio.wait_for(running, 60) == 4
    assert pauses.interruptions == 3


@pytest.fixture
def first_while(monkeypatch):
    monkeypatch.setattr("roost.daemon.gc.pauses.FIRST_WHILE_SECONDS", 0.02)


async def test_in_a_daemon_that_is_never_quiet_it_has_longer_each_time(first_while):
    lifecycle, attempts = Lifecycle(0), 0
    pauses = Pauses(lifecycle, quiet=600, patience=0.02)

    async def begin_again() -> int:  # like a removal whose worker has to be started each time
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0.1)
        return attempts

    async def keep_busy() -> None:
        while True:
            lifecycle.touch()
            await asyncio.sleep(0.001)

    busy = asyncio.create_task(keep_busy())
    assert await asyncio.wait_for(pauses.run(begin_again), 60) > 1
    busy.cancel()
