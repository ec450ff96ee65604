"""Work in idleness: when it runs, what interrupts it, and how often it runs over restarts and jumps of the clock."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.jobs.idle_work import IdleWork, find_due_in
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.model.errors import StoreFullError
from roost.store.clock import rfc3339

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


class MemoryRecords:
    """Stands for the table of the index."""

    def __init__(self) -> None:
        self.ended: dict[str, str] = {}
        self.full = False

    async def list_last_runs(self) -> dict[str, str]:
        return dict(self.ended)

    async def record_run(self, name: str, ended: str) -> None:
        if self.full:
            raise StoreFullError("No space left")
        self.ended[name] = ended


class Probe:
    """Work that notes what happened to it."""

    def __init__(self, *, endless: bool = False) -> None:
        self.endless = endless
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.count = 0

    async def run(self) -> None:
        self.count += 1
        self.began.set()
        if self.endless:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()


def idle_work(records: MemoryRecords, lifecycle: Lifecycle, now: datetime = NOON) -> IdleWork:
    return IdleWork(records, lifecycle, lambda: 0.01, lambda: now)  # type: ignore[arg-type]


async def wait_for(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 10)


async def until_asleep(work: IdleWork) -> None:
    """Wait until everything that was due has run: the timer of the next due time is set."""
    while work._task is not None or work._timer is None or work._ended is None:
        await asyncio.sleep(0.005)


async def test_it_runs_when_nothing_happens_and_is_recorded() -> None:
    records, probe = MemoryRecords(), Probe()
    work = idle_work(records, Lifecycle())
    work.register("probe", 60, probe.run)
    work.start()
    await wait_for(probe.began)
    await until_asleep(work)
    assert records.ended == {"probe": rfc3339(NOON)}
    await work.stop()


async def test_it_does_not_run_while_the_daemon_is_held_and_runs_after_it() -> None:
    lifecycle, probe = Lifecycle(), Probe()
    work = idle_work(MemoryRecords(), lifecycle)
    work.register("probe", 60, probe.run)
    with lifecycle.hold("build"):
        work.start()
        await asyncio.sleep(0.05)
        assert probe.count == 0
    await wait_for(probe.began)
    await work.stop()


async def test_it_runs_while_files_are_watched() -> None:
    lifecycle, probe = Lifecycle(), Probe()
    work = idle_work(MemoryRecords(), lifecycle)
    work.register("probe", 60, probe.run)
    with lifecycle.hold("watch"):
        work.start()
        await wait_for(probe.began)
    await work.stop()


async def test_a_request_cancels_it_and_it_begins_again_later_unrecorded_until_its_end() -> None:
    records, lifecycle, probe = MemoryRecords(), Lifecycle(), Probe(endless=True)
    work = idle_work(records, lifecycle)
    work.register("probe", 60, probe.run)
    work.start()
    await wait_for(probe.began)
    probe.began.clear()
    with lifecycle.hold("request"):
        await wait_for(probe.cancelled)
        assert not records.ended
    probe.endless = False
    await wait_for(probe.began)
    await until_asleep(work)
    assert list(records.ended) == ["probe"]
    await work.stop()


async def test_interrupted_work_lets_others_that_are_due_run_first() -> None:
    lifecycle, first, second = Lifecycle(), Probe(endless=True), Probe(endless=True)
    work = idle_work(MemoryRecords(), lifecycle)
    work.register("first", 60, first.run)
    work.register("second", 60, second.run)
    work.start()
    await wait_for(first.began)
    lifecycle.touch()
    await wait_for(second.began)
    assert first.count == 1
    await work.stop()


async def test_one_failure_neither_ends_the_others_nor_is_repeated_at_once() -> None:
    records, probe = MemoryRecords(), Probe()
    work = idle_work(records, Lifecycle())

    async def fail() -> None:
        raise RuntimeError("broken")

    work.register("broken", 60, fail)
    work.register("probe", 60, probe.run)
    work.start()
    await wait_for(probe.began)
    await until_asleep(work)
    assert sorted(records.ended) == ["broken", "probe"]
    await work.stop()


async def test_it_is_not_repeated_when_its_end_could_not_be_stored() -> None:
    records, lifecycle, probe = MemoryRecords(), Lifecycle(), Probe()
    records.full = True
    work = idle_work(records, lifecycle)
    work.register("probe", 60, probe.run)
    work.start()
    await wait_for(probe.began)
    await until_asleep(work)
    work._on_timer()
    await until_asleep(work)
    assert probe.count == 1
    await work.stop()


async def test_stop_cancels_it_and_waits_for_its_end() -> None:
    probe = Probe(endless=True)
    work = idle_work(MemoryRecords(), Lifecycle())
    work.register("probe", 60, probe.run)
    work.start()
    await wait_for(probe.began)
    await work.stop()
    assert probe.cancelled.is_set()


async def test_once_a_day_holds_over_a_restart() -> None:
    records, early, late = MemoryRecords(), Probe(), Probe()
    records.ended = {"daily": rfc3339(NOON - timedelta(hours=23)), "due": rfc3339(NOON - timedelta(hours=25))}
    work = idle_work(records, Lifecycle())
    work.register("daily", 86_400, early.run)
    work.register("due", 86_400, late.run)
    work.start()
    await wait_for(late.began)
    await until_asleep(work)
    assert early.count == 0
    await work.stop()


async def test_it_does_not_postpone_the_idle_exit() -> None:
    lifecycle, probe = Lifecycle(0.1), Probe(endless=True)
    work = idle_work(MemoryRecords(), lifecycle)
    work.register("probe", 60, probe.run)
    work.start()
    lifecycle.touch()
    await asyncio.wait_for(lifecycle.wait(), 10)
    assert probe.count == 1
    await work.stop()


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)), st.floats(1, 10**7))
def test_it_is_due_after_its_period_and_whenever_its_end_is_in_the_future(ago: timedelta, period: float) -> None:
    due_in = find_due_in(rfc3339(NOON - ago), period, NOON)
    if ago < timedelta(0):
        assert due_in == 0
    else:
        assert due_in == period - ago.total_seconds()
    assert due_in <= period


@given(st.text(max_size=30))
def test_an_end_that_is_no_time_counts_as_none(text: str) -> None:
    assert find_due_in(text, 60, NOON) <= 60
