"""The states of a run, and what each observation of it means. Pure: no clock, no disk, no processes.

    queued → preparing → running → succeeded | failed | cancelled | lost

An open run may end from any state; an ended run never changes. An observation is a ``RunExit``: ``running``, or how the
command ended as far as the observer knows. Supervisors, exit files and engines all observe; whichever end is recorded
first stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from roost.model.records import RunState
from roost.store.disk.run_folders import RunExit
from roost.wire.runs import RunUpdate

ENDED: frozenset[RunState] = frozenset({"succeeded", "failed", "cancelled", "lost"})
TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    "queued": frozenset[RunState]({"preparing", "running"}) | ENDED,
    "preparing": frozenset[RunState]({"running"}) | ENDED,
    "running": frozenset[RunState]({"running"}) | ENDED,
    **dict.fromkeys(ENDED, frozenset[RunState]()),
}
"""From each state to those that may follow. A supervisor may report twice that its command runs."""

LOST = RunExit(state="lost")
"""Nobody saw how the command ended."""
NEVER_ATTACHED = RunExit(state="failed", exit_status=125)
"""The client that had to attach to its container never came."""
WITHDRAWN = RunExit(state="cancelled")
"""The run was cancelled before its command started."""

CancelAction = Literal["refuse-ended", "withdraw", "refuse-unsupervised", "ask"]
"""What cancelling does: refuse, keep the run from starting, or ask whoever supervises the command to end it."""


def exit_from_status(exit_status: int | None) -> RunExit:
    """Return the end of a command with ``exit_status``."""
    return RunExit(state="succeeded" if exit_status == 0 else "failed", exit_status=exit_status)


def observation_from_report(report: RunUpdate) -> RunExit:
    """Return what a supervisor reports: that the command runs, or how it ended."""
    if report.state in ("running", "cancelled"):
        return RunExit(state=report.state, exit_status=report.exit_status)
    return exit_from_status(report.exit_status)


def observation_from_container(state: str | None) -> RunExit:
    """Return what the ``state`` of a container, in Docker's words, says of an open run; ``None``: no container.

    If there is no container, or one that was never started, nobody can learn any more how the command ended. How a
    started container ended is asked of the engine.
    """
    return LOST if state is None or state == "created" else RunExit(state="running")


def observe(state: RunState, observation: RunExit, *, cancel_requested: bool) -> RunExit | None:
    """Return what to record of a run in ``state`` after ``observation``; ``None``: it has ended, and stays as it is.

    A command that was asked to end and then failed, or whose end nobody saw, was cancelled; one that succeeded all the
    same did succeed.
    """
    if state in ENDED:
        return None
    return final_exit(observation, cancel_requested=cancel_requested)


def final_exit(observation: RunExit, *, cancel_requested: bool) -> RunExit:
    """Return ``observation`` as it is recorded for an open run. See ``observe``."""
    if cancel_requested and observation.state in ("failed", "lost"):
        return msgspec.structs.replace(observation, state="cancelled")
    return observation


def decide_cancel(state: RunState, *, is_supervised: bool, is_starting: bool) -> CancelAction:
    """Return what cancelling a run means. ``is_supervised``: its supervisor or container is known; ``is_starting``: its
    environment is being made ready."""
    if state in ENDED:
        return "refuse-ended"
    if is_supervised:
        return "ask"
    return "withdraw" if is_starting else "refuse-unsupervised"
