"""Workers: a job's result, errors and reports travel; a crash, a hang or a cancellation ends one worker only."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.worker_jobs import KIND, Order, find_tests, job

from roost.daemon.background.priority import read_priority
from roost.daemon.background.work import BackgroundWork
from roost.daemon.jobs.progress import Silent
from roost.daemon.workers.errors import WorkerCrashedError, WorkerFailedError, WorkerTimeoutError
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.daemon.workers.pool import WorkerPool
from roost.model.errors import InvalidDefinitionError, Location, StoreFullError

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
async def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerPool]:
    find_tests(monkeypatch)
    pool = WorkerPool(str(tmp_path / "workers"))
    yield pool
    await pool.close()
    assert os.listdir(tmp_path / "workers") == [], "a worker's folder is deleted with it"


async def obey(pool: WorkerPool, what: str, text: str = "", **more: Any) -> dict[str, Any]:
    return await pool.run(job(**more), Order(what=what, text=text))


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


async def test_a_result_travels_and_the_worker_is_used_again(pool: WorkerPool):
    first, second = await obey(pool, "echo", "a"), await obey(pool, "echo", "b")
    assert (first["text"], second["text"]) == ("a", "b")
    assert first["pid"] == second["pid"] != os.getpid()


async def test_a_coroutine_is_a_job(pool: WorkerPool):
    target = "tests.support.worker_jobs:obey_later"
    later = WorkerJob(kind=KIND, target=target, payload=Order, result=dict[str, Any], doing="obeying")
    assert (await pool.run(later, Order(what="echo", text="x")))["text"] == "x"


async def test_an_error_travels_with_all_its_fields(pool: WorkerPool):
    with pytest.raises(InvalidDefinitionError) as caught:
        await obey(pool, "raise-located")
    error = caught.value
    assert (error.message, error.hint) == ("bad", "mend it")
    assert error.location == Location(path="/x.yml", line=3, column=7)
    assert error.fields == {"a": [1, {"b": None}]}


async def test_a_full_disk_is_a_full_disk(pool: WorkerPool):
    with pytest.raises(StoreFullError, match="No space left"):
        await obey(pool, "raise", "full")


async def test_a_foreign_error_is_internal_and_the_worker_stays(pool: WorkerPool):
    with pytest.raises(WorkerFailedError, match="ValueError: strange"):
        await obey(pool, "raise", "other")
    pids = pool.list_pids()
    await obey(pool, "echo")
    assert pool.list_pids() == pids


async def test_a_job_that_leaves_threads_costs_the_worker(pool: WorkerPool):
    before = (await obey(pool, "echo"))["pid"]
    with pytest.raises(StoreFullError):
        await obey(pool, "raise", "full", retires_on_error=True)
    assert not is_alive(before)
    assert (await obey(pool, "echo"))["pid"] != before


async def test_a_failure_that_comes_from_a_crash_is_a_crash(pool: WorkerPool):
    with pytest.raises(WorkerCrashedError, match="SIGABRT"):
        await obey(pool, "raise-and-die", retires_on_error=True)


async def test_reports_travel_in_order(pool: WorkerPool):
    heard: list[tuple[object, ...]] = []

    class Recorder(Silent):
        def start(self, step: str, total: int | None = None) -> None:
            heard.append(("start", step, total))

        def advance(self, step: str, done: int, total: int | None = None) -> None:
            heard.append(("advance", step, done, total))

        def finish(self, step: str) -> None:
            heard.append(("finish", step))

        def log(self, line: str) -> None:
            heard.append(("log", line))

    await pool.run(job(), Order(what="report"), Recorder())
    assert heard[0] == ("start", "link", 3)
    assert heard[-3:] == [("advance", "link", 3, 3), ("log", "a line"), ("finish", "link")]


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("abort", "ended by signal 6 (SIGABRT)"),
        ("segfault", "ended by signal 11 (SIGSEGV)"),
        ("kill", "ended by signal 9 (SIGKILL)"),
        ("exit", "ended with status 0"),
    ],
)
async def test_a_crash_fails_its_own_job_by_name(pool: WorkerPool, tmp_path: Path, how: str, end: str):
    mark = tmp_path / "mark"
    other = asyncio.ensure_future(obey(pool, "hang", str(mark)))
    await wait_until(mark.exists)
    with pytest.raises(WorkerCrashedError) as caught:
        await obey(pool, "die", how)
    assert caught.value.message == f"The test worker {end} while linking bad-1.0; see the log"
    assert "last words" in caught.value.fields["output"]  # type: ignore[operator]
    assert not other.done()
    assert (await obey(pool, "echo", "fine"))["text"] == "fine"
    other.cancel()
    await asyncio.wait([other])


@linux
async def test_endless_memory_fails_its_own_job(pool: WorkerPool):
    small = WorkerKind(name="small", memory_share=0)
    with pytest.raises(WorkerCrashedError, match="more memory than a worker may have"):
        await obey(pool, "die", "memory", kind=small)


@linux
async def test_cancelling_kills_the_whole_group(pool: WorkerPool, tmp_path: Path):
    mark = tmp_path / "mark"
    task = asyncio.ensure_future(obey(pool, "beget", str(mark)))
    await wait_until(lambda: mark.exists() and bool(mark.read_text()))
    (worker,), child = pool.list_pids(), int(mark.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(worker)
    await wait_until(lambda: not is_alive(child))


@linux
async def test_a_stopped_worker_can_be_cancelled(pool: WorkerPool, tmp_path: Path):
    mark = tmp_path / "mark"
    task = asyncio.ensure_future(obey(pool, "hang", str(mark)))
    await wait_until(lambda: mark.exists() and bool(mark.read_text()))
    worker = int(mark.read_text())
    os.kill(worker, signal.SIGSTOP)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(worker)


async def test_a_deadline_ends_the_worker(pool: WorkerPool, tmp_path: Path):
    with pytest.raises(WorkerTimeoutError, match=r"has not ended hanging within 0\.5 s"):
        await obey(pool, "hang", str(tmp_path / "mark"), timeout=0.5)
    assert pool.list_pids() == []


async def test_what_native_code_prints_does_not_harm_frames(pool: WorkerPool, caplog: pytest.LogCaptureFixture):
    assert (await obey(pool, "print", "x"))["text"] == "x"
    await wait_until(lambda: "printed by Python" in caplog.text)
    assert "printed by native code" in caplog.text


@linux
async def test_a_worker_inherits_nothing(pool: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONDA_PREFIX", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    with open(tmp_path / "open", "w") as stream:
        os.set_inheritable(stream.fileno(), True)
        found = await pool.run(job(), Order(what="describe"), environ={"https_proxy": "http://proxy"})
    assert found["environ"].pop("TMPDIR").startswith(str(tmp_path / "workers"))
    assert {name for name in found["environ"] if name != "LC_CTYPE"} == {"https_proxy"}
    assert found["group"] == found["pid"]
    assert found["folder"] == "/"
    assert found["score"] == "500"
    assert "rattler" not in found["modules"]
    files = {name: path for name, path in found["descriptors"].items() if not path.startswith(("pipe:", "/proc/"))}
    assert set(files.values()) <= {"/dev/null", *(str(path) for path in (tmp_path / "workers").iterdir())}


async def test_other_variables_are_another_worker(pool: WorkerPool):
    async def run_with(**environ: str) -> int:
        return int((await pool.run(job(), Order(what="echo"), environ=environ))["pid"])

    first, second = await run_with(https_proxy="a"), await run_with(https_proxy="b")
    assert first != second
    assert await run_with(https_proxy="a") == first


async def test_many_environments_do_not_gather_workers(pool: WorkerPool):
    for number in range(8):
        await pool.run(job(), Order(what="echo"), environ={"https_proxy": str(number)})
    assert len(pool.list_pids()) <= KIND.processes + 2


async def test_more_jobs_than_workers_wait_and_say_so(pool: WorkerPool):
    lines: list[str] = []

    class Recorder(Silent):
        def log(self, line: str) -> None:
            lines.append(line)

    results = await asyncio.gather(*(pool.run(job(), Order(what="sleep", number=0.1), Recorder()) for _ in range(6)))
    assert len({result["pid"] for result in results}) <= KIND.processes
    assert "waiting for one of the test workers: all of them are at work" in lines


async def test_a_quick_job_does_not_wait_for_long_ones(pool: WorkerPool, tmp_path: Path):
    long = [asyncio.ensure_future(obey(pool, "hang", str(tmp_path / str(n)))) for n in range(KIND.processes)]
    await wait_until(lambda: all((tmp_path / str(n)).exists() for n in range(KIND.processes)))
    assert (await obey(pool, "echo", "quick", quick=True))["text"] == "quick"
    for task in long:
        task.cancel()
    await asyncio.wait(long)


@linux
async def test_an_idle_worker_that_was_killed_is_replaced(pool: WorkerPool):
    worker = (await obey(pool, "echo"))["pid"]
    os.kill(worker, signal.SIGKILL)
    assert (await obey(pool, "echo", "again"))["text"] == "again"


async def test_an_idle_worker_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    find_tests(monkeypatch)
    pool = WorkerPool(str(tmp_path / "workers"), idle_seconds=0.05)
    worker = (await obey(pool, "echo"))["pid"]
    await wait_until(lambda: pool.list_pids() == [] and not is_alive(worker))
    await wait_until(lambda: os.listdir(tmp_path / "workers") == [])
    await pool.close()


async def test_a_kind_that_cannot_start_says_so(pool: WorkerPool):
    broken = WorkerKind(name="broken", modules=("no_such_module",))
    with pytest.raises(WorkerCrashedError, match="The broken workers end before they can work"):
        await obey(pool, "echo", kind=broken)


async def test_closing_ends_what_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    find_tests(monkeypatch)
    pool = WorkerPool(str(tmp_path / "workers"))
    task = asyncio.ensure_future(obey(pool, "hang", str(tmp_path / "mark")))
    await wait_until((tmp_path / "mark").exists)
    await pool.close()
    with pytest.raises(WorkerCrashedError):
        await task


def test_a_target_names_a_function():
    with pytest.raises(ValueError, match="does not name a function"):
        WorkerJob(kind=KIND, target="os", payload=Order, result=dict, doing="x")


@linux
async def test_background_work_has_workers_of_its_own_with_the_lowest_priority(pool: WorkerPool) -> None:
    behind = await BackgroundWork().run(lambda: obey(pool, "describe"))
    in_front = await obey(pool, "describe")
    assert behind["pid"] != in_front["pid"]
    assert (await BackgroundWork().run(lambda: obey(pool, "describe")))["pid"] == behind["pid"]
    assert read_priority(behind["pid"]) == (19, True)
    assert read_priority(in_front["pid"]) == read_priority()


async def test_background_work_takes_the_place_of_no_other_job(pool: WorkerPool, tmp_path: Path) -> None:
    hanging = [tmp_path / f"hanging-{number}" for number in range(KIND.processes)]
    jobs = [
        asyncio.create_task(BackgroundWork().run(lambda file=file: obey(pool, "hang", str(file)))) for file in hanging
    ]
    await wait_until(lambda: all(file.exists() for file in hanging))
    assert (await obey(pool, "describe"))["pid"] in pool.list_pids()
    for each in jobs:
        each.cancel()
    await asyncio.wait(jobs)
    assert len(pool.list_pids()) == 1
