"""All commands and their options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn, TypeAlias

from roost.client.cli.context import Context
from roost.wire.installation import VERSION

Handler = Callable[[Context], int]
LAUNCH_COMMANDS = ("run", "exec", "shell")
TRAILING_COMMAND = ("run", "exec")
"""Commands whose last arguments are a command line of its own."""
MODULES = {
    "inspection.packages": ("list",),
    "inspection.tree": ("tree",),
    "inspection.reasons": ("why",),
    "inspection.programs": ("which",),
    "execution.launches": ("run", "exec", "shell"),
    "execution.plans": ("plan", "digest"),
    "execution.locks": ("lock",),
    "execution.builds": ("build", "builds"),
    "history.family": ("runs",),
    "editing.beginning": ("init",),
    "editing.packages": ("add", "remove"),
    "environments.family": ("env",),
    "administration.images": ("image",),
    "administration.registries": ("registry",),
    "environments.curated": ("curated",),
    "administration.events": ("events",),
    "administration.watches": ("watch",),
    "administration.cache": ("cache",),
    "administration.daemon": ("daemon",),
    "administration.doctor": ("doctor",),
    "completion.command": ("completion",),
    "reference.command": ("help",),
}
"""The modules of this package that add the commands, in the order of ``--help``. They are imported by name."""


class ExampleFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves examples as they are written."""


class CommandParser(argparse.ArgumentParser):
    """Raises its errors as ClientError, so that they look like all others, in JSON too, and name what was typed."""

    _typed: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401  # of two overloads
        """Note what was typed, for errors."""
        self._typed = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raises: ClientError with exit status 2."""
        from roost.client.cli.mistakes import explain_usage  # only after a mistake

        raise explain_usage(self, message, self._typed)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Raises: ClientError for an unknown command or choice, without the list of all that argparse would print."""
        if action.choices is None or value in action.choices:
            return
        from roost.client.cli.mistakes import unknown_choice_error, unknown_command_error  # only after a mistake

        if not isinstance(action, argparse._SubParsersAction):
            raise unknown_choice_error(self, action, str(value))
        typed = list(self._typed)
        raise unknown_command_error(self, typed[typed.index(str(value)) :], build_parser)


Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    subparsers: Subparsers, name: str, handler: Handler, text: str, example: str
) -> argparse.ArgumentParser:
    """Add a command with ``--json``, ``-q`` and an example."""
    parser = _add_parser(subparsers, name, text, example)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
    add_folder_option(parser)
    parser.set_defaults(handler=handler)
    return parser


def add_folder_option(parser: argparse.ArgumentParser) -> None:
    """Add ``-C``, which may stand before the command too (``parse``)."""
    parser.add_argument(
        "-C", dest="folders", action="append", default=[], metavar="DIR", help="as if called in this folder"
    )


def add_family(subparsers: Subparsers, name: str, text: str, example: str) -> Subparsers:
    """Add a command that has commands of its own."""
    return _add_parser(subparsers, name, text, example).add_subparsers(metavar="COMMAND", required=True)


def _add_parser(subparsers: Subparsers, name: str, text: str, example: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"Example:\n  {example}",
        formatter_class=ExampleFormatter,
        allow_abbrev=False,
    )


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of ``command`` with its siblings of the same module, or of all commands.

    Importing all modules takes longer than most commands do.
    """
    parser = CommandParser(
        prog="roost",
        description="Gives every script the environment that it declares.",
        epilog="Example:\n  roost run train.py",
        formatter_class=ExampleFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action=_VersionAction, nargs=0, help="print the version")
    add_folder_option(parser)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    needed = [module for module, commands in MODULES.items() if command in commands]
    for module in needed or MODULES:
        import_module(f"roost.client.cli.{module}").add(subparsers)
    return parser


class _VersionAction(argparse.Action):
    """Prints the version and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        print(f"roost {VERSION}")
        parser.exit()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; ``command`` of the result holds the trailing command of ``run`` and ``exec``.

    Raises: SystemExit after ``--help`` and ``--version`` or without arguments; ClientError for wrong usage.
    """
    folders, arguments = split_folders(arguments)
    parser = build_parser(arguments[0] if arguments else None)
    if not arguments:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    own, command = split_command(parser, arguments) if arguments[0] in TRAILING_COMMAND else (list(arguments), [])
    options, unknown = parser.parse_known_args(own)
    if unknown:
        from roost.client.cli.mistakes import unknown_option_error  # only after a mistake

        raise unknown_option_error(_find_command(parser, own), unknown)
    options.command = command
    options.folders = [*folders, *options.folders]
    return options


def split_folders(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split off what ``-C DIR`` before the command names: another parser would replace it."""
    folders, position = [], 0
    while arguments[position : position + 1] == ["-C"] and len(arguments) > position + 1:
        folders.append(arguments[position + 1])
        position += 2
    return folders, list(arguments[position:])


def find_command_word(arguments: Sequence[str]) -> str | None:
    """Return the command that ``arguments`` name, known or not; ``None`` if there is none."""
    return next(iter(split_folders(arguments)[1]), None)


def _find_command(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the command that ``arguments`` name: of `cache gc`, not of `cache`."""
    for word in arguments:
        if word not in (commands := commands_of(parser)):
            break
        parser = commands[word]
    return parser


def split_command(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split the arguments of ``run`` and ``exec`` into roost's own and the trailing command.

    The command begins at ``--`` or at the first word that is neither an option nor the value of one. Whatever follows
    belongs to the command, even if it looks like an option.
    """
    actions = commands_of(parser)[arguments[0]]._actions
    valued_options = {name for action in actions if action.nargs != 0 for name in action.option_strings}
    position = 1
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            return list(arguments[:position]), list(arguments[position + 1 :])
        if not word.startswith("-") or word == "-":
            break
        position += 2 if word in valued_options else 1
    return list(arguments[:position]), list(arguments[position:])


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the commands directly below ``parser``."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
