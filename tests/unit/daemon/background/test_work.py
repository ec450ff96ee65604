"""Background work: a context of its own, cancelled with its caller, and by whoever needs what it holds."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from roost.daemon.background.code import CodeNotAllowedError, KnownCode, PackageCode
from roost.daemon.background.work import BackgroundWork, GaveWayError, is_background, make_way
from roost.model.errors import BuildCancelledError

VALUE: ContextVar[str] = ContextVar("VALUE", default="none")


async def test_it_is_background_and_has_no_callers_context() -> None:
    VALUE.set("a caller's")

    async def start() -> tuple[bool, str]:
        return is_background(), VALUE.get()

    assert await BackgroundWork().run(start) == (True, "none")
    assert not is_background()


async def test_giving_way_cancels_it_and_leaves_no_background() -> None:
    notes: list[bool] = []

    async def start() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            notes.append(is_background())

    work = BackgroundWork()
    running = asyncio.ensure_future(work.run(start))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    make_way()
    with pytest.raises(GaveWayError):
        await running
    assert notes == [False]  # what is left to clean up goes on at normal priority


async def test_work_that_fails_because_it_gave_way_gave_way() -> None:
    async def start() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise BuildCancelledError("cancelled") from None

    work = BackgroundWork()
    running = asyncio.ensure_future(work.run(start))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.give_way()
    with pytest.raises(GaveWayError):
        await running


async def test_background_work_does_not_make_itself_give_way() -> None:
    async def start() -> str:
        make_way()
        await asyncio.sleep(0)
        return "done"

    assert await BackgroundWork().run(start) == "done"


async def test_cancelling_the_caller_waits_for_the_end_of_the_work() -> None:
    ended: list[str] = []

    async def start() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append("ended")

    running = asyncio.ensure_future(BackgroundWork().run(start))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended == ["ended"]


class Table:
    def __init__(self) -> None:
        self.contents: set[str] = set()

    async def find(self, contents: object) -> set[str]:
        return self.contents & set(contents)  # type: ignore[call-overload]

    async def add(self, kind: str, contents: object) -> None:
        self.contents |= set(contents)  # type: ignore[call-overload]


A = PackageCode(kind="link-script", package="a 1.0", content="sha256:a")
NAMELESS = PackageCode(kind="link-script", package="b 1.0", content="")


async def test_background_work_runs_code_only_after_somebody_has() -> None:
    known = KnownCode(Table())
    with pytest.raises(CodeNotAllowedError) as refused:
        await BackgroundWork().run(lambda: known.require([A]))
    assert refused.value.code == "waits-for-code"
    assert refused.value.fields == {"package": "a 1.0", "kind": "link-script"}
    await known.require([A])  # somebody waits for it
    await known.record([A])
    await BackgroundWork().run(lambda: known.require([A]))


async def test_content_that_is_not_known_never_becomes_known() -> None:
    known = KnownCode(Table())
    await known.record([NAMELESS])
    with pytest.raises(CodeNotAllowedError):
        await BackgroundWork().run(lambda: known.require([NAMELESS]))
    await BackgroundWork(allows_code=True).run(lambda: known.require([NAMELESS]))
