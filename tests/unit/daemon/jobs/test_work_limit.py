"""A limit on work: never more at a time, in the order of the requests, with reports, whoever leaves while he waits."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.background.work import BackgroundWork, GaveWayError
from roost.daemon.jobs import work_limit
from roost.daemon.jobs.progress import Silent, StepKind
from roost.daemon.jobs.work_limit import WorkLimit


class Recorded(Silent):
    """Notes what is reported of the step ``wait``."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []

    def start(self, step: StepKind, total: int | None = None) -> None:
        self.notes.append(("start", step, total))

    def advance(self, step: StepKind, done: int, total: int | None = None) -> None:
        self.notes.append(("advance", step, done, total))

    def finish(self, step: StepKind) -> None:
        self.notes.append(("finish", step))


async def test_who_need_not_wait_reports_nothing():
    limit, progress = WorkLimit(2), Recorded()
    async with limit.hold(progress), limit.hold(progress):
        assert (limit.running, limit.waiting) == (2, 0)
    assert progress.notes == []
    assert limit.running == 0


async def test_waiting_is_reported_with_the_number_that_are_ahead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(work_limit, "_REPORT_SECONDS", 0.0)
    limit, reports, doors = WorkLimit(1), [Recorded() for _ in range(3)], [asyncio.Event() for _ in range(3)]

    async def work(place: int) -> None:
        async with limit.hold(reports[place]):
            await doors[place].wait()

    tasks = [asyncio.create_task(work(place)) for place in range(3)]
    await asyncio.sleep(0)
    assert [report.notes for report in reports] == [[], [("start", "wait", 1)], [("start", "wait", 2)]]
    doors[0].set()
    await tasks[0]
    assert reports[1].notes[1:] == [("finish", "wait")]
    assert reports[2].notes[1:] == [("advance", "wait", 1, 2)]
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    assert reports[2].notes[2:] == [("finish", "wait")]
    doors[2].set()
    await tasks[2]
    assert limit.running == 0


async def test_reports_of_one_waiter_are_rare():
    limit, progress, doors = WorkLimit(1), Recorded(), [asyncio.Event() for _ in range(50)]

    async def work(door: asyncio.Event) -> None:
        async with limit.hold(Silent()):
            await door.wait()

    tasks = [asyncio.create_task(work(door)) for door in doors]
    await asyncio.sleep(0)

    async def last() -> None:
        async with limit.hold(progress):
            pass

    waiting = asyncio.create_task(last())
    await asyncio.sleep(0)
    for door in doors:
        door.set()
    await asyncio.gather(*tasks, waiting)
    assert progress.notes == [("start", "wait", 50), ("finish", "wait")]


@given(
    limit=st.integers(1, 4),
    events=st.lists(st.tuples(st.sampled_from(["ask", "end", "leave", "fail"]), st.integers(0, 20)), max_size=40),
)
def test_never_more_than_allowed_in_order_and_nobody_is_forgotten(limit: int, events: list[tuple[str, int]]):
    asyncio.run(play(limit, events))


async def play(limit: int, events: list[tuple[str, int]]) -> None:
    bound = WorkLimit(limit)
    begun: list[int] = []
    running: set[int] = set()
    doors: list[asyncio.Event] = []
    tasks: list[asyncio.Task[None]] = []
    failing: set[int] = set()

    async def work(number: int) -> None:
        async with bound.hold(Silent()):
            begun.append(number)
            running.add(number)
            assert len(running) <= limit
            try:
                await doors[number].wait()
            finally:
                running.discard(number)
            if number in failing:
                raise OSError

    for kind, number in events:
        if kind == "ask":
            doors.append(asyncio.Event())
            tasks.append(asyncio.create_task(work(len(tasks))))
        elif number < len(tasks):
            if kind == "leave":
                tasks[number].cancel()
            else:
                failing |= {number} if kind == "fail" else set()
                doors[number].set()
        if number % 2:  # else the next event comes before anything has noticed this one
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    for door in doors:
        door.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert begun == sorted(begun)
    left = {number for number, task in enumerate(tasks) if task.cancelled()}
    assert set(begun) | left == set(range(len(tasks)))
    assert (bound.running, bound.waiting) == (0, 0)


async def test_background_work_never_has_the_place_of_somebody_who_waits():
    limit, running = WorkLimit(1), asyncio.Event()

    async def behind() -> None:
        async with limit.hold(Silent()):
            running.set()
            await asyncio.Event().wait()

    work = asyncio.create_task(BackgroundWork().run(behind))
    await running.wait()
    async with limit.hold(Silent()):
        assert (limit.running, limit.waiting) == (1, 0)
    work.cancel()
    await asyncio.wait([work])


async def test_what_is_exclusive_is_given_up_and_taken_last_by_background_work():
    limit, order, running = WorkLimit(1, exclusive=True), list[str](), asyncio.Event()

    async def behind() -> None:
        async with limit.hold(Silent()):
            running.set()
            await asyncio.Event().wait()

    async def note(name: str) -> None:
        async with limit.hold(Silent()):
            order.append(name)
            await asyncio.sleep(0)

    holder = asyncio.create_task(BackgroundWork().run(behind))
    await running.wait()
    last = asyncio.create_task(BackgroundWork().run(lambda: note("background")))
    await asyncio.sleep(0.01)
    await asyncio.gather(*(note(f"{place}") for place in range(3)), last)
    assert order == ["0", "1", "2", "background"]
    with pytest.raises(GaveWayError):
        await holder
    assert limit.running == 0
