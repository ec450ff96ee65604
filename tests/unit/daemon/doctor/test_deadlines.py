"""A check that fails or never ends is a result of its own, and hides no other."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar

from roost.daemon.doctor.deadlines import Examiner, Examiners, run_apart
from roost.daemon.doctor.findings import Check
from roost.model.errors import StoreError


async def good() -> list[Check]:
    return [Check(name="good", state="ok", message="fine")]


async def raises() -> list[Check]:
    raise TypeError("a fault at tcp://u:s3cr3t@h")


async def tells() -> list[Check]:
    secret = "not tcp://u:s3cr3t@h:1"
    return [Check(name="tells", state="error", message=secret, hint=secret, subject=secret)]


async def refuses() -> list[Check]:
    raise StoreError("no", hint="do this")


async def cannot_read() -> list[Check]:
    raise PermissionError(13, "Permission denied", "/x")


async def test_a_check_that_fails_is_a_result():
    checks = [Examiner(each.__name__, each) for each in (raises, refuses, cannot_read, good, tells)]
    found = await Examiners().run(checks)
    assert [(check.name, check.state) for check in found] == [
        ("raises", "error"),
        ("refuses", "error"),
        ("cannot_read", "error"),
        ("good", "ok"),
        ("tells", "error"),
    ]
    assert "s3cr3t" not in repr(found)
    assert "TypeError: a fault" in found[0].message
    assert (found[1].message, found[1].hint) == ("no", "do this")
    assert found[2].message == "Permission denied: /x"
    assert all(check.hint for check in found[:3])


async def test_a_blocked_thread_is_left_behind_and_not_begun_for_ever():
    release, begun = threading.Event(), []

    def block() -> None:
        begun.append(1)
        release.wait(60)

    async def hangs() -> list[Check]:
        await run_apart(block)
        return []

    class Deaf:
        """Ignores its cancellation, as a call of a library may."""

        async def __call__(self) -> list[Check]:
            work = asyncio.ensure_future(run_apart(block))
            while not work.done():
                try:
                    await asyncio.shield(work)
                except asyncio.CancelledError:
                    continue
            return []

    examiners = Examiners()
    checks = [Examiner("hangs", hangs, 0.05, "unlock it"), Examiner("deaf", Deaf(), 0.05), Examiner("good", good)]
    for _ in range(3):
        found = await examiners.run(checks)
        assert [(check.name, check.state) for check in found] == [("hangs", "error"), ("deaf", "error"), ("good", "ok")]
        assert found[0].hint == "unlock it"
    assert "since it was begun before" in found[1].message
    release.set()
    while (await examiners.run([Examiner("deaf", good)]))[0].state != "ok":
        await asyncio.sleep(0.01)


async def test_a_thread_of_its_own_sees_the_callers_context():
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("mine")
    assert await run_apart(variable.get) == "mine"
    assert await run_apart(lambda: threading.current_thread().daemon) is True
