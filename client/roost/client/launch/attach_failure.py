"""What follows if the attachment to a run in a container is refused or lost.

Apart from ``attach``, because that must import next to nothing.
"""

from __future__ import annotations

import json
import time
from typing import Any

from roost.client.errors import LAUNCH_FAILED_STATUS, ClientError
from roost.client.launch.attach import AttachmentLostError, AttachRefusedError
from roost.client.terminal.console import Console
from roost.client.transport.session import Session

_ATTEMPTS = 11
"""Requests, half a second apart: a daemon that is being killed may take that long to end."""


def resolve_attach_failure(
    console: Console, session: Session, run_id: str, error: AttachmentLostError | AttachRefusedError
) -> int | None:
    """Return the run's exit status; ``None`` if its image was removed since the plan, so that planning again helps.

    A lost attachment waits for the end of the run; a command that could not be started is reported.
    Raises: ClientError if the daemon refused anything else.
    """
    if isinstance(error, AttachmentLostError):
        return _wait_for_end(console, session, run_id)
    return resolve_refusal(console, error)


def resolve_refusal(console: Console, error: AttachRefusedError) -> int | None:
    """Report why a command was not started and return its status; ``None`` if its image was removed since the plan.
    Raises: ClientError if the daemon refused anything else."""
    refusal = ClientError(json.loads(error.data))
    if refusal.code == "image-missing":
        return None
    if refusal.code != "command-not-started":
        raise refusal
    console.report_error(refusal)
    return int(refusal.body["fields"]["status"])


def _wait_for_end(console: Console, session: Session, run_id: str) -> int:
    """Return the exit status once a new daemon knows it. The output meanwhile is lost."""
    console.note("lost the connection to the daemon; waiting for the end of the run, without its output")
    while True:
        run = _request_run_record(session, run_id)
        if run["state"] not in ("queued", "preparing", "running"):
            return int(run["exit_status"]) if run["exit_status"] is not None else LAUNCH_FAILED_STATUS
        time.sleep(0.5)


def _request_run_record(session: Session, run_id: str) -> dict[str, Any]:
    """Return the run. A daemon that is being killed may still accept a connection and then reset it: ask again."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            return session.request("GET", f"/v1/runs/{run_id}")
        except ClientError as error:
            if error.code != "daemon-unreachable" or not attempts_left:
                raise
        time.sleep(0.5)
    raise AssertionError("the last attempt returns or raises")
