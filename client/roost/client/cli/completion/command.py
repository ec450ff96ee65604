"""``completion``: print the script."""

from __future__ import annotations

from roost.client.cli.completion.bash import format_bash
from roost.client.cli.completion.fish import format_fish
from roost.client.cli.completion.tree import list_rows
from roost.client.cli.completion.zsh import format_zsh
from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, build_parser

_FORMATTERS = {"bash": format_bash, "zsh": format_zsh, "fish": format_fish}


def add(subparsers: Subparsers) -> None:
    """Add ``completion``."""
    parser = add_command(
        subparsers,
        "completion",
        completion_command,
        "Print a completion script for your shell.",
        'eval "$(roost completion bash)"',
    )
    parser.add_argument("shell", choices=tuple(_FORMATTERS))


def completion_command(context: Context) -> int:
    script = _FORMATTERS[context.options.shell](list(list_rows(build_parser())))
    context.print_json({"script": script}) if context.json else context.write_file(script + "\n")
    return 0
