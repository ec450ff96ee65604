"""``build`` and ``builds``, and builds on behalf of other commands."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.paging import add_paging_options, record_route, request_page
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import add_selector_options, build_selector
from roost.client.errors import unreachable_error
from roost.client.launch.begun import BegunBuild
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_duration, format_record, format_table, format_time, short_digest

Json = dict[str, Any]
NOTED_REASONS = frozenset(
    [
        "base-gone",
        "base-moved",
        "choices-read",
        "engine-unknown",
        "interpreter-unchecked",
        "lock-elsewhere",
        "lock-not-shared",
        "lock-poisoned",
        "lock-shared-registry",
        "pruned-meanwhile",
        "python-from-conda",
        "registry-unknown",
        "steps-gone",
        "steps-not-pushed",
        "steps-shared",
    ]
)
"""Codes of reasons that are printed after a build: the last line alone would hide that the build took an unusual way,
or that something is left to do."""
EXAMPLE = "b20261123-073101-97cac3"
NO_BUILD = "nothing was built: `roost build` does it, and so does the first `roost run`"


def add(subparsers: Subparsers) -> None:
    """Add ``build`` and the family ``builds``."""
    build = add_command(subparsers, "build", build_command, "Build an environment.", "roost build -f environment.yml")
    add_selector_options(build, "what to build it for (auto)")
    build.add_argument("--rebuild", action="store_true", help="solve again: a new generation")
    build.add_argument("--as-of", metavar="DATE", help="solve as on a day such as 2020-07-08; implies --rebuild")
    build.add_argument("--detach", action="store_true", help="print the build's id and do not wait")
    family = add_family(subparsers, "builds", "Builds, including failed ones.", "roost builds list")
    listing = add_command(family, "list", list_command, "List the latest builds.", "roost builds list --limit 20")
    add_paging_options(listing, "build")
    show = add_command(family, "show", show_command, "Show a build.", "roost builds show " + EXAMPLE)
    logs = add_command(family, "logs", logs_command, "Show a build's log.", "roost builds logs -f " + EXAMPLE)
    logs.add_argument("-f", "--follow", action="store_true", help="continue until the build ends")
    cancel = add_command(family, "cancel", cancel_command, "Cancel a build.", "roost builds cancel " + EXAMPLE)
    for parser in (show, logs, cancel):
        parser.add_argument("id", metavar="ID", help="the id, the beginning of one only, or `latest`")


def build_command(context: Context) -> int:
    options = context.options
    request: Json = {"what": build_selector(context), "target": options.target}
    request.update({"rebuild": True} if options.rebuild else {})
    request.update({"as_of": options.as_of} if options.as_of is not None else {})
    if options.detach:
        started = context.request("POST", "/v1/builds", {**request, "detach": True})
        build_id = started["build"]["id"] or "nothing to build: the environment is ready"
        context.print_json(started) if context.json else context.print(build_id)
        return 0
    result = run_build(context, request, print_messages=context.json)
    if result.get("moved"):
        context.note(f"on generation {result['generation']} from now on: {', '.join(result['moved'])}")
    context.print_json({"build": result}) if context.json else context.print_lines(_result_lines(result))
    return 0


def _result_lines(result: Json) -> list[str]:
    if not result["artifacts"]:
        return [reason["message"] for reason in result.get("reasons", [])] or ["nothing to build"]
    artifacts = ", ".join(str(artifact.get("path") or artifact.get("reference")) for artifact in result["artifacts"])
    is_new = result["state"] != "not-needed"
    outcome = f"ready after {format_duration(result['seconds'])}" if is_new else "was ready"
    generation = f", generation {result['generation']}" if result.get("generation") else ""
    return [f"{artifacts} ({outcome}{generation})"]


def run_build(
    context: Context, request: Json, *, print_messages: bool = False, begun: BegunBuild | None = None
) -> Json:
    """Request a build, show its progress, and return its result (``wire.BuildResult``).

    ``begun``: the same request, which was sent already. ``print_messages``: print every message as JSON instead of the
    progress. An interrupt closes the stream, which ends this client's interest in the build. Raises: ClientError if the
    build failed.
    """
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet)
    try:
        connection = begun.connection if begun is not None else None
        with closing(context.session.messages("/v1/builds", request, connection)) as messages:
            for message in messages:
                if message["event"] == "result":
                    result: Json = message["result"]
                    break
                context.note_source(message.get("source"))
                context.note_warnings(message.get("warnings", []))
                if not print_messages:
                    display.show(message)
                elif message["event"] != "heartbeat":
                    context.print_json(message)
            else:
                hint = "Run the command again: finished work is kept."
                raise unreachable_error("The daemon closed the connection before the build ended.", hint)
    finally:
        display.close()
    for reason in result.get("reasons", []):
        if reason["code"] in NOTED_REASONS:
            context.note(_format_noted(reason))
    return result


def _format_noted(reason: Json) -> str:
    """Return a reason as a line of its own: the choices, which are no sentence, begin as the lines around them do."""
    message: str = reason["message"]
    return message[:1].lower() + message[1:] if reason["code"] == "choices-read" else message


def list_command(context: Context) -> int:
    answer = request_page(context, "builds")
    if context.json:
        context.print_json(answer)
        return 0
    if not answer["builds"]:
        context.note("there is no older build" if context.options.before else NO_BUILD)
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
    context.print_text(format_table(heads, rows))
    return 0


def show_command(context: Context) -> int:
    answer = context.request("GET", record_route("build", context.options.id))
    context.print_json(answer) if context.json else context.print_text(format_record(answer["build"]))
    return 0


def logs_command(context: Context) -> int:
    query = "?follow=1" if context.options.follow else ""
    with closing(context.session.lines("GET", record_route("build", context.options.id, "logs") + query)) as messages:
        for message in messages:
            if context.json:
                context.print_json(message)
            elif message.get("line") is not None:
                context.print(str(message["line"]))
            elif message.get("event") == "step":
                context.print(f"-- {message.get('step')} {message.get('state')}")
    return 0


def cancel_command(context: Context) -> int:
    answer = context.request("DELETE", record_route("build", context.options.id))
    context.print_json(answer) if context.json else context.note(f"build {answer['build']['id']} cancelled")
    return 0
