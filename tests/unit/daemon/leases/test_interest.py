"""A live lease keeps a build going whose last subscriber left, and only such a lease."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.jobs.shared_task import SharedTask
from roost.daemon.leases.interest import LeaseInterest
from roost.model.records import Lease
from roost.store.clock import rfc3339

DEFINITION = "sha256:definition"


def lease(seconds=60.0, lease_id="l", **fields):
    expires = rfc3339(datetime.now(timezone.utc) + timedelta(seconds=seconds))
    return Lease(id=lease_id, holder="kernel", expires=expires, **{"definition_digest": DEFINITION, **fields})


@pytest.fixture
def lifecycle():
    return Lifecycle()


@pytest.fixture
def interest(lifecycle):
    return LeaseInterest(lifecycle)


class Build:
    """A build that runs until ``finish``, and its only subscriber."""

    def __init__(self):
        self.finish = asyncio.Event()
        self.task = SharedTask(self._run)
        self.subscriber = self.task.subscribe()

    async def _run(self, task):
        await self.finish.wait()
        return "built"

    def leave(self, interest):
        interest.take_over(self.task, {DEFINITION})
        self.task.unsubscribe(self.subscriber)


async def has_been_cancelled(build):
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return build.task.is_cancelling


async def test_without_a_lease_the_build_is_cancelled(interest):
    build = Build()
    build.leave(interest)
    assert await has_been_cancelled(build)


@pytest.mark.parametrize("fields", [{}, {"kind": "prefix", "target": DEFINITION, "definition_digest": None}])
async def test_with_a_lease_it_goes_on_and_holds_the_daemon(interest, lifecycle, fields):
    interest.put(lease(**fields))
    build = Build()
    build.leave(interest)
    assert not await has_been_cancelled(build)
    assert not lifecycle.is_idle
    build.finish.set()
    assert await build.task.outcome() == "built"
    while not lifecycle.is_idle:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "other",
    [
        lease(definition_digest="sha256:other"),
        lease(seconds=-1),
        lease(definition_digest=None, kind="image", target="k"),
    ],
)
async def test_a_lease_on_something_else_or_an_expired_one_does_not_count(interest, other):
    interest.put(other)
    build = Build()
    build.leave(interest)
    assert await has_been_cancelled(build)


async def test_the_build_is_cancelled_when_the_last_lease_is_released(interest, lifecycle):
    interest.load([lease(), lease(lease_id="second")])
    build = Build()
    build.leave(interest)
    interest.delete("l")
    assert not await has_been_cancelled(build)
    interest.delete("second")
    await build.task.wait_end()
    assert build.task.is_cancelling
    while not lifecycle.is_idle:
        await asyncio.sleep(0.01)


async def test_the_build_is_cancelled_when_the_lease_expires(interest):
    interest.put(lease(seconds=0.2))
    build = Build()
    build.leave(interest)
    await asyncio.wait_for(build.task.wait_end(), 10)
    assert build.task.is_cancelling


async def test_a_renewal_lets_it_go_on(interest):
    interest.put(lease(seconds=0.2))
    build = Build()
    build.leave(interest)
    interest.put(lease())
    await asyncio.sleep(0.4)
    assert not build.task.is_cancelling
    await interest.stop()
    await build.task.wait_end()


async def test_stopping_withdraws_all_interest(interest, lifecycle):
    interest.put(lease())
    build = Build()
    build.leave(interest)
    await asyncio.sleep(0)
    await interest.stop()
    await build.task.wait_end()
    assert build.task.is_cancelling
    assert lifecycle.is_idle
