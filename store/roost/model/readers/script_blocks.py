"""Blocks of metadata in the comments of a script (PEP 723).

Apart from ``pyproject``, because the search for a definition on disk and the detection of formats look for them too.
Equivalent to the reference expression of PEP 723, which takes the square of the time for blocks without an end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BEGIN = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END = "# ///"
_SCRIPT = "script"
_NEARLY_BEGIN = re.compile(r"#[ \t]*/{3}[ \t]*script[ \t]*", re.IGNORECASE)
_NEARLY_END = re.compile(r"#[ \t]*/{3}[ \t]*")


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


class BlockFault(NamedTuple):
    """A block of type ``script`` that PEP 723 has tools ignore: what is wrong with it, and the number of its line."""

    message: str
    line: int


def find_fault(text: str) -> BlockFault | None:
    """Return what is wrong with the first block that was meant as metadata of the script and is none by PEP 723.

    It has no end or no content, or its marks are misspelt. ``None`` if there is no such block.
    """
    lines = text.split("\n")
    blocks = [block for block in find_blocks(text) if block.type == _SCRIPT or block.type.lower() != _SCRIPT]
    taken = {number for block in blocks for number in _block_lines(block)}
    first, last_end = -1, -1
    """Index of the last line like an end mark in the comment lines that go on at ``index``."""
    for index in range(len(lines) - 1, -1, -1):  # the first fault is found last
        if not lines[index].startswith("#"):
            last_end = -1
        elif last_end < 0 and _NEARLY_END.fullmatch(lines[index]):
            last_end = index
        elif index + 1 not in taken and _is_begin(lines[index], has_end=last_end > index):
            first = index
    if first < 0:
        return None
    is_mark = lines[first] == f"{_END} {_SCRIPT}"
    what = _describe_fault(lines, first) if is_mark else f"{lines[first].strip()!r} is not the mark '# /// script'"
    return BlockFault(what, first + 1)


def _is_begin(line: str, *, has_end: bool) -> bool:
    """Return whether a line is meant as a mark; a misspelt one without an end may be a comment about such blocks."""
    return line == f"{_END} {_SCRIPT}" or (has_end and _NEARLY_BEGIN.fullmatch(line) is not None)


def _block_lines(block: ScriptBlock) -> range:
    return range(block.line, block.line + block.content.count("\n") + 3)


def _describe_fault(lines: list[str], begin: int) -> str:
    """Say why the lines behind ``begin`` are no block."""
    for index in range(begin + 1, len(lines)):
        line = lines[index]
        if line == _END:
            return "The '# /// script' block is empty"
        if line != "#" and not line.startswith("# ") and (line or index + 1 < len(lines)):
            shown = "is empty" if not line.strip() else "does not begin with '# '"
            return f"The '# /// script' block has no end: line {index + 1} {shown}, and no line '# ///' comes before it"
    return "The '# /// script' block has no end: no line '# ///' comes after it"


def _build_block(lines: list[str], first: int, end: int) -> ScriptBlock | None:
    """Return the block that ends in line ``end`` of the comment lines from ``first`` on; it has a line of content."""
    for begin in range(first, end - 1):
        if match := _BEGIN.fullmatch(lines[begin]):
            content = [line[2:] if line.startswith("# ") else line[1:] for line in lines[begin + 1 : end]]
            return ScriptBlock(match[1], "\n".join(content), begin + 1)
    return None
