"""The bytes of a file, the text that readers see of it, and the replacement of pieces of it.

Readers see no byte-order mark and ``\\n`` at the end of each line. A piece is replaced in the bytes themselves, so that
all others stay as they are; new lines end as most lines of the file do.
"""

from __future__ import annotations

import codecs
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from roost.model.edits.change import EditRefusedError


class Splice(NamedTuple):
    """Text in place of the characters from ``start`` to ``end`` (exclusive)."""

    start: int
    end: int
    text: str


class SourceText:
    """A file in UTF-8. Offsets are those of ``text``."""

    def __init__(self, data: bytes) -> None:
        """Raises: EditRefusedError if the file has another encoding, or lines that end in ``\\r`` alone."""
        self._mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        try:
            self._written = data[len(self._mark) :].decode()
        except UnicodeDecodeError:
            raise EditRefusedError("The file is not in UTF-8", hint="Save it as UTF-8, and try again.") from None
        self.text = self._written.replace("\r\n", "\n")
        if "\r" in self.text:
            message = "The file has a carriage return within a line"
            raise EditRefusedError(message, hint="Save it with the same line ends everywhere, and try again.")
        self._ends: list[int] = []
        """Offsets in ``text`` of the line ends that are written with a carriage return."""
        offset = -1
        while (offset := self._written.find("\r\n", offset + 1)) >= 0:
            self._ends.append(offset - len(self._ends))
        self._line_end = "\r\n" if len(self._ends) * 2 > self.text.count("\n") else "\n"

    def apply(self, splices: Iterable[Splice]) -> bytes:
        """Return the bytes with pieces replaced, none of which overlap."""
        written = self._written
        for start, end, text in sorted(splices, reverse=True):
            written = written[: self._place(start)] + text.replace("\n", self._line_end) + written[self._place(end) :]
        return self._mark + written.encode()

    def _place(self, offset: int) -> int:
        return offset + bisect_right(self._ends, offset - 1)


def line_start(text: str, offset: int) -> int:
    """Return the offset of the beginning of the line of ``offset``."""
    return text.rfind("\n", 0, offset) + 1


def line_end(text: str, offset: int) -> int:
    """Return the offset of the end of the line of ``offset``, before its line end."""
    found = text.find("\n", offset)
    return len(text) if found < 0 else found


def delete_lines(text: str, start: int, end: int) -> Splice:
    """Return the deletion of whole lines from ``start`` to ``end``; of the last one without a line end, the line end
    before it goes."""
    if end < len(text):
        return Splice(start, end + 1, "")
    return Splice(max(start - 1, 0), end, "")


def line_number(text: str, offset: int) -> int:
    """Return the number of a line, counted from 1."""
    return text.count("\n", 0, offset) + 1
