"""TOML with locations: the standard parser returns values without lines, so the lines are searched in the text."""

from __future__ import annotations

import re
import sys
from typing import Any

from roost.model.errors import InvalidDefinitionError, Location

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TABLE_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?")
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)")


class TomlError(InvalidDefinitionError):
    """A file is not valid TOML, or does not have the expected structure."""

    code = "toml-invalid"


class TomlText:
    """A parsed TOML text.

    ``first_line`` and ``column_shift`` give its position in its file: a script's metadata begins further down.
    """

    def __init__(self, text: str, path: str, *, first_line: int = 1, column_shift: int = 0) -> None:
        self.path = path
        self.lines = text.split("\n")
        self._first, self._shift = first_line, column_shift
        self.data: dict[str, Any] = self._parse(text)

    @classmethod
    def from_data(cls, data: dict[str, Any], path: str) -> TomlText:
        """Wrap tables that were not parsed from a text: every location is ``path`` as a whole."""
        text = cls("", path)
        text.data = data
        return text

    def table(self, *keys: str) -> dict[str, Any]:
        """Return the table at ``keys``; empty if there is none. Raises: TomlError if the value is not a table."""
        value = self.data
        for depth, key in enumerate(keys, start=1):
            inner = value.get(key, {})
            if not isinstance(inner, dict):
                raise self.error(f"{key!r} is {inner!r}; expected a table", *keys[:depth])
            value = inner
        return value

    def locate(self, *keys: str, value: str | None = None) -> Location:
        """Return where a key (a path from the top) is set; with ``value``, where that text is within its value."""
        if self.lines == [""]:
            return Location(path=self.path)
        index = self._find_line(keys)
        if value is not None:
            for number in range(index, len(self.lines)):
                column = self.lines[number].find(value)
                if column >= 0:
                    return self._to_location(number, column)
        name = keys[-1] if keys else ""
        return self._to_location(index, max(self.lines[index].find(name), 0) if index < len(self.lines) else 0)

    def error(self, message: str, *keys: str, value: str | None = None, hint: str = "") -> InvalidDefinitionError:
        """Return the error to raise about the value at ``keys``."""
        return TomlError(message, hint=hint, location=self.locate(*keys, value=value))

    def _to_location(self, index: int, column: int) -> Location:
        return Location(path=self.path, line=index + self._first, column=column + 1 + self._shift)

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            at = _POSITION.search(message)
            line, column = (int(at[1]), int(at[2])) if at else (len(self.lines), 1)
            raise TomlError(
                f"This is not valid TOML: {_POSITION.sub('', message).strip()}",
                hint="Check this line and the one above.",
                location=self._to_location(line - 1, column - 1),
            ) from None

    def _find_line(self, keys: tuple[str, ...]) -> int:
        """Return the index of the line of the key, else of its nearest table, else of the first line."""
        best, depth = 0, -1
        table: list[str] = []
        for number, line in enumerate(self.lines):
            header = _TABLE_HEADER.match(line)
            if header and not line.lstrip().startswith("[[") | ("=" in line.split("]")[0]):
                table = _split_keys(header.group(1))
                here = table
            elif "=" in line:
                here = [*table, *_split_keys(line.partition("=")[0])]
            else:
                continue
            if len(here) > depth and list(keys[: len(here)]) == here:
                best, depth = number, len(here)
        return best


def _split_keys(text: str) -> list[str]:
    return [part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", text.strip())]
