"""Where the keys and values of a TOML text are written: the standard parser returns values without places.

One pass over the text, without recursion; whether the text is valid is for the parser to say, which reads it after this
pass has bounded its nesting, its dotted keys and its numbers. The grammar is that of TOML 1.0 (toml.io).
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import NamedTuple

from roost.model.documents.places import TextPlaces
from roost.model.syntax.bounds import MAX_DEPTH, MAX_NUMBER, too_large_error

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TomlPath = tuple["str | int", ...]
"""Keys and indexes from the top of the file."""
_BLANK = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_COMMENT = re.compile(r"(?:#[^\n]*)?")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^\s,\]}#\"'\[{](?:[^,\]}#\n]*)")
_BASIC = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_BASIC_LINES = re.compile(r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"{3,5}', re.DOTALL)
_LITERAL_LINES = re.compile(r"'''[^']*(?:'(?!'')[^']*)*'{3,5}")
_STRINGS = (('"""', _BASIC_LINES), ("'''", _LITERAL_LINES), ('"', _BASIC), ("'", _LITERAL))


class Span(NamedTuple):
    """Offsets of the first character and of the end."""

    start: int
    end: int


class _InvalidSyntaxError(Exception):
    """The text is not valid TOML from here on; the parser reports it."""


class _Container:
    """An array or inline table that is open."""

    def __init__(self, path: TomlPath, start: int, closing: str) -> None:
        self.path, self.start, self.closing = path, start, closing
        self.count = 0


class TomlPlaces:
    """The spans of all keys and values in a text, up to the first error in its syntax."""

    def __init__(self, places: TextPlaces) -> None:
        """Raises: TooLargeError if the nesting, a dotted key or a number exceeds its bound."""
        self.keys: dict[TomlPath, Span] = {}
        """Each key where it is set first; of an array, nothing."""
        self.values: dict[TomlPath, Span] = {}
        """Each value, with members of arrays and inline tables."""
        self._places, self._text = places, places.text
        self._pos = 0
        self._tables: dict[TomlPath, int] = {}
        """Number of ``[[…]]`` headers."""
        with suppress(_InvalidSyntaxError):
            self._scan()

    def _scan(self) -> None:
        table: TomlPath = ()
        while True:
            self._skip(_BLANK_LINES)
            if self._pos >= len(self._text):
                return
            if self._text.startswith("[", self._pos):
                table = self._scan_header()
            else:
                path = self._scan_key(table)
                self._expect("=")
                self._scan_value(path)
            self._skip(_BLANK)
            self._skip(_COMMENT)
            if self._pos < len(self._text):
                self._expect("\n")

    def _scan_header(self) -> TomlPath:
        brackets = 2 if self._text.startswith("[[", self._pos) else 1
        self._pos += brackets
        path = self._scan_key((), follow_tables=True, is_new=brackets == 2)
        self._expect("]" * brackets)
        return path

    def _scan_key(self, above: TomlPath, *, follow_tables: bool = False, is_new: bool = False) -> TomlPath:
        """Scan a dotted key, and return its path below ``above``.

        In headers, a part that names an array of tables means its last table; ``is_new``: the key adds a table.
        """
        path = above
        while True:
            self._skip(_BLANK)
            start, name = self._pos, self._scan_key_part()
            path = (*path, name)
            self.keys.setdefault(path, Span(start, self._pos))
            if len(path) > MAX_DEPTH:
                raise too_large_error("This key is nested too deeply", MAX_DEPTH, "levels", self._places.locate(start))
            self._skip(_BLANK)
            is_last = not self._text.startswith(".", self._pos)
            if follow_tables and is_last and is_new:
                self._tables[path] = self._tables.get(path, 0) + 1
            if follow_tables and path in self._tables:
                path = (*path, self._tables[path] - 1)
            if is_last:
                return path
            self._pos += 1

    def _scan_key_part(self) -> str:
        start = self._pos
        if match := _BARE_KEY.match(self._text, start):
            self._pos = match.end()
            return match.group()
        if self._text.startswith("'", start):
            self._skip(_LITERAL)
            return self._text[start + 1 : self._pos - 1]
        if self._text.startswith('"', start):
            self._skip(_BASIC)
            return _decode_basic(self._text[start : self._pos])
        raise _InvalidSyntaxError

    def _scan_value(self, path: TomlPath) -> None:
        opened: list[_Container] = []
        while True:
            self._skip(_BLANK_LINES if opened else _BLANK)
            start = self._pos
            char = self._text[start : start + 1]
            if char and char in "[{":
                if len(path) >= MAX_DEPTH:
                    raise too_large_error(
                        "This value is nested too deeply", MAX_DEPTH, "levels", self._places.locate(start)
                    )
                opened.append(_Container(path, start, "]" if char == "[" else "}"))
                self._pos += 1
            else:
                self._scan_scalar()
                self.values[path] = Span(start, self._pos)
            following = self._scan_to_member(opened)
            if following is None:
                return
            path = following

    def _scan_to_member(self, opened: list[_Container]) -> TomlPath | None:
        """Close the containers that end here, and return the path of the next member; ``None`` after the last."""
        while opened:
            inner = opened[-1]
            self._skip(_BLANK_LINES)
            has_comma = self._text.startswith(",", self._pos)
            if has_comma:
                self._pos += 1
                self._skip(_BLANK_LINES)
            if self._text.startswith(inner.closing, self._pos):
                self._pos += 1
                self.values[inner.path] = Span(inner.start, self._pos)
                opened.pop()
                continue
            is_first = inner.count == 0 and self._text[self._pos - 1] != ","
            if not has_comma and inner.count and not is_first:
                raise _InvalidSyntaxError
            inner.count += 1
            if inner.closing == "]":
                return (*inner.path, inner.count - 1)
            path = self._scan_key(inner.path)
            self._expect("=")
            return path
        return None

    def _scan_scalar(self) -> None:
        start = self._pos
        for quote, pattern in _STRINGS:
            if self._text.startswith(quote, start):
                self._skip(pattern)
                if self._pos == start:
                    raise _InvalidSyntaxError
                return
        match = _SCALAR.match(self._text, start)
        if match is None:
            raise _InvalidSyntaxError
        text = match.group().rstrip()
        if len(text) > MAX_NUMBER:
            what = f"This value has {len(text):,} characters and no quotes"
            raise too_large_error(what, MAX_NUMBER, "of a number", self._places.locate(start))
        self._pos = start + len(text)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._pos)
        if match is None:
            raise _InvalidSyntaxError
        self._pos = match.end()

    def _expect(self, text: str) -> None:
        if not self._text.startswith(text, self._pos):
            raise _InvalidSyntaxError
        self._pos += len(text)


def _decode_basic(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    try:
        return str(tomllib.loads(f"key = {quoted}")["key"])
    except tomllib.TOMLDecodeError:
        raise _InvalidSyntaxError from None
