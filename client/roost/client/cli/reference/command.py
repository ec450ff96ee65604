"""``help``: the list of topics, a page, or the help of a command."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence

from roost.client.cli.context import Context
from roost.client.cli.parser import MODULES, Subparsers, add_command, build_parser, commands_of
from roost.client.cli.reference.layout import lay_out
from roost.client.cli.reference.pager import show
from roost.client.cli.reference.topics import (
    TOPICS,
    Topic,
    find_topic,
    find_topic_of_page,
    list_names,
    read_page,
)
from roost.client.errors import ClientError, usage_error
from roost.client.terminal.text import format_table, has_colour, paint

WIDEST = 100
"""Characters of a line; longer ones are hard to read."""


def add(subparsers: Subparsers) -> None:
    """Add ``help``."""
    text = "Show a page of the reference, or the help of a command."
    parser = add_command(subparsers, "help", help_command, text, "roost help roost.toml")
    words = parser.add_argument("words", nargs="*", metavar="TOPIC|COMMAND", help="without one: all topics")
    commands = (command for commands in MODULES.values() for command in commands)
    words.complete = " ".join((*(each.name for each in TOPICS), *commands))  # type: ignore[attr-defined]


def help_command(context: Context) -> int:
    """Raises: ClientError with exit status 2 for a topic that does not exist."""
    words = context.options.words
    topic = find_topic(words)
    command = _find_command(words)
    if not words:
        _list_topics(context)
    elif topic is None and command is None:
        raise _unknown_error(words)
    elif context.json:
        context.print_json(
            {
                "topic": topic.name if topic else None,
                "summary": topic.summary if topic else None,
                "text": read_page(topic) if topic else None,
                "command_help": command.format_help() if command else None,
            }
        )
    else:
        lines = [*(_format_page(topic) if topic else []), *([""] if topic and command else [])]
        show(context, lines + (command.format_help().rstrip("\n").split("\n") if command else []))
    return 0


def _list_topics(context: Context) -> None:
    if context.json:
        context.print_json({"topics": [{"topic": each.name, "summary": each.summary} for each in TOPICS]})
        return
    context.print_text(format_table(("TOPIC", "ABOUT"), ((each.name, each.summary) for each in TOPICS)))
    context.print("")
    context.print(
        "`roost help TOPIC` shows a page, `roost help COMMAND` the help of a command; `roost --help` lists those."
    )


def _format_page(topic: Topic) -> list[str]:
    """Return the page as lines for a terminal of this width."""
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)

    def open_command(path: str) -> str | None:
        other = find_topic_of_page(path)
        return f"roost help {other.name}" if other and other != topic else None

    def emphasise(line: str) -> str:
        return paint(line, "bold", sys.stdout)

    heading = emphasise if has_colour(sys.stdout) else None
    return lay_out(read_page(topic), width, heading=heading, page_of=open_command)


def _find_command(words: Sequence[str]) -> argparse.ArgumentParser | None:
    """Return the parser of the command that ``words`` name, ``env diff`` for example."""
    parser = build_parser(words[0]) if words else None
    for word in words:
        parser = commands_of(parser).get(word) if parser else None
    return parser


def _unknown_error(words: Sequence[str]) -> ClientError:
    from difflib import get_close_matches  # only after a mistake

    name = " ".join(words)
    parser = build_parser()
    known = [*list_names(), *commands_of(parser)]
    if below := commands_of(parser).get(words[0]):
        known += [f"{words[0]} {each}" for each in commands_of(below)]
    near = get_close_matches(name.lower(), known, n=1) or get_close_matches(words[0].lower(), known, n=1)
    hint = "`roost help` lists the topics, `roost --help` the commands."
    return usage_error(
        f"There is no topic and no command {name!r}.", f"Did you mean `roost help {near[0]}`? {hint}" if near else hint
    )
