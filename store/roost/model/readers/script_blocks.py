"""Blocks of metadata in the comments of a script (PEP 723).

Apart from ``pyproject``, because the search for a definition on disk and the detection of formats look for them too.
Equivalent to the reference expression of PEP 723, which takes the square of the time for blocks without an end.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from roost.model.readers.mistakes.near_keys import find_near_key

_BEGIN = re.compile(r"# /// ([a-zA-Z0-9-]+)")
_END = "# ///"
_SCRIPT = "script"
_NEARLY_BEGIN = re.compile(r"#{1,2}[ \t]*/{2,4}[ \t]*([^\s/]{5,8})[ \t]*")
"""A mark whose signs may be too few or too many; what is in the group decides whether it means a script."""
_NEARLY_END = re.compile(r"#{1,2}[ \t]*/{2,4}[ \t]*")
_NEARLY_CONTENT = re.compile(r"#{1,2}[ \t]*(?:[\w.\"'-]+[ \t]*=|\[)")


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
    blocks = [block for block in find_blocks(text) if not _is_misspelt(block.type)]
    taken = {number for block in blocks for number in _block_lines(block)}
    first, has_end, has_content = -1, False, False
    """Whether the comment lines that go on at ``index`` have a line like an end mark, and before it one of TOML."""
    for index in range(len(lines) - 1, -1, -1):  # the first fault is found last
        line = lines[index]
        if not line.startswith("#") or index + 1 in taken:
            has_end = has_content = False
        elif _NEARLY_END.fullmatch(line):
            has_end = True
        elif has_end and _NEARLY_CONTENT.match(line):
            has_content = True
        elif line == f"{_END} {_SCRIPT}" or (has_content and _is_nearly_begin(line)):
            first = index
    if first < 0:
        return None
    is_mark = lines[first] == f"{_END} {_SCRIPT}"
    what = _describe_fault(lines, first) if is_mark else f"{lines[first].strip()!r} is not the mark '# /// script'"
    return BlockFault(what, first + 1)


def _is_nearly_begin(line: str) -> bool:
    """Whether a line is meant as a mark, if an end and TOML come after it: else it may be a comment about blocks."""
    match = _NEARLY_BEGIN.fullmatch(line)
    return match is not None and (match[1] == _SCRIPT or _is_misspelt(match[1]))


def _is_misspelt(type: str) -> bool:
    """Whether a type of blocks is a near miss of ``script``; PEP 723 leaves all other types to other tools."""
    return find_near_key(type, (_SCRIPT,)) is not None


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
