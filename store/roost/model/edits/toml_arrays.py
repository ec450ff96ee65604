"""Arrays of requirements in TOML (``pyproject.toml``, ``roost.toml``, a script's metadata)."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

from roost.model.documents.places import TextPlaces
from roost.model.documents.toml_places import Span, TomlPlaces
from roost.model.documents.toml_text import TomlText
from roost.model.edits.bracket_lists import BracketList
from roost.model.edits.change import EditRefusedError
from roost.model.edits.item_lists import ListedItem
from roost.model.edits.source_text import Splice, line_end, line_start

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"^[ \t]*\[{1,2}([^\[\]\n#]+)\]{1,2}[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
_BLOCK = re.compile(r"\n(?:[ \t]*#[^\n]*)(?=\n|\Z)")
_DOTTED = re.compile(r"[ \t]*((?:[A-Za-z0-9_-]+[ \t]*\.[ \t]*)+)")


class TomlArray:
    """The array at ``path``, which may not exist yet."""

    def __init__(self, text: str, path: tuple[str, ...], find_name: Callable[[str], str]) -> None:
        """Raises: TomlError if the text is not valid TOML; EditRefusedError if the value is not an array."""
        self._text, self._path = text, path
        self._data = TomlText(text, "<text>").data
        self._places = TomlPlaces(TextPlaces(text, "<text>"))
        self._table = path[:-1]
        self.place = f"{path[-1]} in [{'.'.join(self._table)}]" if self._table else path[-1]
        value = self._find_value(path)
        self._span = self._places.values.get(path)
        self.items: list[ListedItem] = []
        self.rest = repr(_remove(copy.deepcopy(self._data), path))  # values that differ in type only are not the same
        if value is None:
            return
        if not isinstance(value, list) or self._span is None:
            raise EditRefusedError(f"{self.place} is not an array in one place")
        for index, member in enumerate(value):
            span = self._places.values[(*path, index)]
            written = member if isinstance(member, str) else ""
            name = find_name(written) if written else ""
            self.items.append(ListedItem(name, written or json.dumps(member, default=str), *span))

    def show(self, text: str) -> str:
        return f"{self._quote(text)},"

    def insert(self, index: int, text: str) -> list[Splice]:
        item = self._quote(text)
        return [self._create(item)] if self._span is None else self._brackets(self._span).insert(index, item)

    def delete(self, index: int) -> list[Splice]:
        assert self._span is not None  # it has an item
        return self._brackets(self._span).delete(index)

    def replace(self, index: int, text: str) -> list[Splice]:
        item = self.items[index]
        return [Splice(item.start, item.end, self._quote(text, self._text[item.start]))]

    def _brackets(self, span: Span) -> BracketList:
        return BracketList(self._text, span, self.items, may_break=not self._is_inline(span))

    def _is_inline(self, span: Span) -> bool:
        """Whether the array is in an inline table, which has one line."""
        for length in range(1, len(self._path)):
            outer = self._places.values.get(self._path[:length])
            if outer is not None and outer.start < span.start < outer.end:
                return True
        return False

    def _find_value(self, path: tuple[str, ...]) -> object:
        value: object = self._data
        for depth, key in enumerate(path):
            if not isinstance(value, dict):
                raise EditRefusedError(f"[{'.'.join(path[:depth])}] is not a table")
            value = value.get(key)
            if value is None:
                return None
        return value

    def _quote(self, text: str, quote: str | None = None) -> str:
        if quote is None:
            used = {self._text[item.start] for item in self.items}
            quote = "'" if used == {"'"} else '"'
        other = '"' if quote == "'" else "'"
        for each in (quote, other):
            if each not in text and "\\" not in text:
                return f"{each}{text}{each}"
        return json.dumps(text, ensure_ascii=False)

    def _create(self, item: str) -> Splice:
        key, table = _write_key(self._path[-1]), self._find_value(self._table)
        outer = self._places.values.get(self._table)
        if outer is not None and isinstance(table, dict):  # an inline table
            return self._create_inline(outer, f"{key} = [{item}]", table)
        lines = f"{key} = [\n    {item},\n]"
        if last := self._find_last_key(table):
            start, end = last
            begin = line_start(self._text, start)
            indent = self._text[begin : len(self._text) - len(self._text[begin:].lstrip(" \t"))]
            dotted = _DOTTED.match(self._text, begin)
            prefix = dotted[1] if dotted and dotted.end() <= start else ""
            return Splice(end, end, f"\n{indent}{prefix}{lines}")
        if not self._table:
            begin = 0 if not self._text.startswith("#") else self._find_end_of_comments()
            gap = "\n" if self._text[begin:].strip() and not self._text[begin:].startswith("\n") else ""
            return Splice(begin, begin, f"{lines}\n{gap}")
        if header := self._find_header(self._table):
            return Splice(header.end(), header.end(), f"\n{lines}")
        return self._add_table(lines)

    def _find_end_of_comments(self) -> int:
        end = 0
        for line in self._text.split("\n"):
            if not line.startswith("#") or end + len(line) + 1 > len(self._text):
                return end
            end += len(line) + 1
        return end

    def _create_inline(self, outer: Span, pair: str, table: dict[str, Any]) -> Splice:
        ends = [span.end for key in table if (span := self._places.values.get((*self._table, key)))]
        if len(ends) < len(table):
            raise EditRefusedError(f"[{'.'.join(self._table)}] is written in a form that can't be edited")
        if ends:
            return Splice(max(ends), max(ends), f", {pair}")
        return Splice(outer.start, outer.end, f"{{ {pair} }}")

    def _find_last_key(self, table: object) -> tuple[int, int] | None:
        """Return the place of the last key of the table whose value stands beside it, and the end of its line."""
        if not isinstance(table, dict):
            return None
        found = []
        for key in table:
            value = self._places.values.get((*self._table, key))
            if value is not None:
                found.append((self._places.keys[(*self._table, key)].start, line_end(self._text, value.end)))
        return max(found, default=None)

    def _find_header(self, path: tuple[str, ...]) -> re.Match[str] | None:
        return next((match for match in _HEADER.finditer(self._text) if _split_header(match[1]) == path), None)

    def _add_table(self, lines: str) -> Splice:
        """Return a new table behind those of the same family; else at the end of the file."""
        header = f"[{'.'.join(_write_key(each) for each in self._table)}]"
        family = ("project",) if self._table[0] == "dependency-groups" else self._table[:-1] or self._table
        headers = list(_HEADER.finditer(self._text))
        ours = [index for index, match in enumerate(headers) if _split_header(match[1])[: len(family)] == family]
        text, gap = self._text, "\n\n"
        if ours and ours[-1] + 1 < len(headers):
            stop = headers[ours[-1] + 1].start()
            body = text[headers[ours[-1]].start() : stop].rstrip()
            while (last := body.rpartition("\n")[2].lstrip()).startswith("#"):  # comments about the next table
                body = body[: -len(last)].rstrip()
            end = headers[ours[-1]].start() + len(body)
            return Splice(end, end, f"{gap}{header}\n{lines}")
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return Splice(len(text), len(text), f"{gap}{header}\n{lines}\n")


def _write_key(key: str) -> str:
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _split_header(written: str) -> tuple[str, ...]:
    """Return the keys of a header of bare or simply quoted keys; those with dots in quotes are not ours."""
    return tuple(part.strip().strip("\"'") for part in written.split("."))


def _remove(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Remove the value at ``path`` and the tables that are empty without it."""
    inner = data.get(path[0])
    if len(path) > 1 and isinstance(inner, dict):
        inner = _remove(inner, path[1:])
    if len(path) == 1 or inner == {}:
        data.pop(path[0], None)
    return data
