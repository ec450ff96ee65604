"""A script's metadata (PEP 723): changes of its content as changes of the script, and the place of a new block."""

from __future__ import annotations

import re

from roost.model.edits.source_text import Splice
from roost.model.readers.script_blocks import ScriptBlock

_ENCODING = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+")
"""Of PEP 263, in one of the first two lines."""
_END_MARK = "# ///"


class BlockPlaces:
    """Offsets of a block's content as offsets of the script."""

    def __init__(self, text: str, block: ScriptBlock) -> None:
        self._content = block.content
        self._starts, self._marks = [], []
        lines = text.split("\n")
        offset = sum(len(line) + 1 for line in lines[: block.line])
        for line in lines[block.line : block.line + block.content.count("\n") + 2]:  # with the end mark
            self._starts.append(offset)
            self._marks.append(2 if line.startswith("# ") else 1)
            offset += len(line) + 1

    def convert(self, splice: Splice) -> Splice:
        """Return the same change of the script. Whole lines are replaced with their comment marks, and a piece of a
        line without."""
        start, end, text = splice
        if self._is_begin(start) and self._is_begin(end) and (not text or text.endswith("\n")) and splice != (0, 0, ""):
            lines = [_mark_line(line) for line in text.split("\n")[:-1]]
            return Splice(self._line(start), self._line(end), "".join(f"{line}\n" for line in lines))
        first, *more = text.split("\n")
        marked = [first, *map(_mark_line, more)]
        if more and not more[-1] and self._content[end : end + 1] not in ("", "\n"):
            marked[-1] = "# "  # the rest of the line follows the mark
        return Splice(self._place(start), self._place(end), "\n".join(marked))

    def _is_begin(self, offset: int) -> bool:
        return offset == 0 or offset > len(self._content) or self._content[offset - 1] == "\n"

    def _line(self, offset: int) -> int:
        """Return the beginning of the line of an offset; one behind the content is that of the end mark."""
        return self._starts[self._content.count("\n", 0, offset) + (offset > len(self._content))]

    def _place(self, offset: int) -> int:
        line = self._content.count("\n", 0, offset)
        column = offset - (self._content.rfind("\n", 0, offset) + 1)
        return self._starts[line] + self._marks[line] + column


def split_script(text: str, block: ScriptBlock) -> tuple[str, str]:
    """Return what stands above the content of a block and below it, with its marks."""
    lines = text.split("\n")
    end = block.line + block.content.count("\n") + 1
    return "\n".join(lines[: block.line]), "\n".join(lines[end:])


def _mark_line(line: str) -> str:
    return f"# {line}" if line else "#"


def insert_block(text: str, content: str) -> Splice:
    """Return a new block as a change of a script: behind the ``#!`` line and the encoding, before everything else.

    A blank line keeps it apart from comments below it, which would be part of it otherwise.
    """
    offset, lines = 0, text.split("\n")
    for number, line in enumerate(lines[:2]):
        if not ((number == 0 and line.startswith("#!")) or _ENCODING.match(line)):
            break
        offset += len(line) + 1
    above = ""
    if offset > len(text):  # the last line has no end
        offset, above = len(text), "\n"
    body = "".join(f"{_mark_line(line)}\n" for line in content.rstrip("\n").split("\n"))
    below = "\n" if text[offset:].strip() and not text[offset:].startswith("\n") else ""
    return Splice(offset, offset, f"{above}# /// script\n{body}{_END_MARK}\n{below}")
