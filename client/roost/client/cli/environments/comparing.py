"""``env diff``, ``outdated`` and ``rollback``: what differs, what would change, and the way back."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.changes import change_lines, lock_lines
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_what, what, working_folder
from roost.client.errors import ClientError, unreachable_error, usage_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_time, paint, short_digest
from roost.client.transport.variables import add_missing_variables

Json = dict[str, Any]
SIDE = "NAME[:VERSION|@LABEL]|PATH|RUN"
DIFF = """What differs between two versions, files or runs: by definition, by settings and by lock.

One argument is compared with what it came from: a version with the one before it, a file with the latest version of
its environment; of a run is said what changed in its environment since. None at all: the nearest environment file."""


def add(family: Subparsers) -> None:
    """The three commands."""
    diff = add_command(family, "diff", diff_command, "What differs between two.", "roost env diff train:1 train:2")
    diff.description = DIFF
    diff.add_argument("sides", nargs="*", metavar=SIDE, help="at most two; what has a / is a path")
    diff.add_argument("--platform", metavar="P", help="whose locks to compare; this machine's without it")
    about = "What a fresh solve would change; builds nothing and keeps nothing."
    outdated = add_command(family, "outdated", outdated_command, about, "roost env outdated train")
    outdated.add_argument("reference", nargs="?", metavar="NAME[:VERSION|@LABEL]", help="the same as -e")
    add_what(outdated)
    for parser in (diff, outdated):
        parser.add_argument("--exit-code", action="store_true", help="end with status 1 where something differs")
    about = "Make an older generation the current one."
    rollback = add_command(family, "rollback", rollback_command, about, "roost env rollback train --to 2")
    rollback.add_argument("reference", metavar="NAME[:VERSION|@LABEL]|PATH")
    rollback.add_argument("--to", type=_number, metavar="N", help="without it, the one before the current one")
    rollback.add_argument("--platform", metavar="P", help="whose generations, where there are several")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no generation: they count from 1")
    return int(text)


def diff_command(context: Context) -> int:
    options = context.options
    if len(options.sides) > 2:
        raise usage_error(f"{len(options.sides)} are too many to compare.", "Name two, as in train:1 train:2.")
    before, after = ([None, None, *options.sides] if len(options.sides) != 2 else options.sides)[-2:]
    asked = {"cwd": working_folder(), "before": before, "after": after, "platform": options.platform}
    answer = context.request("POST", "/v1/diffs", {key: value for key, value in asked.items() if value is not None})
    context.note_warnings(answer.get("warnings", []))
    context.print_json(answer) if context.json else context.print("\n".join(_diff_lines(answer)))
    return int(answer["differ"] and options.exit_code)


def _diff_lines(answer: Json) -> Iterator[str]:
    before, after = answer["before"], answer["after"]
    yield f"{paint(before['title'], 'bold', sys.stdout)} -> {paint(after['title'], 'bold', sys.stdout)}"
    for part in ("definition", "settings"):
        changes = answer[part]
        yield f"{part}: {'' if changes else 'the same'}".rstrip()
        yield from (f"  {line}" for line in change_lines(changes, sys.stdout))
    if answer["lock"] is not None:
        yield from lock_lines(answer["lock"], sys.stdout)
    for missing in dict.fromkeys(side["lock_missing"] for side in (before, after) if side.get("lock_missing")):
        yield f"packages: not compared: {missing}"


def outdated_command(context: Context) -> int:
    options = context.options
    if options.reference is not None and (options.environment or options.file or options.image):
        raise usage_error("NAME and -e, -f or --image each name an environment.", "Give one of them.")
    options.environment = options.reference or options.environment
    found = _outdated(context, {"what": what(context), "target": options.target})
    context.print_json({"outdated": found}) if context.json else context.print("\n".join(_outdated_lines(found)))
    return int(found["outdated"] and options.exit_code)


def _outdated(context: Context, request: Json) -> Json:
    """The solve, shown as it happens, and what came of it."""
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet)
    try:
        with closing(_messages(context, request)) as messages:
            for message in messages:
                if message.get("outdated") is not None:
                    found: Json = message["outdated"]
                    return found
                display.show(message)
    finally:
        display.close()
    raise unreachable_error("The daemon broke off before the solve ended.", "Run the command again.")


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
    with closing(context.session.daemon.lines("POST", "/v1/outdated", request)) as lines:
        for message in lines:
            if message.get("event") == "error":
                raise ClientError(message["error"])
            yield message


def _outdated_lines(found: Json) -> Iterator[str]:
    current = f"generation {found['generation']} ({short_digest(found['lock_digest'])})"
    if not found["outdated"]:
        yield f"{current} is what a fresh solve for {found['platform']} would choose"
    else:
        yield f"{current} -> a fresh solve for {found['platform']} ({short_digest(found['solved_digest'])})"
        yield from lock_lines(found["lock"], sys.stdout)
        named = ", ".join(found["environments"])
        yield "`roost build --rebuild` would make that the next generation" + (f" of {named}" if named else "")
    yield from (reason["message"] for reason in found["reasons"])


def rollback_command(context: Context) -> int:
    reference = context.options.reference
    path = "/" in reference or reference in (".", "..")
    try:
        answer = _roll_back(context, "file" if path else "environment")
    except ClientError as error:
        no_name = error.body["code"] in ("environment-unknown", "name-invalid")
        if path or not no_name or not os.path.exists(reference):
            raise
        answer = _roll_back(context, "file")
    context.print_json(answer) if context.json else context.print("\n".join(_rollback_lines(answer)))
    return 0


def _roll_back(context: Context, key: str) -> Json:
    options = context.options
    what = {"cwd": working_folder(), key: options.reference}
    asked = {"what": what, "to": options.to, "platform": options.platform}
    return context.request("POST", "/v1/rollbacks", {name: value for name, value in asked.items() if value is not None})


def _rollback_lines(answer: Json) -> Iterator[str]:
    before, after = answer["before"], answer["after"]
    place = answer["platform"] + (", on this machine only" if after["host"] else "")
    moved = before["number"] != after["number"]
    said = f"is current again for {place}; it was {before['number']}" if moved else f"was current already for {place}"
    lock = short_digest(after["lock_digest"])
    yield f"generation {after['number']} of {format_time(after['created'])} ({lock}) {said}"
    if moved and answer["environments"]:
        yield f"moved: {', '.join(answer['environments'])}"
    if answer["lock"] is not None:
        yield from lock_lines(answer["lock"], sys.stdout, fetch=answer["ready"] is False)
    if answer["ready"] is False:
        yield "its prefix is not on this machine now: it is built from its lock when it is used"
