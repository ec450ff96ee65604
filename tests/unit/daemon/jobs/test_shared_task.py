"""Single flight with interest: one execution, all see it, the last one who leaves cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.background.work import BackgroundWork, GaveWayError, is_background
from roost.daemon.jobs.shared_task import SharedTask, SharedTasks
from roost.wire.builds import Message

Start = Callable[[SharedTask[int]], Awaitable[int]]


def counting(gate: asyncio.Event) -> tuple[Start, list[str]]:
    """A start that notes what became of it and ends when the gate opens."""
    notes: list[str] = []

    async def start(task: SharedTask[int]) -> int:
        notes.append("started")
        task.publish(Message(event="log", line="one"))
        try:
            await gate.wait()
        except asyncio.CancelledError:
            notes.append("cancelled")
            raise
        task.publish(Message(event="log", line="two"))
        return 42

    return start, notes


async def lines(tasks: SharedTasks[int], start: Start) -> list[str | None]:
    async with tasks.join("key", start) as (_, listener, _joined):
        return [message.line async for message in listener.messages()]


async def test_all_share_one_execution_and_late_ones_get_what_they_missed() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    gate = asyncio.Event()
    start, notes = counting(gate)
    early = [asyncio.create_task(lines(tasks, start)) for _ in range(50)]
    await asyncio.sleep(0)
    late = asyncio.create_task(lines(tasks, start))
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*early, late) == [["one", "two"]] * 51
    assert notes == ["started"]
    assert len(tasks) == 0


async def test_one_of_two_leaving_changes_nothing_and_the_last_cancels() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    start, notes = counting(asyncio.Event())
    first, second = (asyncio.create_task(lines(tasks, start)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    assert notes == ["started"]
    second.cancel()
    await asyncio.wait([second])
    assert notes == ["started", "cancelled"]


async def test_who_comes_while_a_task_is_cancelled_gets_a_new_one() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    slow_end, gate = asyncio.Event(), asyncio.Event()
    notes: list[str] = []

    async def start(task: SharedTask[int]) -> int:
        notes.append("started")
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await slow_end.wait()
            notes.append("ended")
            raise
        return 7

    first = asyncio.create_task(lines(tasks, start))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)

    async def outcome() -> tuple[int, bool]:
        async with tasks.join("key", start) as (task, _, joined):
            return await task.outcome(), joined

    second = asyncio.create_task(outcome())
    await asyncio.sleep(0.01)
    assert notes == ["started"]
    slow_end.set()
    gate.set()
    assert await second == (7, False)
    assert notes == ["started", "ended", "started"]


async def test_a_failure_reaches_everyone_and_the_next_one_starts_anew() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    tries: list[int] = []

    async def start(task: SharedTask[int]) -> int:
        tries.append(1)
        await asyncio.sleep(0.01)
        raise ValueError("no")

    async def outcome() -> int:
        async with tasks.join("key", start) as (task, _, _joined):
            return await task.outcome()

    results = await asyncio.gather(*(outcome() for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 5
    with pytest.raises(ValueError, match="no"):
        await outcome()
    assert len(tries) == 2


async def test_progress_that_nobody_read_is_replaced_by_newer_progress() -> None:
    tasks: SharedTasks[int] = SharedTasks()

    async def start(task: SharedTask[int]) -> int:
        for done in range(1000):
            task.publish(Message(event="progress", step="download", done=done, total=1000))
        task.publish(Message(event="log", line="end"))
        return 0

    async with tasks.join("key", start) as (_, listener, _joined):
        seen = [message async for message in listener.messages()]
    assert [message.event for message in seen] == ["progress", "log"]
    assert seen[0].done == 999


async def test_listening_shows_no_interest() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    start, notes = counting(asyncio.Event())
    async with tasks.join("key", start) as (task, _, _joined):
        await asyncio.sleep(0)
        overheard = task.listen()
    assert notes == ["started", "cancelled"]
    assert [message.line async for message in overheard.messages()] == ["one"]


async def test_background_work_gives_way_to_whoever_asks_for_the_same() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    gate = asyncio.Event()
    start, notes = counting(gate)
    behind = asyncio.create_task(BackgroundWork().run(lambda: lines(tasks, start)))
    while notes != ["started"]:
        await asyncio.sleep(0)
    in_front = asyncio.create_task(lines(tasks, start))
    with pytest.raises(GaveWayError):
        await behind
    while notes != ["started", "cancelled", "started"]:
        await asyncio.sleep(0)
    gate.set()
    assert await in_front == ["one", "two"]
    assert notes == ["started", "cancelled", "started"]


async def test_of_many_who_ask_one_replaces_background_work() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    gate = asyncio.Event()
    start, notes = counting(gate)
    behind = asyncio.create_task(BackgroundWork().run(lambda: lines(tasks, start)))
    while notes != ["started"]:
        await asyncio.sleep(0)
    many = [asyncio.create_task(lines(tasks, start)) for _ in range(20)]
    await asyncio.wait([behind])
    gate.set()
    assert await asyncio.gather(*many) == [["one", "two"]] * 20
    assert notes == ["started", "cancelled", "started"]


async def test_background_work_waits_for_somebodys_task_without_interest_in_it() -> None:
    tasks: SharedTasks[int] = SharedTasks()
    gate = asyncio.Event()
    start, notes = counting(gate)
    in_front = asyncio.create_task(lines(tasks, start))
    await asyncio.sleep(0)
    behind = asyncio.create_task(BackgroundWork().run(lambda: lines(tasks, start)))
    await asyncio.sleep(0.01)
    in_front.cancel()  # the last one who is interested
    while notes != ["started", "cancelled", "started"]:
        await asyncio.sleep(0)
    gate.set()
    assert await behind == ["one", "two"]


class Crowd:
    """People and background work that ask for one key and leave, and what becomes of it."""

    def __init__(self) -> None:
        self.tasks: SharedTasks[int] = SharedTasks()
        self.gate = asyncio.Event()
        self.running = 0
        self.people: list[asyncio.Task[list[str | None]]] = []
        self.behind: list[asyncio.Task[list[str | None]]] = []

    async def start(self, task: SharedTask[int]) -> int:
        assert self.running == 0, "two executions at a time"
        assert task.is_background == is_background()
        self.running += 1
        try:
            task.publish(Message(event="log", line="behind" if task.is_background else "in front"))
            await self.gate.wait()
            return 42
        finally:
            await asyncio.sleep(0)  # cleaning up takes a while
            self.running -= 1

    def act(self, action: tuple[str, int]) -> None:
        name, number = action
        if name == "ask":
            self.people.append(asyncio.ensure_future(lines(self.tasks, self.start)))
        elif name == "prebuild":
            self.behind.append(asyncio.ensure_future(BackgroundWork().run(lambda: lines(self.tasks, self.start))))
        elif name == "leave" and self.people:
            self.people.pop(number % len(self.people)).cancel()
        elif name == "withdraw" and self.behind:
            self.behind.pop(number % len(self.behind)).cancel()


ACTIONS = st.tuples(st.sampled_from(["ask", "prebuild", "leave", "withdraw", "wait", "wait"]), st.integers(0, 5))


@given(st.lists(ACTIONS, max_size=25))
def test_whoever_asks_gets_a_result_that_no_background_work_made(actions: list[tuple[str, int]]) -> None:
    async def play() -> None:
        crowd = Crowd()
        for action in actions:
            crowd.act(action)
            if action[0] == "wait":
                for _ in range(action[1]):
                    await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(crowd.gate.set)
        for each in crowd.people:
            assert (await asyncio.wait_for(each, 10))[-1] == "in front"
        for outcome in await asyncio.gather(*crowd.behind, return_exceptions=True):
            assert isinstance(outcome, GaveWayError) or outcome[-1] in ("behind", "in front")
        await asyncio.sleep(0)
        assert len(crowd.tasks) == 0

    asyncio.run(play())
