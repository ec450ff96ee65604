"""``runs wait``, ``runs logs`` and ``runs cancel``: runs that go on, and their output."""

from __future__ import annotations

import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from roost.client.cli.context import Context
from roost.client.cli.paging import record_route
from roost.client.errors import ClientError

Json = dict[str, Any]
ENDED_STATES = frozenset({"succeeded", "failed", "cancelled", "lost"})
LOOK_SECONDS = 3
"""How long the daemon holds one request: less than a request may be silent before its daemon is doubted."""
ATTEMPTS = 10
"""Requests in a row that may fail because the daemon went away."""


def wait_command(context: Context) -> int:
    """Return the status of the first run, in the order given, that did not end with 0."""
    # All ids first: a wrong one is reported at once, and `latest` means the same run for the whole wait.
    ids = list(dict.fromkeys(context.request("GET", record_route("run", text))["id"] for text in context.options.ids))
    runs = [_wait(context, run_id) for run_id in ids]
    if context.json:
        context.print_json(runs[0] if len(runs) == 1 else {"runs": runs})
    return next((status for status in map(end_status, runs) if status), 0)


def _wait(context: Context, run_id: str) -> Json:
    """Return the record of a run that has ended. A daemon that goes away meanwhile is started again."""
    failures = 0
    while True:
        try:
            run = context.request("GET", f"{record_route('run', run_id)}?wait={LOOK_SECONDS}")
        except ClientError as error:
            failures += 1
            if not error.body["retryable"] or failures >= ATTEMPTS:
                raise
            time.sleep(0.1 * failures)
            continue
        failures = 0
        if run["state"] in ENDED_STATES:
            if not context.json:
                status = f", exit status {run['exit_status']}" if run["exit_status"] is not None else ""
                context.note(f"run {run_id} ended: {run['state']}{status}")
            return run


def end_status(run: Json) -> int:
    """Return the exit status for a run that has ended; 1 if it has none of its own and did not succeed."""
    if run["exit_status"] is not None:
        return int(run["exit_status"])
    return 0 if run["state"] == "succeeded" else 1


def logs_command(context: Context) -> int:
    options = context.options
    query = {**({"follow": 1} if options.follow else {}), **({} if options.tail is None else {"tail": options.tail})}
    target = record_route("run", options.id, "logs") + (f"?{urlencode(query)}" if query else "")
    is_empty, print_output = True, _output_printer(context)
    with closing(context.session.chunks(target)) as chunks:
        for chunk in chunks:
            is_empty = False
            print_output(chunk, False)
    print_output(b"", True)
    if is_empty:
        if context.json and not options.follow:
            context.print_json({"output": ""})
        if not context.request("GET", record_route("run", options.id))["output_kept"]:
            context.note(
                "its output went to where it was started, and is not stored: `--keep-output` and `--detach` store it"
            )
    return 0


def _output_printer(context: Context) -> Callable[[bytes, bool], None]:
    """Return a function that prints the next bytes of the output, given whether they are the last.

    As JSON, a character that two chunks share is put together.
    """
    decoder = getincrementaldecoder("utf-8")(errors="replace")

    def print_decoded(chunk: bytes, last: bool) -> None:
        if text := decoder.decode(chunk, last):
            context.print_json({"output": text})

    def print_bytes(chunk: bytes, last: bool) -> None:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    return print_decoded if context.json else print_bytes


def cancel_command(context: Context) -> int:
    run = context.request("DELETE", record_route("run", context.options.id))
    context.print_json(run) if context.json else context.note(f"run {run['id']} was requested to end")
    return 0
