"""TOML with places: values by the standard parser, and where they are written by ``toml_places``."""

from __future__ import annotations

import re
import sys
from typing import Any

from roost.model.documents.conflicts import check_conflict
from roost.model.documents.places import TextPlaces, WrittenValue
from roost.model.documents.toml_places import Span, TomlPath, TomlPlaces
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.bounds import NUL_FAULT, NUL_HINT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_POSITION = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)")


class TomlError(InvalidDefinitionError):
    """A file is not valid TOML, or does not have the expected structure."""

    code = "toml-invalid"


class TomlText:
    """A parsed TOML text. A path is the keys and indexes from the top of the file to a value.

    ``first_line`` and ``column_shift`` give its position in its file: a script's metadata begins further down.
    """

    def __init__(self, text: str, path: str, *, first_line: int = 1, column_shift: int = 0) -> None:
        """Raises: TomlError if ``text`` is not valid TOML, MergeConflictError if that is why,
        TooLargeError if a part of it exceeds its bound."""
        self.path = path
        self._places: TextPlaces | None = TextPlaces(text, path, first_line=first_line, column_shift=column_shift)
        self._index = TomlPlaces(self._places)
        self.data: dict[str, Any] = self._parse(text, self._places)
        if "0000" in text:  # NUL is written `\\u0000` or `\\U00000000`
            self._require_no_nul(self.data)

    @classmethod
    def from_data(cls, data: dict[str, Any], path: str) -> TomlText:
        """Wrap tables that were not parsed from a text: every location is ``path`` as a whole."""
        text = cls("", path)
        text.data, text._places = data, None
        text._require_no_nul(data)
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

    def locate(self, *path: str | int) -> Location:
        """Return where a key is set or a member of an array is written; if there is none, where the nearest one around
        it is; the beginning of the file if there is none either."""
        if self._places is None:
            return Location(path=self.path)
        for length in range(len(path), 0, -1):
            span = self._find(path[:length])
            if span is not None:
                return self._places.locate(span.start)
        return self._places.locate(0)

    def list_keys(self, above: TomlPath = ()) -> list[tuple[str, Location, Location]]:
        """Return the keys of all tables below the path ``above`` in the order of the file: each with its beginning and
        its end."""
        if self._places is None:
            return []
        depth = len(above)
        named = [(path[-1], span) for path, span in self._index.keys.items() if path[:depth] == above != path]
        return [(str(key), self._places.locate(span.start), self._places.locate(span.end)) for key, span in named]

    def locate_end(self, *path: str | int) -> Location | None:
        """Return the end of a key or of a member of an array; ``None`` if it is not known."""
        span = self._find(path)
        return self._places.locate(span.end) if span and self._places else None

    def find_value(self, value: str, *path: str | int) -> WrittenValue:
        """Return the text at ``path`` with its places."""
        span = self._index.values.get(path)
        if self._places is None or span is None:
            return WrittenValue.unplaced(value, self.locate(*path))
        return WrittenValue(value, self._places, span.start, span.end)

    def error(self, message: str, *path: str | int, hint: str = "") -> InvalidDefinitionError:
        """Return the error to raise about the value at ``path``."""
        return TomlError(message, hint=hint, location=self.locate(*path))

    def _require_no_nul(self, value: object, *path: str | int) -> None:
        """Raise TomlError if a key or a text has a NUL character, which no path, variable or argument can have."""
        if isinstance(value, str) and "\0" in value:
            raise self.error(NUL_FAULT, *path, hint=NUL_HINT)
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, each in inner:
            self._require_no_nul(key, *path, key)
            self._require_no_nul(each, *path, key)

    def _find(self, path: TomlPath) -> Span | None:
        return self._index.keys.get(path) or self._index.values.get(path)

    def _parse(self, text: str, places: TextPlaces) -> dict[str, Any]:
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            check_conflict(text, self.path)
            message = str(error)
            at = _POSITION.search(message)
            offset = len(text)
            if at and at[1]:
                offset = (places.line_start(int(at[1]) - 1) or 0) + int(at[2]) - 1
            raise TomlError(
                f"This is not valid TOML: {_POSITION.sub('', message).strip()}",
                hint="Check this line and the one above.",
                location=places.locate(offset),
            ) from None
