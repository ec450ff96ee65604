"""Arrays of requirements in TOML (``pyproject.toml``, ``roost.toml``, a script's metadata)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from roost.model.documents.places import TextPlaces
from roost.model.documents.toml_places import Span, TomlPlaces
from roost.model.documents.toml_text import TomlText
from roost.model.edits.change import EditRefusedError
from roost.model.edits.item_lists import ListedItem
from roost.model.edits.source_text import Splice, line_end, line_start

_AFTER = re.compile(r"[ \t]*(?P<comma>,?)[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
_COMMA = re.compile(r"[ \t\n]*,")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class TomlArray:
    """The array at ``path``, which may not exist yet."""

    def __init__(self, text: str, path: tuple[str, ...], find_name: Callable[[str], str]) -> None:
        """Raises: TomlError if the text is not valid TOML; EditRefusedError if the value is not an array of texts."""
        self._text, self._path = text, path
        self._data = TomlText(text, "<text>").data
        self._places = TomlPlaces(TextPlaces(text, "<text>"))
        self._table = path[:-1]
        self.place = f"[{'.'.join(path[:-1])}] {path[-1]}" if path[:-1] else path[-1]
        value = self._find_value(path)
        self._span = self._places.values.get(path)
        self.items: list[ListedItem] = []
        if value is None:
            return
        if not isinstance(value, list) or self._span is None:
            raise EditRefusedError(f"{self.place} is not an array that can be edited")
        for index, member in enumerate(value):
            span = self._places.values[(*path, index)]
            written = member if isinstance(member, str) else ""
            self.items.append(ListedItem(find_name(written) if written else "", written, *span))

    def show(self, text: str) -> str:
        return f"{self._quote(text)},"

    def insert(self, index: int, text: str) -> list[Splice]:
        item = self._quote(text)
        if self._span is None:
            return [self._create(item)]
        if not self.items:
            return [self._fill(self._span, item)]
        if not all(self._has_own_line(each) for each in self.items):
            if index == len(self.items):
                end = self.items[-1].end
                return [Splice(end, end, f", {item}")]
            start = self.items[index].start
            return [Splice(start, start, f"{item}, ")]
        neighbour = self.items[max(index - 1, 0)]
        begin = line_start(self._text, neighbour.start)
        indent = self._text[begin : neighbour.start]
        if index == 0:
            return [Splice(begin, begin, f"{indent}{item},\n")]
        end = line_end(self._text, neighbour.end)
        if index < len(self.items) or self._has_comma(neighbour):
            return [Splice(end, end, f"\n{indent}{item},")]
        if end == neighbour.end:
            return [Splice(end, end, f",\n{indent}{item}")]
        return [Splice(neighbour.end, neighbour.end, ","), Splice(end, end, f"\n{indent}{item}")]

    def delete(self, index: int) -> list[Splice]:
        item = self.items[index]
        is_last = index == len(self.items) - 1
        if self._has_own_line(item):
            begin, end = line_start(self._text, item.start), line_end(self._text, item.end)
            splices = [Splice(begin, end + 1, "")]
            if is_last and index and not self._has_comma(item) and self._has_own_line(self.items[index - 1]):
                comma = _COMMA.match(self._text, self.items[index - 1].end)
                assert comma is not None  # another item follows
                splices.append(Splice(comma.end() - 1, comma.end(), ""))
            return splices
        if len(self.items) == 1:
            comma = _COMMA.match(self._text, item.end)
            return [Splice(item.start, comma.end() if comma else item.end, "")]
        start, end = (self.items[index - 1].end, item.end) if is_last else (item.start, self.items[index + 1].start)
        if "#" in self._text[start : item.start] or "#" in self._text[item.end : end]:
            raise EditRefusedError(f"A comment stands beside {item.text!r} in {self.place}")
        return [Splice(start, end, "")]

    def replace(self, index: int, text: str) -> list[Splice]:
        item = self.items[index]
        return [Splice(item.start, item.end, self._quote(text, self._text[item.start]))]

    def _find_value(self, path: tuple[str, ...]) -> object:
        value: object = self._data
        for key in path:
            if not isinstance(value, dict):
                raise EditRefusedError(f"{'.'.join(path[:-1])} is not a table")
            value = value.get(key)
            if value is None:
                return None
        return value

    def _quote(self, text: str, quote: str | None = None) -> str:
        if quote is None:
            used = {self._text[item.start] for item in self.items if item.text}
            quote = "'" if used == {"'"} else '"'
        other = '"' if quote == "'" else "'"
        for each in (quote, other):
            if each not in text and "\\" not in text:
                return f"{each}{text}{each}"
        return json.dumps(text, ensure_ascii=False)

    def _has_own_line(self, item: ListedItem) -> bool:
        begin = line_start(self._text, item.start)
        is_alone = not self._text[begin : item.start].strip(" \t") and "\n" not in self._text[item.start : item.end]
        return is_alone and _AFTER.match(self._text, item.end) is not None

    def _has_comma(self, item: ListedItem) -> bool:
        found = _AFTER.match(self._text, item.end)
        return found is not None and bool(found["comma"])

    def _fill(self, span: Span, item: str) -> Splice:
        begin = line_start(self._text, span.end - 1)
        if begin > span.start and not self._text[begin : span.end - 1].strip(" \t"):
            indent = self._text[begin : span.end - 1]
            return Splice(begin, begin, f"{indent}    {item},\n")
        if self._text[span.start + 1 : span.end - 1].strip(" \t"):
            raise EditRefusedError(f"{self.place} has comments and no item")
        return Splice(span.start + 1, span.start + 1, item)

    def _create(self, item: str) -> Splice:
        key = self._path[-1] if _BARE.fullmatch(self._path[-1]) else json.dumps(self._path[-1], ensure_ascii=False)
        lines = f"{key} = [\n    {item},\n]"
        keys = self._find_value(self._table) if self._table else self._data
        spans = [self._places.values.get((*self._table, each)) for each in keys] if isinstance(keys, dict) else []
        ends = [span.end for span in spans if span is not None]
        if ends:  # every key of a table stands below its header
            after = line_end(self._text, max(ends))
            return Splice(after, after, f"\n{lines}")
        if not self._table:
            return Splice(0, 0, f"{lines}\n" if not self._text else f"{lines}\n\n")
        header = "[" + ".".join(self._table) + "]"
        pattern = re.compile(r"^[ \t]*" + re.escape(header) + r"[ \t]*(?:#[^\n]*)?$", re.MULTILINE)
        if found := pattern.search(self._text):
            return Splice(found.end(), found.end(), f"\n{lines}")
        if keys is not None and any(not isinstance(each, dict) for each in dict(keys).values()):  # type: ignore[call-overload]
            raise EditRefusedError(f"{header} is written in a form that can't be edited")
        text = self._text
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return Splice(len(text), len(text), f"{gap}{header}\n{lines}\n")
