"""Detached runs that something unforeseen keeps from starting: their records say so, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.builds.job import BuildJob
from roost.daemon.decision.facts import Request
from roost.daemon.runs.starts import ATTEMPTS, EnvironmentGoneError, make_ready
from roost.daemon.services import SERVICES
from roost.model.definition import Definition
from roost.model.errors import StoreFullError
from roost.wire.plans import EnvironmentSelector


def request(folder: Path) -> dict[str, Any]:
    """A detached run with this interpreter, which needs no build."""
    python = {"user_managed": True, "interpreter": sys.executable}
    what = {"cwd": str(folder), "document": {"name": "own", "python": python}}
    return {"what": what, "command": ["python", "-c", "pass"], "detach": True}


async def ended(served: Any, run_id: str) -> dict[str, Any]:
    """The record, once the run is over."""
    deadline = asyncio.get_running_loop().time() + 20
    while True:
        _, run = await served.get(f"/v1/runs/{run_id}")
        if run["state"] not in ("preparing", "running"):
            return dict(run)
        assert asyncio.get_running_loop().time() < deadline, f"it is still {run['state']}"
        await asyncio.sleep(0.02)


async def no_process(*_: object, **__: object) -> None:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


async def test_a_supervisor_that_the_system_has_no_room_for_is_a_run_that_failed(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio, "create_subprocess_exec", no_process)
    status, answer = await served.request("POST", "/v1/runs", json=request(tmp_path))
    assert status == 200
    run = await ended(served, answer["run"]["id"])
    assert (run["state"], run["exit_status"]) == ("failed", 125)
    assert "The run stopped on BlockingIOError" in run["error"]["message"]
    status, error = await served.request("DELETE", f"/v1/runs/{run['id']}")
    assert (status, error["code"]) == (409, "run-over")


async def test_a_failure_that_cant_be_written_is_looked_for_later(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = served.app[SERVICES].runs

    async def full(*_: object, **__: object) -> None:
        raise StoreFullError("No space is left")

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "create_subprocess_exec", no_process)
        patch.setattr(runs.records, "fail", full)
        _, answer = await served.request("POST", "/v1/runs", json=request(tmp_path))
        await asyncio.gather(*runs.starts._tasks.values())
    assert (await ended(served, answer["run"]["id"]))["state"] == "lost"


@pytest.mark.parametrize("taken", [1, ATTEMPTS])
async def test_what_is_taken_away_before_it_is_used_is_made_again_but_not_for_ever(taken: int) -> None:
    waited: list[BuildJob] = []

    async def wait(job: BuildJob) -> None:
        waited.append(job)

    async def plan(*_: object) -> int:
        return len(waited)

    work: Any = SimpleNamespace(builds=SimpleNamespace(wait=wait), planner=SimpleNamespace(plan=plan))
    resolved: Any = None
    job = BuildJob(resolved=resolved, request=Request(definition=Definition()), selector=EnvironmentSelector(cwd="/"))

    def launch_of(_: object, planned: Any) -> Any:
        return planned if planned > taken else None

    if taken < ATTEMPTS:
        assert await make_ready(work.builds, work.planner, job, launch_of) == taken + 1
        return
    with pytest.raises(EnvironmentGoneError) as caught:
        await make_ready(work.builds, work.planner, job, launch_of)
    assert caught.value.retryable
    assert len(waited) == ATTEMPTS
