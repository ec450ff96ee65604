"""Print ``--help`` of every command, in the order of the tree.

``python -m tests.golden.help > tests/golden/help.txt`` writes the file that ``test_texts`` compares with.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from roost.client.cli.parser import build_parser, commands_of

FILE = Path(__file__).with_name("help.txt")
COLUMNS = "100"


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser, then its commands in order, each followed by its own commands."""
    yield parser
    for command in commands_of(parser).values():
        yield from parsers(command)


def help_text() -> str:
    """Return the help of all commands at a fixed width."""
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        return "\n".join(f"$ {each.prog} --help\n{each.format_help()}" for each in parsers(build_parser()))
    finally:
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns


if __name__ == "__main__":
    sys.stdout.write(help_text())
