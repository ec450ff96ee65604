"""Checks beside one another: one that fails or never ends is a result of its own, and hides no other.

A check that blocks runs in a thread of its own: a file system that does not answer would else use up the threads of
everybody. What is not done at its deadline is left behind, not awaited; it is not begun again while it hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from roost.daemon.credentials.redaction import redact
from roost.daemon.doctor.findings import Check
from roost.model.errors import CodedError

T = TypeVar("T")
MOST_LEFT = 2
"""How many of one check may hang before it is not begun any more."""
log = logging.getLogger(__name__)


class Examiner(NamedTuple):
    """A check: ``name`` is that of its results. ``seconds``: until when it has to be done."""

    name: str
    run: Callable[[], Awaitable[list[Check]]]
    seconds: float = 5.0
    advice: str = "Try again; `roost daemon logs` may say more."
    """What to do if it does not end."""


class Examiners:
    """Runs checks, and remembers those that never ended."""

    def __init__(self) -> None:
        self._left: dict[str, list[asyncio.Task[list[Check]]]] = {}

    async def run(self, examiners: Sequence[Examiner]) -> list[Check]:
        """Return the results of all, in their order, without credentials: what libraries and other tools say of a fault
        may have some."""
        return [_hide_secrets(each) for found in await asyncio.gather(*map(self._run_one, examiners)) for each in found]

    async def _run_one(self, examiner: Examiner) -> list[Check]:
        left = self._left[examiner.name] = [task for task in self._left.get(examiner.name, []) if not task.done()]
        if len(left) >= MOST_LEFT:
            return [_hanging(examiner, "has not ended since it was begun before")]
        task = asyncio.ensure_future(examiner.run())
        done, _ = await asyncio.wait({task}, timeout=examiner.seconds)
        if not done:
            task.cancel()
            left.append(task)
            task.add_done_callback(_forget)
            return [_hanging(examiner, f"has not ended within {examiner.seconds:g} s")]
        return _read_result(examiner, task)


def _hide_secrets(check: Check) -> Check:
    message, hint, subject = map(redact, (check.message, check.hint, check.subject))
    return msgspec.structs.replace(check, message=message, hint=hint, subject=subject)


def _read_result(examiner: Examiner, task: asyncio.Future[list[Check]]) -> list[Check]:
    """Return the results of a check, or its failure as one."""
    try:
        return task.result()
    except CodedError as error:
        return [Check(name=examiner.name, state="error", message=error.message, hint=error.hint)]
    except OSError as error:
        message = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        return [Check(name=examiner.name, state="error", message=message, hint=examiner.advice)]
    except (Exception, asyncio.CancelledError) as error:
        log.exception("The check %s failed", examiner.name)
        message = f"the check itself failed: {type(error).__name__}: {error}"
        hint = "This is a fault of roost; `roost daemon logs` has its traceback. Everything else was checked."
        return [Check(name=examiner.name, state="error", message=message, hint=hint)]


def _hanging(examiner: Examiner, what: str) -> Check:
    return Check(name=examiner.name, state="error", message=f"the check {what}", hint=examiner.advice)


def _forget(task: asyncio.Task[list[Check]]) -> None:
    """Take the exception of a check that was left behind, which nobody else does."""
    if not task.cancelled():
        task.exception()


async def run_apart(function: Callable[..., T], *arguments: object) -> T:
    """Run a function that may block for ever in a thread of its own, which does not hold the process at its end.

    The function sees the caller's context variables. If the caller is cancelled, the thread goes on.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def finish(set_result: Callable[[], None]) -> None:
        if not future.done():
            set_result()

    def work() -> None:
        try:
            result = context.run(function, *arguments)
        except BaseException as error:
            failure = error
            report = lambda: finish(lambda: future.set_exception(failure))  # noqa: E731
        else:
            report = lambda: finish(lambda: future.set_result(result))  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(report)

    threading.Thread(target=work, name="doctor", daemon=True).start()
    return await future
