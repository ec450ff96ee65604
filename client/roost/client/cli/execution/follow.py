"""A run from its start to its end, for ``run`` and for reruns."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from roost.client.caller import current_terminal
from roost.client.cli.context import Context
from roost.client.cli.selector import replace_undecodable
from roost.client.errors import LAUNCH_FAILED_STATUS, ClientError, client_error
from roost.client.launch import activate
from roost.wire.visible import make_visible

Json = dict[str, Any]
ATTEMPTS = 3
"""A prefix may be collected, or its file edited, between the build and the start: try again, but not for ever."""


def prefix_gone_error() -> ClientError:
    """Return the error after the last of ``ATTEMPTS``."""
    return client_error("prefix-gone", "The prefix was removed while the command was about to start.", "Try again.", 1)


def terminal_field() -> Json:
    """Return the field ``terminal`` of a request for a run in a container, if this process has a terminal."""
    terminal = current_terminal()
    return {"terminal": terminal} if terminal else {}


def python_path_field() -> Json:
    """Return the field ``python_path`` of a request for a run: the ``PYTHONPATH`` that the command inherits."""
    value = os.environ.get("PYTHONPATH")
    return {"python_path": replace_undecodable(value)} if value else {}


def detached_environ(context: Context) -> dict[str, str]:
    """Return this process's variables for a detached run. Those that are not UTF-8 are left out and noted."""
    decodable = {name: value for name, value in os.environ.items() if replace_undecodable(name + value) == name + value}
    for name in sorted(set(os.environ) - set(decodable)):
        context.note(f"{make_visible(name)} is not valid UTF-8, and is not passed to a detached run")
    return decodable


def follow_run(context: Context, answer: Json, request: Json, command: Sequence[str] | None = None) -> int | None:
    """Follow the run that ``answer`` (``wire.RunResponse``) started and return its exit status.

    1. A detached run goes on by itself: print its id.
    2. A run in a container: attach to it.
    3. A run in a prefix: start the command, as typed in ``command``, and supervise it.

    Return ``None`` if the image or the prefix was removed before the command began: build it and request another run.
    """
    run_id = answer["run"]["id"]
    if request.get("detach"):
        context.print_json(answer["run"]) if context.json else context.print(str(run_id))
        return 0
    if answer.get("attach"):
        return _attach_to_run(context, answer, at_terminal="terminal" in request)
    try:
        return _supervise_run(context, answer, request.get("variables", {}), command)
    except activate.LeaseGoneError:
        failed = {"state": "failed", "exit_status": LAUNCH_FAILED_STATUS}
        context.request("PATCH", f"/v1/runs/{run_id}", failed)
        return None


def _attach_to_run(context: Context, answer: Json, *, at_terminal: bool) -> int | None:
    from roost.client.launch import attach
    from roost.client.launch.attach_failure import resolve_attach_failure

    context.clear_progress()
    run_id = answer["run"]["id"]
    status: int | None
    try:
        with _kept_output(answer) as store:
            status = attach.attach(context.session.daemon.path, run_id, at_terminal=at_terminal, store=store)
    except (attach.AttachmentLostError, attach.AttachRefusedError) as error:
        status = resolve_attach_failure(context, context.session, run_id, error)
    if context.json and status is not None:
        _print_record(context, run_id)
    return status


def _kept_output(answer: Json) -> AbstractContextManager[Callable[[bytes], None] | None]:
    """Return a block within which the output can be stored, if the run asked for that."""
    if not answer.get("output_bytes"):
        return nullcontext()
    from roost.client.kept_output.storage import KeptOutput

    return KeptOutput(answer["folder"], answer["output_bytes"])


def _supervise_run(context: Context, answer: Json, variables: Mapping[str, str], command: Sequence[str] | None) -> int:
    from roost.client.launch.supervise import Supervisor

    launch, run = answer["launch"], answer["run"]
    specification = {
        "command": command or answer.get("command") or run["command"],
        "cwd": run["cwd"],
        "launch": launch,
        "environ": dict(os.environ),
        "variables": variables,
        "socket": context.session.daemon.path,
        "run_id": run["id"],
        "watched": answer.get("watched", False),
        "kept_bytes": answer.get("output_bytes", 0),
    }
    status = Supervisor(answer["folder"], specification).run()
    if context.json:
        _print_record(context, run["id"])
    return status


def _print_record(context: Context, run_id: str) -> None:
    """Print the run as JSON on standard error: standard output belongs to the command."""
    print(json.dumps(context.request("GET", f"/v1/runs/{run_id}")), file=sys.stderr)
