"""Every command of the parser as a row of texts, which the scripts of all shells are made of."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from roost.client.cli.completion.values import find_completion
from roost.client.cli.parser import TRAILING_COMMAND, commands_of

TRAILING = "..."
"""The position of a command line of its own."""


@dataclass(frozen=True)
class CommandRow:
    """One command: what may follow it."""

    path: str
    """Its words, joined by spaces; empty for roost itself."""
    commands: tuple[tuple[str, str], ...]
    """Names of the commands below it, with what they do."""
    options: tuple[tuple[str, str, str], ...]
    """Name, completion and help. The completion is ``-`` for an option without a value; after a ``!`` it is that of an
    option which is not offered."""
    positions: tuple[str, ...]
    """The completion of each argument; after a ``*`` it is that of all further ones too."""

    @property
    def command_lines(self) -> str:
        """``NAME<tab>HELP``, a line each."""
        return "\n".join("\t".join(row) for row in self.commands)

    @property
    def option_lines(self) -> str:
        """``NAME<tab>COMPLETION<tab>HELP``, a line each."""
        return "\n".join("\t".join(row) for row in self.options)

    @property
    def position_lines(self) -> str:
        """One completion a line."""
        return "\n".join(self.positions)


def list_rows(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[CommandRow]:
    """Yield the row of ``parser`` and of all commands below it."""
    below = commands_of(parser)
    yield CommandRow(
        path=" ".join(path),
        commands=tuple(_list_commands(parser)),
        options=tuple(_list_options(parser, path)),
        positions=tuple(_list_positions(parser, path)),
    )
    for name, command in below.items():
        yield from list_rows(command, (*path, name))


def _list_commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                if choice.help != argparse.SUPPRESS:
                    yield choice.dest, _one_line(choice.help)


def _list_options(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for action in parser._actions:
        completion = "-" if action.nargs == 0 else find_completion(action, path)
        hidden = "!" if action.help == argparse.SUPPRESS else ""
        for name in action.option_strings:
            yield name, hidden + completion, _one_line("" if hidden else action.help)


def _list_positions(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[str]:
    for action in parser._actions:
        if action.option_strings or isinstance(action, argparse._SubParsersAction):
            continue
        completion = find_completion(action, path)
        if isinstance(action.nargs, int):
            yield from [completion] * action.nargs
        else:
            yield ("*" if action.nargs in ("*", "+", argparse.REMAINDER) else "") + completion
    if path and path[0] in TRAILING_COMMAND and len(path) == 1:
        yield TRAILING


def _one_line(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())
