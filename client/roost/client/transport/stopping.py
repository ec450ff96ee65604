"""Stop the daemon: ask it, then send SIGTERM, then SIGKILL, until its process has ended and its root is free."""

from __future__ import annotations

import signal
import time
from typing import NamedTuple

from roost.client import paths
from roost.client.errors import unreachable_error
from roost.client.transport.connection import NOT_SERVING, AnswerInterruptedError, Daemon
from roost.client.transport.patience import DaemonSilentError, raise_silent
from roost.client.transport.root_holder import RootHolder, find_holder, find_listener, identify_process

STOP_SECONDS = 60.0
ANSWER_SECONDS = 3.0
TERM_SECONDS = 5.0
"""Time for a daemon that does not answer, after SIGTERM."""
KILL_SECONDS = 10.0
"""The end of the time-out, which is left for SIGKILL: a process in the kernel's hands takes a while to end."""
POLL_SECONDS = 0.02


class StopResult(NamedTuple):
    """The process that has ended, and the last signal that it was sent; no signal if it stopped on request."""

    pid: int
    signal: str | None


def stop(daemon: Daemon, timeout: float = STOP_SECONDS, *, if_idle: bool = False) -> StopResult | None:
    """Stop the daemon, and wait until its process has ended and the root is free. Return ``None`` if there is none.

    A daemon that does not answer, or whose socket was removed, gets SIGTERM, and SIGKILL if that does not end it. With
    ``if_idle`` no signal is sent.
    Raises: ClientError; with code ``daemon-busy`` if it was to stop only ``if_idle`` and is busy.
    """
    deadline = time.monotonic() + timeout
    holder = find_holder(paths.root())
    try:
        target = Daemon(daemon.path, raise_silent, ANSWER_SECONDS)
        answer = target.request("POST", "/v1/shutdown", {"if_idle": True} if if_idle else {})
        is_asked, pid = True, int(answer["pid"])
        if holder is None or holder.pid != pid:
            holder = identify_process(pid)
    except NOT_SERVING:
        is_asked = holder is not None and holder.phase == "stopping"
    except (DaemonSilentError, AnswerInterruptedError):
        holder = holder or find_listener(daemon.path)
        if if_idle or holder is None:
            raise
        is_asked = False
    return None if holder is None else _await_end(holder, deadline, is_asked=is_asked, may_signal=not if_idle)


def _await_end(holder: RootHolder, deadline: float, *, is_asked: bool, may_signal: bool) -> StopResult:
    """Wait for the end of a daemon that stops, and end one that does not. Raises: ClientError."""
    if is_asked and _has_ended(holder, deadline - (KILL_SECONDS if may_signal else 0)):
        return StopResult(holder.pid, None)
    for number, end in ((signal.SIGTERM, min(deadline, time.monotonic() + TERM_SECONDS)), (signal.SIGKILL, deadline)):
        if may_signal and not (number is signal.SIGTERM and is_asked):
            _send(holder, number)
            if _has_ended(holder, end):
                return StopResult(holder.pid, number.name)
    raise unreachable_error(
        f"The daemon (process {holder.pid}) did not stop in time.", "`roost daemon logs` may show what it waits for."
    )


def _send(holder: RootHolder, number: signal.Signals) -> None:
    try:
        holder.send_signal(number)
        if number is signal.SIGTERM:
            holder.send_signal(signal.SIGCONT)  # a suspended process handles no other signal
    except PermissionError as error:
        raise unreachable_error(
            f"The daemon (process {holder.pid}) belongs to another user, and does not answer.", "Stop it as that user."
        ) from error


def _has_ended(holder: RootHolder, deadline: float) -> bool:
    """Wait until the process has ended and the root has no holder, or another one."""
    while True:
        if not holder.is_alive:
            now = find_holder(paths.root())
            if now is None or now.pid != holder.pid:
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
