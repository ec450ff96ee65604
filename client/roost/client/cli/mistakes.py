"""Errors of wrong command lines: what was typed, and what was probably meant. Imported after a mistake only."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from roost.client.cli.foreign import advise_command, advise_option, explain_option
from roost.client.errors import ClientError, usage_error
from roost.wire.visible import make_visible

_MOST_CHOICES = 12
"""Choices that are listed in an error."""
_ARGUMENT = re.compile(r"argument (\S+): (.*)", re.DOTALL)
_INVALID = re.compile(r"invalid (\w+) value: '(.*)'", re.DOTALL)
_EXPECTED = re.compile(r"expected (one|at least one|\d+) arguments?")
_REQUIRED = re.compile(r"the following arguments are required: (.*)", re.DOTALL)


def unknown_command_error(
    parser: argparse.ArgumentParser, words: Sequence[str], build_parser: Callable[[], argparse.ArgumentParser]
) -> ClientError:
    """Return the error for ``words`` in the place of a command of ``parser``. ``build_parser`` has all commands."""
    own = _commands_of(parser)
    others = {
        name: f"{path} {name}" for path, family in _list_families(build_parser()) for name in _commands_of(family)
    }
    return usage_error(
        f"`{parser.prog}` has no command {make_visible(repr(words[0]))}.",
        make_visible(advise_command(words, parser.prog, list(own), {} if parser.prog != "roost" else others)),
    )


def _list_families(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the commands that have commands of their own, with their full names."""
    for command in _commands_of(parser).values():
        if _commands_of(command):
            yield command.prog, command
            yield from _list_families(command)


def _commands_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    found = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return found[0] if found else {}


def unknown_choice_error(parser: argparse.ArgumentParser, action: argparse.Action, value: str) -> ClientError:
    """Return the error for a value that is none of an option's or argument's choices."""
    from difflib import get_close_matches

    choices = [str(choice) for choice in action.choices or ()]
    near = get_close_matches(value, choices, n=1)
    listed = f"One of {', '.join(choices)}. " if len(choices) <= _MOST_CHOICES else ""
    return usage_error(
        f"`{parser.prog}`: {make_visible(repr(value))} is no value of {_name_action(action)}.",
        (f"Did you mean `{near[0]}`? " if near else "") + f"{listed}See `{parser.prog} --help`.",
    )


def _name_action(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return action.option_strings[-1] if action.option_strings else metavar


def unknown_option_error(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> ClientError:
    """Return the error for words that ``parser`` has no place for, with what the first may be meant to be."""
    known = [name for action in parser._actions if action.help != argparse.SUPPRESS for name in action.option_strings]
    near = advise_option(unknown[0], known)
    advice = f"Did you mean `{near}`?" if near else explain_option(unknown[0])
    hint = f"See `{parser.prog} --help`."
    return usage_error(
        f"Unknown option or argument: {make_visible(' '.join(unknown))}", f"{advice} {hint}" if advice else hint
    )


def _name_missing(parser: argparse.ArgumentParser, missing: Sequence[str]) -> str:
    """Return the ``missing`` arguments, as the usage line names them, without those of which there may be none:
    argparse lists them, too."""
    optional = (argparse.OPTIONAL, argparse.ZERO_OR_MORE, argparse.REMAINDER)
    needed = (action for action in parser._actions if action.nargs not in optional)
    return ", ".join(_name_action(action) for action in needed if argparse._get_action_name(action) in missing)


def explain_usage(parser: argparse.ArgumentParser, message: str, typed: Sequence[str]) -> ClientError:
    """Return the error for a ``message`` of argparse, in words that name what was ``typed``."""
    hint = f"See `{parser.prog} --help`."
    if required := _REQUIRED.fullmatch(message):
        commands = _commands_of(parser)
        if commands:
            known = {name for action in parser._actions for name in action.option_strings}
            if unknown := [word for word in typed if word.startswith("-") and word not in known]:
                return unknown_option_error(parser, unknown[:1])
            listed = f"One of {', '.join(commands)}. " if len(commands) <= _MOST_CHOICES else ""
            return usage_error(f"`{parser.prog}` needs a command.", listed + hint)
        example = str(parser.epilog or "").partition("\n")[2].strip()
        missing = _name_missing(parser, required[1].split(", ")) or required[1]
        return usage_error(f"`{parser.prog}` needs {missing}.", f"As in `{example}`. {hint}" if example else hint)
    found = _ARGUMENT.fullmatch(message)
    if found is None:
        return usage_error(message[:1].upper() + message[1:], hint)
    option, fault = found[1].rpartition("/")[2] if found[1].startswith("-") else found[1], found[2]
    if _EXPECTED.fullmatch(fault):
        action = next((each for each in parser._actions if option in each.option_strings), None)
        value = f": {action.metavar}" if action is not None and isinstance(action.metavar, str) else ""
        return usage_error(f"`{parser.prog}`: {option} needs a value{value}.", hint)
    if (invalid := _INVALID.fullmatch(fault)) is not None:
        kind = {"int": "a whole number", "float": "a number"}.get(invalid[1], f"a valid {invalid[1]}")
        return usage_error(f"`{parser.prog}`: {option} {make_visible(repr(invalid[2]))} is not {kind}.", hint)
    return usage_error(f"`{parser.prog}`: {make_visible(found[1])}: {make_visible(fault)}.", hint)
