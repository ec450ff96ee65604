"""All commands and their options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NoReturn, TypeAlias

from roost.client.cli.context import Context
from roost.client.errors import usage_error
from roost.client.version import VERSION

Handler = Callable[[Context], int]
LAUNCH_COMMANDS = ("run", "exec", "shell")
TRAILING_COMMAND = ("run", "exec")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps examples as they are written."""


class Parser(argparse.ArgumentParser):
    """Its errors are the client's own, so that they look like all others, in JSON too."""

    def error(self, message: str) -> NoReturn:
        """Raises ``ClientError`` with exit status 2."""
        raise usage_error(message[:1].upper() + message[1:], f"See `{self.prog} --help`.")


Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(
    subparsers: Subparsers, name: str, handler: Handler, text: str, example: str
) -> argparse.ArgumentParser:
    """One command with ``--json``, ``-q`` and an example."""
    parser = _add(subparsers, name, text, example)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
    parser.set_defaults(handler=handler)
    return parser


def add_family(subparsers: Subparsers, name: str, text: str, example: str) -> Subparsers:
    """A command that has commands of its own."""
    return _add(subparsers, name, text, example).add_subparsers(metavar="COMMAND", required=True)


def _add(subparsers: Subparsers, name: str, text: str, example: str) -> argparse.ArgumentParser:
    return subparsers.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"Example:\n  {example}",
        formatter_class=Formatter,
        allow_abbrev=False,
    )


MODULES = {
    "execution.launching": ("run", "exec", "shell"),
    "execution.planning": ("plan", "digest", "lock"),
    "execution.building": ("build", "builds"),
    "execution.history": ("runs",),
    "environments.environments": ("env",),
    "services.images": ("image",),
    "services.registries": ("registry",),
    "environments.curated": ("curated",),
    "services.events": ("events", "cache"),
    "services.daemon": ("daemon", "doctor"),
    "completion": ("completion",),
}
"""Which module of this package adds which commands, in the order of ``--help``."""


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The command line: the part of it that knows ``command``, or the whole. Importing all of it takes longer than
    most commands do."""
    parser = Parser(
        prog="roost",
        description="Gives every script the environment it asks for.",
        epilog="Example:\n  roost run train.py",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    known = [module for module, commands in MODULES.items() if command in commands]
    for module in known or MODULES:
        import_module(f"roost.client.cli.{module}").add(subparsers)
    return parser


class _Version(argparse.Action):
    """Prints it and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        print(f"roost {VERSION}")
        parser.exit()


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; raises ``SystemExit`` as argparse does. What follows the first word that is no option of ``run`` or
    ``exec`` is the command's, whatever it looks like."""
    parser = build_parser(arguments[0] if arguments else None)
    if not arguments:
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    own, command = split_command(parser, arguments) if arguments[0] in TRAILING_COMMAND else (list(arguments), [])
    options, unknown = parser.parse_known_args(own)
    if unknown:
        commands_of(parser).get(own[0], parser).error(f"no such option or argument here: {' '.join(unknown)}")
    options.command = command
    return options


def split_command(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """roost's own words, and the command."""
    valued = _valued_options(_parser_of(parser, arguments[0]))
    position = 1
    while position < len(arguments):
        word = arguments[position]
        if word == "--":
            return list(arguments[:position]), list(arguments[position + 1 :])
        if not word.startswith("-") or word == "-":
            break
        position += 2 if word in valued else 1
    return list(arguments[:position]), list(arguments[position:])


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands right below ``parser``."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def _parser_of(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    return commands_of(parser)[name]


def _valued_options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions if action.nargs != 0 for name in action.option_strings}
