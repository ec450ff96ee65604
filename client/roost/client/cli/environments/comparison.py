"""``env diff``, ``env outdated`` and ``env rollback``: what differs, what would change, and return to a generation."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.environments.changes import change_lines, lock_lines
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import add_selector_options, build_selector, working_folder
from roost.client.errors import ClientError, unreachable_error, usage_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_time, paint, short_digest

Json = dict[str, Any]
OPERAND = "NAME[:VERSION|@LABEL]|PATH|RUN"
DIFF_ABOUT = """Compare two versions, files or runs: by definition, by settings and by lock.

One argument is compared with what it came from: a version with the one before it, a file with the latest version of
its environment, a run with its environment's present state. Without arguments: the nearest environment file."""


def add(family: Subparsers) -> None:
    """Add ``env diff``, ``env outdated`` and ``env rollback``."""
    diff = add_command(
        family, "diff", diff_command, "Compare two versions, files or runs.", "roost env diff train:1 train:2"
    )
    diff.description = DIFF_ABOUT
    diff.add_argument("operands", nargs="*", metavar=OPERAND, help="at most two; an argument with a / is a path")
    diff.add_argument("--platform", metavar="P", help="the platform whose locks are compared (default: this machine's)")
    about = "Show what a fresh solve would change; builds nothing and stores nothing."
    outdated = add_command(family, "outdated", outdated_command, about, "roost env outdated train")
    outdated.add_argument("reference", nargs="?", metavar="NAME[:VERSION|@LABEL]", help="the same as -e")
    add_selector_options(outdated, "what to solve for (auto)")
    for parser in (diff, outdated):
        parser.add_argument("--exit-code", action="store_true", help="exit with status 1 if something differs")
    about = "Make an older generation the current one."
    rollback = add_command(family, "rollback", rollback_command, about, "roost env rollback train --to 2")
    rollback.add_argument("reference", metavar="NAME[:VERSION|@LABEL]|PATH")
    to = "the generation (default: the one before the current one)"
    rollback.add_argument("--to", type=_parse_generation, metavar="N", help=to)
    rollback.add_argument("--platform", metavar="P", help="the platform, if there are generations for several")


def _parse_generation(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid generation: expected a number from 1")
    return int(text)


def diff_command(context: Context) -> int:
    """Return 1 if the operands differ and ``--exit-code`` is given."""
    options = context.options
    if len(options.operands) > 2:
        raise usage_error(f"{len(options.operands)} are too many to compare.", "Name two, as in train:1 train:2.")
    before, after = [None, None, *options.operands][-2:]  # a single operand is compared with what it came from
    request = {"cwd": working_folder(), "before": before, "after": after, "platform": options.platform}
    answer = context.request("POST", "/v1/diffs", {key: value for key, value in request.items() if value is not None})
    context.note_warnings(answer.get("warnings", []))
    context.print_json(answer) if context.json else context.print_lines(_diff_lines(answer))
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
    missing_locks = (operand["lock_missing"] for operand in (before, after) if operand.get("lock_missing"))
    for reason in dict.fromkeys(missing_locks):
        yield f"packages: not compared: {reason}"


def outdated_command(context: Context) -> int:
    """Return 1 if a fresh solve differs and ``--exit-code`` is given."""
    options = context.options
    if options.reference is not None and (options.environment or options.file or options.image):
        raise usage_error("NAME and -e, -f or --image each name an environment.", "Give one of them.")
    options.environment = options.reference or options.environment
    outdated = _request_outdated(context, {"what": build_selector(context), "target": options.target})
    if context.json:
        context.print_json({"outdated": outdated})
    else:
        context.print_lines(_outdated_lines(outdated))
    return int(outdated["outdated"] and options.exit_code)


def _request_outdated(context: Context, request: Json) -> Json:
    """Show the progress of the solve and return its result (``wire.OutdatedView``)."""
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet)
    try:
        with closing(context.session.messages("/v1/outdated", request)) as messages:
            for message in messages:
                if message.get("outdated") is not None:
                    outdated: Json = message["outdated"]
                    return outdated
                display.show(message)
    finally:
        display.close()
    raise unreachable_error("The daemon closed the connection before the solve ended.", "Run the command again.")


def _outdated_lines(outdated: Json) -> Iterator[str]:
    current = f"generation {outdated['generation']} ({short_digest(outdated['lock_digest'])})"
    platform = outdated["platform"]
    if not outdated["outdated"]:
        yield f"{current} is what a fresh solve for {platform} would choose"
    else:
        yield f"{current} -> a fresh solve for {platform} ({short_digest(outdated['solved_digest'])})"
        yield from lock_lines(outdated["lock"], sys.stdout)
        names = ", ".join(outdated["environments"])
        yield "`roost build --rebuild` would make that the next generation" + (f" of {names}" if names else "")
    yield from (reason["message"] for reason in outdated["reasons"])


def rollback_command(context: Context) -> int:
    """Roll back the environment that the reference names, or else the file at that path."""
    reference = context.options.reference
    is_path = "/" in reference or reference in (".", "..")
    try:
        answer = _request_rollback(context, "file" if is_path else "environment")
    except ClientError as error:
        is_no_name = error.code in ("environment-unknown", "name-invalid")
        if is_path or not is_no_name or not os.path.exists(reference):
            raise
        answer = _request_rollback(context, "file")
    context.print_json(answer) if context.json else context.print_lines(_rollback_lines(answer))
    return 0


def _request_rollback(context: Context, field: str) -> Json:
    """``field``: the field of the selector for the reference."""
    options = context.options
    selector = {"cwd": working_folder(), field: options.reference}
    request = {"what": selector, "to": options.to, "platform": options.platform}
    sent = {name: value for name, value in request.items() if value is not None}
    return context.request("POST", "/v1/rollbacks", sent)


def _rollback_lines(answer: Json) -> Iterator[str]:
    before, after = answer["before"], answer["after"]
    scope = answer["platform"] + (", on this machine only" if after["host"] else "")
    moved = before["number"] != after["number"]
    if moved:
        outcome = f"is current again for {scope}; it was {before['number']}"
    else:
        outcome = f"was current already for {scope}"
    lock = short_digest(after["lock_digest"])
    yield f"generation {after['number']} of {format_time(after['created'])} ({lock}) {outcome}"
    if moved and answer["environments"]:
        yield f"moved: {', '.join(answer['environments'])}"
    if answer["lock"] is not None:
        yield from lock_lines(answer["lock"], sys.stdout, fetch=answer["ready"] is False)
    if answer["ready"] is False:
        yield "its prefix is not on this machine now: it is built from its lock when it is used"
