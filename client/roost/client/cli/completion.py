"""``completion``: scripts for shell completion, made from the parser."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, build_parser, commands_of

Completions = dict[tuple[str, ...], list[str]]
"""For the path of every command: the words that may follow it."""


def add(subparsers: Subparsers) -> None:
    """Add ``completion``."""
    parser = add_command(
        subparsers,
        "completion",
        completion_command,
        "Print a completion script for your shell.",
        'eval "$(roost completion bash)"',
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def completion_command(context: Context) -> int:
    completions = dict(_list_completions(build_parser(), ()))
    script = _fish_script(completions) if context.options.shell == "fish" else _bash_script(completions)
    if context.options.shell == "zsh":
        script = "autoload -U +X bashcompinit && bashcompinit\n" + script
    context.print_json({"script": script}) if context.json else context.write_file(script + "\n")
    return 0


def _list_completions(
    parser: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    commands = commands_of(parser)
    options = [name for action in parser._actions for name in action.option_strings]
    choices = [str(c) for a in parser._actions if not a.option_strings and not commands for c in a.choices or ()]
    yield path, [*commands, *choices, *options]
    for name, below in commands.items():
        yield from _list_completions(below, (*path, name))


def _bash_script(completions: Completions) -> str:
    """Match the longest command first: `runs list` before `runs`. Complete files if no word fits."""
    cases = "\n".join(
        f"        {shlex.quote(' '.join((*path, '')))}*) words={shlex.quote(' '.join(words))} ;;"
        for path, words in sorted(completions.items(), key=lambda item: (-len(item[0]), item[0]))
    )
    return f"""_roost_complete() {{
    local line="${{COMP_WORDS[*]:1:COMP_CWORD-1}} " words=
    case $line in
{cases}
    esac
    COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _roost_complete roost"""


def _fish_script(completions: Completions) -> str:
    lines = []
    for path, words in completions.items():
        seen = " ".join(f"; and __fish_seen_subcommand_from {name}" for name in path).removeprefix("; and ")
        names = " ".join(word for word in words if not word.startswith("-"))
        if names:
            inner = f"; and not __fish_seen_subcommand_from {names}" if path else ""
            condition = (seen or "__fish_use_subcommand") + inner
            lines.append(f"complete -c roost -n {shlex.quote(condition)} -a {shlex.quote(names)}")
        for word in (word for word in words if word.startswith("-")):
            option = f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
            lines.append(f"complete -c roost -n {shlex.quote(seen or '__fish_use_subcommand')} {option}")
    return "\n".join(lines)
