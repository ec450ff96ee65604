"""Holds and claims: a claim never waits, a user waits for the end of a claim."""

from __future__ import annotations

import asyncio

from roost.daemon.jobs.holds import EVERYTHING, Holds


async def test_what_is_held_can_not_be_claimed_until_the_last_user_leaves():
    holds = Holds()
    async with holds.hold(["a", "b"]):
        async with holds.hold(["a"]), holds.claim("a") as free:
            assert not free
        async with holds.claim("a") as free:
            assert not free
        async with holds.claim("c") as free:
            assert free
    async with holds.claim("a") as free:
        assert free


async def test_a_user_waits_for_the_end_of_a_claim():
    holds, order = Holds(), []

    async def use() -> None:
        async with holds.hold(["x", "a"]):
            order.append("used")

    async with holds.claim("a") as free:
        task = asyncio.create_task(use())
        for _ in range(5):
            await asyncio.sleep(0)
        order.append("claimed")
        async with holds.claim("a") as again:
            assert (free, again) == (True, False)
    await task
    assert order == ["claimed", "used"]


async def test_everything_is_held_by_who_can_not_name_it():
    holds = Holds()
    async with holds.hold([EVERYTHING]), holds.claim("a") as free:
        assert not free
    async with holds.claim("a") as free:
        waiting = asyncio.create_task(holds.hold([EVERYTHING]).__aenter__())
        await asyncio.sleep(0)
        assert (free, waiting.done()) == (True, False)
    await waiting


async def test_a_cancelled_user_holds_nothing():
    holds = Holds()
    async with holds.claim("a"):
        waiting = asyncio.create_task(holds.hold(["a"]).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.wait([waiting])
    async with holds.claim("a") as free:
        assert free
