"""``build`` and ``builds``, and the building that other commands need first."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Generator
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.paging import add_paging, page
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import add_what, what
from roost.client.errors import ClientError, unreachable_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_duration, format_table, format_time, short_digest
from roost.client.transport.variables import add_missing_variables

Json = dict[str, Any]
TIMES = ("created", "started", "ended")
UNEXPECTED = frozenset(
    [
        "base-gone",
        "base-moved",
        "engine-unknown",
        "interpreter-unchecked",
        "lock-elsewhere",
        "lock-not-shared",
        "lock-poisoned",
        "lock-shared-registry",
        "pruned-meanwhile",
        "registry-unknown",
        "steps-gone",
        "steps-not-pushed",
        "steps-shared",
    ]
)
"""Codes of reasons that a person is told of unasked: who reads only the last line would not know that something else
happened than usual, or that something is still to be done."""
EXAMPLE = "b20261123-073101-97cac3"


def add(subparsers: Subparsers) -> None:
    """``build`` and the family of ``builds``."""
    build = add_command(
        subparsers, "build", build_command, "Make an environment ready.", "roost build -f environment.yml"
    )
    add_what(build)
    build.add_argument("--rebuild", action="store_true", help="solve anew: a new generation")
    build.add_argument("--as-of", metavar="DATE", help="solve as on a day such as 2020-07-08; implies --rebuild")
    build.add_argument("--detach", action="store_true", help="print the build's id and do not wait")
    family = add_family(subparsers, "builds", "Builds, failed ones too.", "roost builds list")
    add_paging(add_command(family, "list", list_command, "The latest builds.", "roost builds list --limit 20"), "build")
    show = add_command(family, "show", show_command, "One build.", "roost builds show " + EXAMPLE)
    logs = add_command(family, "logs", logs_command, "A build's log.", "roost builds logs -f " + EXAMPLE)
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the build ends")
    cancel = add_command(family, "cancel", cancel_command, "Cancel a build.", "roost builds cancel " + EXAMPLE)
    for parser in (show, logs, cancel):
        parser.add_argument("id", metavar="ID")


def build_command(context: Context) -> int:
    options = context.options
    request: Json = {"what": what(context), "target": options.target}
    request.update({"rebuild": True} if options.rebuild else {})
    request.update({"as_of": options.as_of} if options.as_of is not None else {})
    if options.detach:
        started = context.request("POST", "/v1/builds", {**request, "detach": True})
        build_id = started["build"]["id"] or "nothing to build: the environment is ready"
        context.print_json(started) if context.json else context.print(build_id)
        return 0
    result = build(context, request)
    if result.get("moved"):
        context.note(f"on generation {result['generation']} from now on: {', '.join(result['moved'])}")
    context.print_json({"build": result}) if context.json else context.print(_sentence(result))
    return 0


def _sentence(result: Json) -> str:
    if not result["artifacts"]:
        return "\n".join(reason["message"] for reason in result.get("reasons", [])) or "nothing to build"
    places = ", ".join(str(artifact.get("path") or artifact.get("reference")) for artifact in result["artifacts"])
    how = "was ready" if result["state"] == "not-needed" else f"ready after {format_duration(result['seconds'])}"
    number = f", generation {result['generation']}" if result.get("generation") else ""
    return f"{places} ({how}{number})"


def build(context: Context, request: Json) -> Json:
    """Ask for a build, show it as it happens, and return its result. Raises ``ClientError`` where it failed; leaving
    this function by an interrupt closes the stream, which withdraws the interest in the build."""
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet)
    try:
        with closing(_messages(context, request)) as messages:
            for message in messages:
                if message["event"] == "result":
                    display.close()
                    return _told(context, message["result"])
                _take(context, display, message)
    finally:
        display.close()
    raise unreachable_error(
        "The daemon broke off before the build ended.", "Run the command again: what was done is kept."
    )


def _told(context: Context, result: Json) -> Json:
    for reason in result.get("reasons", []):
        if reason["code"] in UNEXPECTED:
            context.note(reason["message"])
    return result


def _messages(context: Context, request: Json) -> Generator[Json, None, None]:
    while True:
        try:
            yield from _stream(context, request)
        except ClientError as error:
            again = add_missing_variables(request, error)
            if again is None:
                raise
            request = again
        else:
            return


def _stream(context: Context, request: Json) -> Generator[Json, None, None]:
    """The messages; one that is an error is raised."""
    with closing(context.session.daemon.lines("POST", "/v1/builds", request)) as lines:
        for message in lines:
            if message.get("event") == "error":
                raise ClientError(message["error"])
            yield message


def _take(context: Context, display: ProgressDisplay, message: Json) -> None:
    context.note_source(message.get("source"))
    context.note_warnings(message.get("warnings", []))
    if context.json and getattr(context.options, "handler", None) is build_command:
        if message["event"] != "heartbeat":
            context.print_json(message)
        return
    display.show(message)


def list_command(context: Context) -> int:
    answer = page(context, "builds")
    if context.json:
        context.print_json(answer)
        return 0
    heads = ("ID", "STATE", "DEFINITION", "GENERATION", "CREATED", "TOOK", "FROM")
    rows = (
        (
            build["id"],
            build["state"],
            short_digest(build.get("definition_digest")),
            build.get("generation"),
            format_time(build.get("created")),
            format_duration(build["seconds"]) if build.get("seconds") is not None else None,
            build.get("source") or build.get("name"),
        )
        for build in answer["builds"]
    )
    context.print(format_table(heads, rows))
    return 0


def show_command(context: Context) -> int:
    answer = context.request("GET", f"/v1/builds/{context.options.id}")
    context.print_json(answer) if context.json else context.print(fields(answer["build"]))
    return 0


def fields(record: Json) -> str:
    """A record, a field a line."""
    width = max((len(name) for name in record), default=0)
    said = ((name, value) for name, value in record.items() if value not in (None, [], {}, ""))
    shown = ((name, format_time(value) if name in TIMES else _text(value)) for name, value in said)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in shown)


def _text(value: object) -> str:
    if isinstance(value, dict):
        told = ((name, item) for name, item in value.items() if item not in (None, "", [], {}))
        return ", ".join(f"{name}={_text(item)}" for name, item in told)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value)


def logs_command(context: Context) -> int:
    query = "?follow=1" if context.options.follow else ""
    with closing(context.session.daemon.lines("GET", f"/v1/builds/{context.options.id}/logs{query}")) as lines:
        for message in lines:
            if context.json:
                context.print_json(message)
            elif message.get("line") is not None:
                context.print(str(message["line"]))
            elif message.get("event") == "step":
                context.print(f"-- {message.get('step')} {message.get('state')}")
    return 0


def cancel_command(context: Context) -> int:
    answer = context.request("DELETE", f"/v1/builds/{context.options.id}")
    context.print_json(answer) if context.json else context.note(f"build {context.options.id} cancelled")
    return 0
