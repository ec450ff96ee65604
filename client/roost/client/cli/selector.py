"""WHAT to run in: the same options on every command that needs an environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from roost.client.cli.context import Context
from roost.client.errors import usage_error


def add_what(parser: argparse.ArgumentParser, *, many_targets: bool = False, results: bool = True) -> None:
    """The options of CONTRACT's WHAT. Without ``results``: a definition only, and none of what was made of it."""
    group = parser.add_argument_group("WHAT", "without -e, -f and --image: the nearest environment file upwards")
    one = group.add_mutually_exclusive_group()
    one.add_argument("-e", "-n", dest="environment", metavar="NAME[:VERSION|@LABEL]", help="a registered environment")
    one.add_argument("-f", dest="file", metavar="PATH", help="an environment file, or a folder with one")
    one.add_argument("--image", metavar="REF", help="a container image that brings its own Python")
    if not results:
        parser.set_defaults(generation=None, lock=None, ignore_image=False)
        return
    group.add_argument("--generation", type=int, metavar="N", help="an older result of it, by its number")
    group.add_argument(
        "--lock", metavar="sha256:…", help="an older result of it, or another machine's in a registry, by its lock"
    )
    group.add_argument("--ignore-image", action="store_true", help="drop docker steps for a local prefix, on purpose")
    action: Any = {"action": "append"} if many_targets else {"default": "auto"}
    group.add_argument("-t", dest="target", metavar="TARGET", help="where it shall run (auto)", **action)


def what(context: Context, command: Sequence[str] = ()) -> dict[str, Any]:
    """``wire.What`` of the options, without what is not said."""
    options = context.options
    said = {
        "cwd": utf8(working_folder(), "The working folder"),
        "file": utf8(options.file, "-f") if options.file is not None else None,
        "environment": options.environment,
        "image": options.image,
        "generation": options.generation,
        "lock": options.lock,
        "command": [readable(word) for word in command],
    }
    result = {name: value for name, value in said.items() if value not in (None, [])}
    return {**result, "ignore_image": True} if options.ignore_image else result


def utf8(text: str, name: str) -> str:
    """``text``, which goes over the wire as it is. Raises ``ClientError`` where its bytes are no UTF-8."""
    if readable(text) != text:
        raise usage_error(f"{name} is no UTF-8: {readable(text)}", "Rename it.")
    return text


def readable(text: str) -> str:
    """``text`` for people: bytes that are no UTF-8 show as replacement characters."""
    return os.fsencode(text).decode("utf-8", "replace")


def working_folder() -> str:
    """Raises ``ClientError`` where it was removed meanwhile."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise usage_error("The working folder is gone.", "Change to a folder that exists.") from error
