"""What keeps the daemon, and the one timer that ends it."""

from __future__ import annotations

import asyncio
import time

import pytest

from roost.daemon.jobs.lifecycle import Lifecycle


async def test_it_stops_once_idle_for_long_enough() -> None:
    lifecycle = Lifecycle(0.05)
    lifecycle.touch()
    await asyncio.wait_for(lifecycle.wait(), 5)
    assert lifecycle.reason == "idle"


async def test_zero_means_never() -> None:
    lifecycle = Lifecycle(0)
    lifecycle.touch()
    await asyncio.sleep(0.1)
    assert not lifecycle.is_stopping


async def test_what_is_held_keeps_it_and_its_end_starts_the_time_anew() -> None:
    lifecycle = Lifecycle(0.1)
    lifecycle.touch()
    with lifecycle.hold("build"), lifecycle.hold("build"):
        assert not lifecycle.is_idle
        assert lifecycle.held == {"build": 2}
        await asyncio.sleep(0.3)
        assert not lifecycle.is_stopping
    assert lifecycle.is_idle
    began = time.monotonic()
    await asyncio.wait_for(lifecycle.wait(), 5)
    assert time.monotonic() - began >= 0.09


async def test_what_the_next_daemon_goes_on_with_keeps_it_and_stops_no_restart() -> None:
    lifecycle = Lifecycle(0.01)
    with lifecycle.hold("bytecode"):
        assert lifecycle.is_idle
        assert not lifecycle.is_at_rest
        assert lifecycle.work == {}
        lifecycle.touch()
        await asyncio.sleep(0.05)
        assert not lifecycle.is_stopping


async def test_a_request_puts_the_end_off() -> None:
    lifecycle = Lifecycle(0.2)
    lifecycle.touch()
    for _ in range(6):
        await asyncio.sleep(0.1)
        lifecycle.touch()
    assert not lifecycle.is_stopping
    await asyncio.wait_for(lifecycle.wait(), 5)


async def test_a_thousand_requests_set_one_timer() -> None:
    lifecycle = Lifecycle(60)
    lifecycle.touch()
    first = lifecycle._timer
    for _ in range(1000):
        lifecycle.touch()
    assert lifecycle._timer is first
    lifecycle.stop("test")
    assert first is not None
    assert first.cancelled()


async def test_hooks_run_last_first_and_one_that_fails_or_hangs_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    order: list[str] = []
    lifecycle = Lifecycle()

    async def first() -> None:
        order.append("first")

    async def fails() -> None:
        raise ValueError("x")

    async def hangs() -> None:
        await asyncio.sleep(60)

    for hook in (first, fails, hangs):
        lifecycle.on_stop(hook)
    await lifecycle.run_hooks(0.05)
    assert order == ["first"]
    assert caplog.text.count("A stop hook failed") == 2
