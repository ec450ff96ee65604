"""Blocks of metadata in the comments of a script (PEP 723).

Apart from ``pyproject``, because the search for a definition on disk and the detection of formats look for them too.
Equivalent to the reference expression of PEP 723, which takes the square of the time for blocks without an end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BEGIN = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END = "# ///"


class ScriptBlock(NamedTuple):
    """A block: its type, its content without the comment marks, and the number of the line of its beginning."""

    type: str
    content: str
    line: int


def find_blocks(text: str) -> list[ScriptBlock]:
    """Return the blocks of ``text``. A block goes on to the last end mark of the comment lines below its beginning."""
    if _END not in text:
        return []
    blocks: list[ScriptBlock] = []
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        stop, end = number, number
        while stop < len(lines) and (lines[stop] == "#" or lines[stop].startswith("# ")):
            if lines[stop] == _END:
                end = stop
            stop += 1
        if block := _build_block(lines, number, end):
            blocks.append(block)
        number = stop + 1
    return blocks


def _build_block(lines: list[str], first: int, end: int) -> ScriptBlock | None:
    """Return the block that ends in line ``end`` of the comment lines from ``first`` on; it has a line of content."""
    for begin in range(first, end - 1):
        if match := _BEGIN.fullmatch(lines[begin]):
            content = [line[2:] if line.startswith("# ") else line[1:] for line in lines[begin + 1 : end]]
            return ScriptBlock(match[1], "\n".join(content), begin + 1)
    return None
