"""``runs``: the history of runs, their output, and reruns."""

from __future__ import annotations

import os
import shlex
import sys
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from roost.client.cli.context import Context
from roost.client.cli.execution.builds import run_build
from roost.client.cli.execution.follow import (
    ATTEMPTS,
    detached_environ,
    follow_run,
    prefix_gone_error,
    python_path_field,
    terminal_field,
)
from roost.client.cli.paging import add_paging_options, request_page
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.errors import client_error, usage_error
from roost.client.terminal.text import format_record, format_table, format_time, short_digest

Json = dict[str, Any]
COMMAND_WIDTH = 60
EXAMPLE = "r20261123-073107-837df4"


def add(subparsers: Subparsers) -> None:
    """Add the family ``runs``."""
    family = add_family(subparsers, "runs", "The history of runs.", "roost runs list")
    listing = add_command(family, "list", list_command, "List the latest runs.", "roost runs list --limit 20")
    add_paging_options(listing, "run")
    show = add_command(family, "show", show_command, "Show a run.", f"roost runs show {EXAMPLE} --json")
    logs = add_command(
        family, "logs", logs_command, "Show the output of a detached run.", "roost runs logs -f " + EXAMPLE
    )
    logs.add_argument("-f", "--follow", action="store_true", help="continue until the run ends")
    cancel = add_command(family, "cancel", cancel_command, "Stop a run.", "roost runs cancel " + EXAMPLE)
    rerun = add_command(
        family,
        "rerun",
        rerun_command,
        "Run a run again, in its exact generation.",
        "roost runs rerun " + EXAMPLE,
    )
    rerun.add_argument("--detach", action="store_true", help="print the new run's id and do not wait")
    for parser in (show, logs, cancel, rerun):
        parser.add_argument("id", metavar="ID")


def list_command(context: Context) -> int:
    answer = request_page(context, "runs")
    if context.json:
        context.print_json(answer)
        return 0
    heads = ("ID", "STATE", "EXIT", "TARGET", "ENVIRONMENT", "LOCK", "STARTED", "COMMAND")
    rows = (
        (
            run["id"],
            run["state"],
            run.get("exit_status"),
            run["target"],
            _environment_name(run),
            short_digest(run.get("lock_digest")),
            format_time(run.get("started")),
            _shorten(shlex.join(run["command"])),
        )
        for run in answer["runs"]
    )
    context.print_text(format_table(heads, rows))
    return 0


def _environment_name(run: Json) -> str | None:
    """Return ``NAME:VERSION`` or ``NAME``."""
    environment = run.get("environment") or {}
    name, version = environment.get("name"), environment.get("version")
    return f"{name}:{version}" if name and version else name


def _shorten(command: str) -> str:
    words = " ".join(command.split())
    return words if len(words) <= COMMAND_WIDTH else words[: COMMAND_WIDTH - 1] + "…"


def _run_route(context: Context) -> str:
    """Return the path of the run that the command line names."""
    run_id = context.options.id
    if run_id in ("", ".", ".."):  # a route can't contain them
        raise usage_error(f"{run_id!r} is not a run id.", "`roost runs list` shows the latest ones.")
    return f"/v1/runs/{quote(run_id, safe='')}"


def show_command(context: Context) -> int:
    run = context.request("GET", _run_route(context))
    if context.json:
        context.print_json(run)
        return 0
    fields = {**run, "environment": _environment_name(run)}
    interpreter = run.get("interpreter") or {}
    if isinstance(interpreter.get("mtime"), (int, float)):
        changed = datetime.fromtimestamp(interpreter["mtime"], timezone.utc)
        fields["interpreter"] = {**interpreter, "mtime": changed.strftime("%Y-%m-%dT%H:%M:%SZ")}
    context.print_text(format_record(fields))
    return 0


def logs_command(context: Context) -> int:
    options = context.options
    query = "?follow=1" if options.follow else ""
    is_empty, print_output = True, _output_printer(context)
    with closing(context.session.chunks(f"{_run_route(context)}/logs{query}")) as chunks:
        for chunk in chunks:
            is_empty = False
            print_output(chunk, False)
    print_output(b"", True)
    if is_empty:
        if context.json and not options.follow:
            context.print_json({"output": ""})
        if not context.request("GET", _run_route(context))["detached"]:
            context.note("it was not detached: its output went to the terminal that started it, and is not stored")
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
    answer = context.request("DELETE", _run_route(context))
    context.print_json(answer) if context.json else context.note(f"run {context.options.id} was requested to end")
    return 0


def rerun_command(context: Context) -> int:
    """Like ``run``: return the command's exit status, or print the id of a detached run."""
    former = context.request("GET", _run_route(context))
    _check_rerun(former)
    detach = context.options.detach
    is_local = former["target"] == "local"
    request: Json
    if detach:
        request = {"detach": True, "environ_of_client": detached_environ(context)}
    else:
        request = {} if is_local else terminal_field()
    request.update(python_path_field())
    inherits_secrets = is_local and not detach
    request["secrets"] = {name: "" if inherits_secrets else os.environ[name] for name in former["secrets"]}
    request["word_values"] = {name: os.environ[name] for name in former["word_variables"] if name in os.environ}
    for _ in range(ATTEMPTS):
        if not detach:
            _build_former(context, former)
        answer = context.request("POST", f"/v1/runs/{former['id']}/rerun", request)
        context.note_warnings(answer.get("warnings", []))
        status = follow_run(context, answer, request) if answer["run"] is not None else None
        if status is not None:
            return status
    raise prefix_gone_error()


def _check_rerun(former: Json) -> None:
    """Raises: ClientError if the run's folder no longer exists or a secret is not set."""
    if not os.path.isdir(former["cwd"]):
        message = f"Run {former['id']} ran in {former['cwd']}, which does not exist."
        raise client_error("folder-gone", message, "Create that folder again.", 7)
    unset = [name for name in former["secrets"] if name not in os.environ]
    if unset:
        message = f"Run {former['id']} used secrets that are not set: {', '.join(unset)}."
        raise usage_error(message, "Set them first.")


def _build_former(context: Context, former: Json) -> None:
    """Build what was collected from its lock, with visible progress, before the run is requested."""
    uses_unmodified_image = (former.get("interpreter") or {}).get("image")
    if former["lock_digest"] is not None and not uses_unmodified_image:
        result = {"run": former["id"], "lock": former["lock_digest"], "generation": former["generation"]}
        selector = {"cwd": former["cwd"], **{key: value for key, value in result.items() if value is not None}}
        run_build(context, {"what": selector, "target": former["target"]})
