"""``add`` and ``remove``: packages of the nearest environment file, or of the one that ``-f`` names."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.editing.text import format_result
from roost.client.cli.parser import Subparsers, add_command
from roost.client.cli.selector import require_utf8, working_folder
from roost.client.errors import unreachable_error, usage_error
from roost.client.terminal.progress import ProgressDisplay

Json = dict[str, Any]


def add(subparsers: Subparsers) -> None:
    """Add ``add`` and ``remove``."""
    adding = add_command(
        subparsers,
        "add",
        add_command_handler,
        "Add packages to the environment file; it is solved before it is changed.",
        "roost add 'numpy>=2' --group test",
    )
    adding.add_argument(
        "packages", nargs="+", metavar="PKG", help="such as numpy, 'numpy>=2', conda:libgdal or pip:torch"
    )
    removing = add_command(
        subparsers, "remove", remove_command, "Remove packages from the environment file.", "roost remove numpy"
    )
    removing.add_argument("packages", nargs="+", metavar="PKG", help="the name of a package in the file")
    for parser in (adding, removing):
        _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--script", dest="file", metavar="PATH", help="a file or script, or a folder with one (default: nearest)"
    )
    parser.add_argument("-e", "-n", dest="environment", metavar="NAME", help=argparse.SUPPRESS)
    section = parser.add_mutually_exclusive_group()
    section.add_argument("--conda", dest="section", action="store_const", const="conda", help="as packages of conda")
    section.add_argument("--pip", dest="section", action="store_const", const="pip", help="as packages of pip")
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--group", metavar="NAME", help="in a dependency group of a pyproject.toml")
    table.add_argument("--extra", metavar="NAME", help="in an extra of a pyproject.toml")
    parser.add_argument("--dry-run", action="store_true", help="show the change, and change nothing")


def add_command_handler(context: Context) -> int:
    return _edit(context, {"add": _require_packages(context)})


def remove_command(context: Context) -> int:
    return _edit(context, {"remove": _require_packages(context)})


def _require_packages(context: Context) -> list[str]:
    return [require_utf8(text, "PKG") for text in context.options.packages]


def _edit(context: Context, order: Json) -> int:
    options = context.options
    if options.environment is not None:
        raise usage_error(
            f"-e {options.environment} names a registered environment, and `roost {next(iter(order))}` edits files.",
            f"`roost env edit {options.environment}` makes its next version.",
        )
    what = {"cwd": require_utf8(working_folder(), "The working folder")}
    what.update({"file": require_utf8(options.file, "-f")} if options.file is not None else {})
    chosen = {name: getattr(options, name) for name in ("section", "group", "extra")}
    request = {"what": what, **order, **{name: value for name, value in chosen.items() if value is not None}}
    result = _request_edit(context, {**request, **({"dry_run": True} if options.dry_run else {})})
    context.note_warnings(result.get("warnings", []))
    for reason in result.get("reasons", []):
        context.note(reason["message"])
    if context.json:
        context.print_json(result)
    else:
        context.print_lines(format_result(result, is_trial=options.dry_run))
    return 0


def _request_edit(context: Context, request: Json) -> Json:
    """Request an edit, show its progress, and return its result (``wire.EditResult``). An interrupt closes the stream,
    which cancels the edit: the file stays as it was, or has been replaced as a whole."""
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet or context.json)
    try:
        with closing(context.session.messages("/v1/edits", request)) as messages:
            for message in messages:
                if message["event"] == "result":
                    result: Json = message["result"]
                    return result
                display.show(message)
    except KeyboardInterrupt:
        context.clear_progress()
        stays = "the file stays as it was"
        written = "" if request.get("dry_run") else ", or has all of the change if it was being written already"
        context.note(f"cancelled: {stays}{written}")
        raise
    finally:
        display.close()
    raise unreachable_error(
        "The daemon closed the connection before it was done.", "Look at the file, and run the command again."
    )
