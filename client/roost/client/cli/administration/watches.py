"""``watch``: environments that are made ready in the background when their files change."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.cli.selector import working_folder
from roost.client.errors import format_location_prefix, usage_error
from roost.client.terminal.text import format_table

Json = dict[str, Any]
NOTHING = "nothing is watched: `roost watch add .` watches the environment file of this folder"


def add(subparsers: Subparsers) -> None:
    """Add the family ``watch``."""
    family = add_family(
        subparsers, "watch", "Make environments ready in the background when files change.", "roost watch add ."
    )
    adding = add_command(
        family,
        "add",
        add_watches_command,
        "Watch environment files, or folders with one. The daemon stays alive for them.",
        "roost watch add environment.yml ../other-project",
    )
    adding.add_argument("paths", nargs="+", metavar="PATH")
    adding.add_argument(
        "-t", "--target", default="auto", metavar="TARGET", help="make it ready for local, docker or auto (default)"
    )
    add_command(family, "list", list_command, "List what is watched, and its state.", "roost watch list")
    for action, text, example in (
        ("remove", "Watch no longer: these paths and what is below them.", "roost watch remove ../other-project"),
        ("pause", "Make nothing ready until resumed.", "roost watch pause --all"),
        ("resume", "Resume, and look at what has changed meanwhile.", "roost watch resume --all"),
    ):
        _add_selection(add_command(family, action, update_command, text, example), action)


def _add_selection(parser: ArgumentParser, action: str) -> None:
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--all", action="store_true", help=f"{action} everything that is watched")
    parser.set_defaults(action=action)


def add_watches_command(context: Context) -> int:
    options = context.options
    body = {"paths": _absolute_paths(options.paths), "target": options.target}
    return _print_watches(context, context.request("POST", "/v1/watches", body))


def list_command(context: Context) -> int:
    return _print_watches(context, context.request("GET", "/v1/watches"))


def update_command(context: Context) -> int:
    options = context.options
    if options.all == bool(options.paths):
        raise usage_error("Name paths, or use --all, but not both", f"See `roost watch {options.action} --help`.")
    paths = _absolute_paths(options.paths)
    body = {"action": options.action, "paths": paths, "all": options.all}
    answer = context.request("PATCH", "/v1/watches", body)
    if options.action != "remove" or context.json:
        return _print_watches(context, answer)
    for each in answer["watches"]:
        context.print(f"{each['path']} is no longer watched")
    return 0


def _print_watches(context: Context, answer: Json) -> int:
    if context.json:
        context.print_json(answer)
        return 0
    if not answer["watches"]:
        context.note(NOTHING)
    rows = [(each["path"], each["state"], each["origin"], _describe(each)) for each in answer["watches"]]
    context.print_text(format_table(("PATH", "STATE", "BY", "WHY"), rows))
    return 0


def _absolute_paths(paths: list[str]) -> list[str]:
    """Return what is meant by the arguments PATH. An empty one (an unset variable) is not this folder."""
    if "" in paths:
        raise usage_error("A PATH is empty.", "Name a file or folder; `.` is this one.")
    return [os.path.abspath(os.path.join(working_folder(), path)) for path in paths]


def _describe(watch: Json) -> str:
    """Return why the state is what it is, and why changes are seen late."""
    parts = []
    if (reason := watch.get("reason")) is not None:
        message = reason["message"]
        parts.append(f"{format_location_prefix(reason.get('location'), message, absolute=True)}{message}")
    if watch["method"] != "inotify":
        parts.append(f"{watch['method']}: {watch['method_reason']}")
    if watch.get("unwatched"):
        parts.append(f"{watch['unwatched']} has too many files: changes of some are noticed at the next use")
    if watch.get("definition"):
        parts.append(f"found {watch['definition']}")
    return "; ".join(parts)
