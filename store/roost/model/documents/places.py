"""Offsets in a text as lines and columns, and where the characters of a quoted value are written."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

from roost.model.errors import Location

_QUOTES = ('"""', "'''", '"', "'")


class TextPlaces:
    """Lines and columns of a text, counted from 1 in characters; lines end with ``\\n``.

    ``first_line`` and ``column_shift`` give its position in its file: a script's metadata begins further down.
    """

    def __init__(self, text: str, path: str, *, first_line: int = 1, column_shift: int = 0) -> None:
        self.text = text
        self.path = path
        self._first, self._shift = first_line, column_shift

    @cached_property
    def _starts(self) -> list[int]:
        """Offset of each line."""
        starts, offset = [0], -1
        while (offset := self.text.find("\n", offset + 1)) >= 0:
            starts.append(offset + 1)
        return starts

    def locate(self, offset: int) -> Location:
        """Return the line and column of an offset."""
        index = bisect_right(self._starts, offset) - 1
        column = offset - self._starts[index] + 1 + self._shift
        return Location(path=self.path, line=index + self._first, column=column)

    def find_line(self, offset: int) -> int:
        """Return the index of the line of an offset."""
        return bisect_right(self._starts, offset) - 1

    def line_start(self, index: int) -> int | None:
        """Return the offset of a line by its index, ``None`` beyond the last."""
        return self._starts[index] if index < len(self._starts) else None


class WrittenValue:
    """A text value, and where its characters are written: plain, quoted, or in a block over several lines."""

    def __init__(self, value: str, places: TextPlaces, start: int, end: int) -> None:
        """``start`` and ``end`` include the quotes."""
        self.value = value
        self._places = places
        self._start, self._end = start, end
        self._unplaced: Location | None = None

    @classmethod
    def unplaced(cls, value: str, location: Location) -> WrittenValue:
        """Return a value whose characters are not known to be written anywhere, only about where it is."""
        written = cls(value, TextPlaces("", location.path), 0, 0)
        written._unplaced = location
        return written

    @property
    def location(self) -> Location:
        """Where the first character is, after a quote; where the value begins if that can't be said."""
        return self.locate(0)

    @property
    def end(self) -> Location | None:
        """Where the last character ends; where the value ends with its quote if that can't be said."""
        if self._unplaced is not None:
            return None
        if self._shift is not None:
            return self._places.locate(self._start + self._shift + len(self.value))
        return self._places.locate(self._end)

    def locate(self, offset: int) -> Location:
        """Return where a character of the value is written; the beginning of the value if it can't be said (escapes,
        folded lines)."""
        if self._unplaced is not None:
            return self._unplaced
        if self._shift is not None:
            return self._places.locate(self._start + self._shift + offset)
        start = self._places.locate(self._start)
        return self._locate_in_block(offset, start) if self._is_block else start

    @cached_property
    def _shift(self) -> int | None:
        """Characters between the beginning and the first character of a value that is written as it is."""
        raw = self._places.text[self._start : self._end]
        quote = next((quote for quote in _QUOTES if raw.startswith(quote) and raw.endswith(quote)), "")
        inner = raw[len(quote) : len(raw) - len(quote)] if quote else raw
        if inner == self.value:
            return len(quote)
        if len(quote) == 3 and inner.removeprefix("\n") == self.value:  # TOML drops a newline after the quotes
            return len(quote) + 1
        return None

    @property
    def _is_block(self) -> bool:
        """Whether the value is a literal block of YAML, which has its lines as they are but for the indentation."""
        return self._places.text.startswith("|", self._start)

    @cached_property
    def _value_places(self) -> TextPlaces:
        return TextPlaces(self.value, self._places.path)

    def _locate_in_block(self, offset: int, around: Location) -> Location:
        index = self._value_places.find_line(offset)
        begin = self._value_places.line_start(index) or 0
        stop = self._value_places.line_start(index + 1)
        line = self.value[begin : len(self.value) if stop is None else stop - 1]
        above = self._places.find_line(self._start)
        start = self._places.line_start(above + 1 + index)
        if start is None:
            return around
        indent = self._places.text.find(line, start)
        next_start = self._places.line_start(above + 2 + index)
        if indent < 0 or (next_start is not None and indent >= next_start):
            return around
        return self._places.locate(indent + offset - begin)
