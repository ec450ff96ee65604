"""A script's metadata (PEP 723): changes of its content as changes of the script."""

from __future__ import annotations

import re

from roost.model.edits.change import EditRefusedError
from roost.model.edits.source_text import Splice
from roost.model.readers.script_blocks import ScriptBlock

_ENCODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")
"""Of PEP 263, in one of the first two lines."""


class BlockPlaces:
    """Offsets of a block's content as offsets of the script. An offset at the beginning of a line stands for that of
    the comment mark."""

    def __init__(self, text: str, block: ScriptBlock) -> None:
        self._content = block.content
        self._starts, self._marks = [], []
        lines = text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: block.line])
        for line in lines[block.line : block.line + block.content.count("\n") + 1]:
            self._starts.append(offset)
            self._marks.append(2 if line.startswith("# ") else 1)
            offset += len(line) + 1

    def convert(self, splice: Splice) -> Splice:
        """Return the same change of the script. Raises: EditRefusedError if it begins within a line, and ends with
        another."""
        start, end = self._place(splice.start), self._place(splice.end)
        is_whole = self._is_begin(splice.start)
        text = splice.text.replace("\n", "\n# ")
        if is_whole and (splice.text or splice.end > splice.start):
            ends_line = splice.text.endswith("\n")
            text = f"# {text.removesuffix('# ') if ends_line else text}" if splice.text else ""
            if not splice.text and not self._is_begin(splice.end):
                raise EditRefusedError("The script's metadata is written in a form that can't be edited")
        elif self._is_begin(splice.end) and splice.end > splice.start:
            raise EditRefusedError("The script's metadata is written in a form that can't be edited")
        return Splice(start, end, text)

    def _is_begin(self, offset: int) -> bool:
        return offset == 0 or self._content[offset - 1] == "\n"

    def _place(self, offset: int) -> int:
        line = self._content.count("\n", 0, offset)
        column = offset - (self._content.rfind("\n", 0, offset) + 1)
        return self._starts[line] + (column + self._marks[line] if column else 0)


def find_block_place(text: str) -> int:
    """Return where a new block goes: behind the ``#!`` line and the encoding, before everything else."""
    offset = 0
    for number, line in enumerate(text.splitlines(keepends=True)[:2]):
        if (number == 0 and line.startswith("#!")) or _ENCODING.match(line):
            offset += len(line)
        else:
            break
    return offset
