"""``runs``: what was run, in what, and how it ended."""

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
from roost.client.cli.execution.building import build, fields
from roost.client.cli.execution.launching import ATTEMPTS, at_terminal, gone, handed_on, see_through
from roost.client.cli.paging import add_paging, page
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.errors import client_error, usage_error
from roost.client.terminal.text import format_table, format_time, short_digest

Json = dict[str, Any]
COMMAND_WIDTH = 60
EXAMPLE = "r20261123-073107-837df4"


def add(subparsers: Subparsers) -> None:
    """The family of ``runs``."""
    family = add_family(subparsers, "runs", "The history of runs.", "roost runs list")
    add_paging(add_command(family, "list", list_command, "The latest runs.", "roost runs list --limit 20"), "run")
    show = add_command(family, "show", show_command, "One run.", f"roost runs show {EXAMPLE} --json")
    logs = add_command(family, "logs", logs_command, "What a detached run printed.", "roost runs logs -f " + EXAMPLE)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
    cancel = add_command(family, "cancel", cancel_command, "End a run.", "roost runs cancel " + EXAMPLE)
    rerun = add_command(
        family,
        "rerun",
        rerun_command,
        "Run it again, in its exact generation.",
        "roost runs rerun " + EXAMPLE,
    )
    rerun.add_argument("--detach", action="store_true", help="print the new run's id and do not wait")
    for parser in (show, logs, cancel, rerun):
        parser.add_argument("id", metavar="ID")


def list_command(context: Context) -> int:
    answer = page(context, "runs")
    if context.json:
        context.print_json(answer)
        return 0
    heads = ("ID", "STATE", "EXIT", "TARGET", "ENVIRONMENT", "LOCK", "STARTED", "COMMAND")
    context.print(format_table(heads, map(_row, answer["runs"])))
    return 0


def _row(run: Json) -> tuple[object, ...]:
    environment = run.get("environment") or {}
    return (
        run["id"],
        run["state"],
        run.get("exit_status"),
        run["target"],
        _version(environment),
        short_digest(run.get("lock_digest")),
        format_time(run.get("started")),
        _short(shlex.join(run["command"])),
    )


def _version(environment: Json) -> str | None:
    name, version = environment.get("name"), environment.get("version")
    return f"{name}:{version}" if name and version else name


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= COMMAND_WIDTH else words[: COMMAND_WIDTH - 1] + "…"


def _path(context: Context) -> str:
    """Of the run that is named, whatever the name is."""
    run_id = context.options.id
    if run_id in ("", ".", ".."):  # none of them can stand in a route
        raise usage_error(f"{run_id!r} is no run's id.", "`roost runs list` shows the latest ones.")
    return f"/v1/runs/{quote(run_id, safe='')}"


def show_command(context: Context) -> int:
    answer = context.request("GET", _path(context))
    context.print_json(answer) if context.json else context.print(fields(_shown(answer)))
    return 0


def _shown(run: Json) -> Json:
    """For people: the environment as it is written elsewhere, and the interpreter's time stamp is a time."""
    shown = {**run, "environment": _version(run.get("environment") or {})}
    interpreter = run.get("interpreter") or {}
    if isinstance(interpreter.get("mtime"), (int, float)):
        changed = datetime.fromtimestamp(interpreter["mtime"], timezone.utc)
        shown["interpreter"] = {**interpreter, "mtime": changed.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return shown


def logs_command(context: Context) -> int:
    query = "?follow=1" if context.options.follow else ""
    silent, print_output = True, _printer(context)
    with closing(context.session.daemon.chunks(f"{_path(context)}/logs{query}")) as chunks:
        for chunk in chunks:
            silent = False
            print_output(chunk, False)
    print_output(b"", True)
    if silent:
        _say_why(context)
    return 0


def _printer(context: Context) -> Callable[[bytes, bool], None]:
    """For the next part of the output, and whether it is the last: a character that is cut in two is put together."""
    text = getincrementaldecoder("utf-8")(errors="replace")

    def as_json(chunk: bytes, last: bool) -> None:
        if decoded := text.decode(chunk, last):
            context.print_json({"output": decoded})

    def as_it_is(chunk: bytes, last: bool) -> None:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    return as_json if context.json else as_it_is


def _say_why(context: Context) -> None:
    """There is no output: of a run at someone's terminal none is kept."""
    if context.json and not context.options.follow:
        context.print_json({"output": ""})
    if not context.request("GET", _path(context))["detached"]:
        context.note("it was not detached: what it printed went to where it was started, and is not kept")


def cancel_command(context: Context) -> int:
    answer = context.request("DELETE", _path(context))
    context.print_json(answer) if context.json else context.note(f"run {context.options.id} was asked to end")
    return 0


def rerun_command(context: Context) -> int:
    """As ``run`` does it: the command's own status, or the id of a detached run."""
    old = context.request("GET", _path(context))
    _check(old)
    detach = context.options.detach
    request = {"detach": True, "environ_of_client": handed_on(context)} if detach else _terminal_for(old)
    inherited = old["target"] == "local" and not detach
    request["secrets"] = {name: "" if inherited else os.environ[name] for name in old["secrets"]}
    for _ in range(ATTEMPTS):
        if not detach:
            _make_ready(context, old)
        answer = context.request("POST", f"/v1/runs/{old['id']}/rerun", request)
        context.note_warnings(answer.get("warnings", []))
        status = see_through(context, answer, request) if answer["run"] is not None else None
        if status is not None:
            return status
    raise gone()


def _make_ready(context: Context, old: Json) -> None:
    """What was collected is built again from its lock, for all to see, before anything is asked to run."""
    as_it_was = (old.get("interpreter") or {}).get("image")
    if old["lock_digest"] is not None and not as_it_was:
        used = {"run": old["id"], "lock": old["lock_digest"], "generation": old["generation"]}
        asked = {"cwd": old["cwd"], **{key: value for key, value in used.items() if value is not None}}
        build(context, {"what": asked, "target": old["target"]})


def _terminal_for(old: Json) -> Json:
    return {} if old["target"] == "local" else at_terminal()


def _check(old: Json) -> None:
    if not os.path.isdir(old["cwd"]):
        raise client_error(
            "folder-gone", f"Run {old['id']} ran in {old['cwd']}, which is not there.", "Make that folder again.", 7
        )
    unset = [name for name in old["secrets"] if name not in os.environ]
    if unset:
        raise usage_error(f"Run {old['id']} used secrets that are not set: {', '.join(unset)}.", "Set them first.")
