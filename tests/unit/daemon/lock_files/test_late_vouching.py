"""Locks that were used although nobody vouched for them: what is asked later, and what becomes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.engines.uv.errors import IndexUnreachableError
from roost.daemon.lock_files.late_vouching import LateVouching
from roost.daemon.lock_files.vouching import UNVOUCHED, LockFileUntrustedError, VouchedLock
from roost.model.locks.lock import CondaPython, Lock
from roost.model.records import Generation
from roost.wire.plans import EnvironmentSelector, Reason

GENERATION = Generation(
    definition_digest="d", platform="linux-64", number=2, lock_digest="l", created="", current=False, unvouched=""
)
SILENT = IndexUnreachableError("The index does not answer")
LOCK = Lock(platform="linux-64", provider=CondaPython())


def refuse(cause: Exception | None) -> VouchedLock:
    raise LockFileUntrustedError("The lock has evil.whl") from cause


def fail(error: Exception) -> VouchedLock:
    raise error


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        (lambda: VouchedLock(lock=LOCK), [None]),
        (lambda: VouchedLock(lock=LOCK, reason=Reason(code=UNVOUCHED, message="silent")), []),
        (lambda: refuse(None), ["The lock has evil.whl"]),
        (lambda: refuse(SILENT), []),
        (lambda: fail(SILENT), []),
        (lambda: fail(ValueError("a fault")), []),
    ],
)
async def test_only_an_answer_is_recorded(answer: Callable[[], VouchedLock], recorded: list[str | None]) -> None:
    asked, written = 0, list[str | None]()
    done = asyncio.Event()

    async def vouch(*_: object) -> VouchedLock:
        nonlocal asked
        asked += 1
        done.set()
        return answer()

    async def record(generation: Generation, refused: str | None) -> None:
        assert generation is GENERATION
        written.append(refused)

    index: Any = SimpleNamespace(generations=SimpleNamespace(record_vouching=record))
    resolved: Any = SimpleNamespace(digest="d")
    late = LateVouching(index, SimpleNamespace(vouch=vouch))  # type: ignore[arg-type]
    for _ in range(3):
        late.request(resolved, EnvironmentSelector(cwd="/"), GENERATION)
    await done.wait()
    while late.is_asking:
        await asyncio.sleep(0)
    assert (asked, written) == (1, recorded)
