"""Options that select an environment: the same on every command that needs one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from roost.client.cli.context import Context
from roost.client.errors import usage_error
from roost.wire.visible import make_visible


def add_selector_options(
    parser: argparse.ArgumentParser,
    target_help: str = "where to run it (auto)",
    *,
    many_targets: bool = False,
    definition_only: bool = False,
) -> None:
    """Add the options of WHAT and CHOICES. ``target_help``: what the command uses a target for.
    ``definition_only``: without those that select a target or an earlier result."""
    _add_choices(parser)
    group = parser.add_argument_group("WHAT", "without -e, -f and --image: the nearest environment file upwards")
    one = group.add_mutually_exclusive_group()
    one.add_argument("-e", "-n", dest="environment", metavar="NAME[:VERSION|@LABEL]", help="a registered environment")
    one.add_argument("-f", dest="file", metavar="PATH", help="an environment file, or a folder with one")
    one.add_argument("--image", metavar="REF", help="a container image that brings its own Python")
    group.add_argument("--locked", action="store_true", help="fail if the lock file beside it does not fit")
    if definition_only:
        parser.set_defaults(generation=None, lock=None, ignore_image=False)
        return
    group.add_argument("--generation", type=int, metavar="N", help="an older result of it, by its number")
    group.add_argument(
        "--lock", metavar="sha256:…", help="an older result of it, or one that another machine shared, by its lock"
    )
    group.add_argument("--ignore-image", action="store_true", help="drop docker steps for a local prefix, on purpose")
    action: Any = {"action": "append"} if many_targets else {"default": "auto"}
    group.add_argument("-t", dest="target", metavar="TARGET", help=target_help, **action)


def _add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among what one definition offers, or add to it."""
    group = parser.add_argument_group("CHOICES", "of what the definition offers; another choice is another environment")
    group.add_argument("--python", metavar="X.Y", help="this version of Python, within requires-python")
    group.add_argument("--extra", action="append", default=[], metavar="NAME", help="with an extra of the project")
    group.add_argument("--group", action="append", default=[], metavar="NAME", help="with a dependency group")
    group.add_argument(
        "--with",
        dest="additions",
        action="append",
        default=[],
        metavar="PKG",
        help="add a package, for this request only",
    )
    group.add_argument("--no-project", action="store_true", help="the dependencies without the project itself")


_LARGEST_HEAD = 1 << 20
"""Bytes of a script that are searched for metadata."""


def build_selector(context: Context, command: Sequence[str] = ()) -> dict[str, Any]:
    """Return the ``wire.EnvironmentSelector`` of the options, without empty fields."""
    options = context.options
    fields = {
        "cwd": require_utf8(working_folder(), "The working folder"),
        "file": require_utf8(options.file, "-f") if options.file is not None else None,
        "environment": options.environment,
        "image": options.image,
        "generation": options.generation,
        "lock": options.lock,
        "command": [replace_undecodable(word) for word in command],
        "ignore_image": options.ignore_image,
        "python": options.python,
        "extras": [require_utf8(name, "--extra") for name in options.extra],
        "groups": [require_utf8(name, "--group") for name in options.group],
        "additions": [require_utf8(text, "--with") for text in options.additions],
        "no_project": options.no_project,
        "locked": options.locked,
    }
    if not any((options.file, options.environment, options.image)):
        _check_script_names(command)
    return {name: value for name, value in fields.items() if value is not None and value != [] and value is not False}


def _check_script_names(command: Sequence[str]) -> None:
    """Raise ClientError if a script with metadata of its own (PEP 723) has a name that no request can have: another
    environment would be used in silence."""
    for word in command:
        if word.endswith(".py") and replace_undecodable(word) != word and os.path.isfile(word):
            with open(word, "rb") as file:
                has_metadata = b"# /// script" in file.read(_LARGEST_HEAD)
            if has_metadata:
                require_utf8(word, "The name of a script with metadata")


def require_utf8(text: str, name: str) -> str:
    """Return ``text``, which the wire carries unchanged. Raises: ClientError if its bytes are not UTF-8."""
    if replace_undecodable(text) != text:
        raise usage_error(f"{name} is not valid UTF-8: {make_visible(text)}", "Rename it.")
    return text


def replace_undecodable(text: str) -> str:
    """Return ``text`` with replacement characters for bytes that are not UTF-8."""
    return os.fsencode(text).decode("utf-8", "replace")


def working_folder() -> str:
    """Return the working folder. Raises: ClientError if it no longer exists."""
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise usage_error("The working folder no longer exists.", "Change to a folder that exists.") from error
