"""Lists in brackets: arrays of TOML, and flow sequences of YAML. What is inserted can be deleted without a trace.

An item has a line of its own if nothing stands before it in its line. A new item goes into a line of its own if the
item before it has one; an empty list gets its first item in the form that deleting the last one leads back from:

    []      a line of its own, with a comma       (deleting an only item with a comma closes the brackets)
    [\\n]    a line of its own, without a comma    (deleting an only item without one keeps the line end)
    [ ]     in the same line
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from roost.model.documents.toml_places import Span
from roost.model.edits.change import EditRefusedError
from roost.model.edits.item_lists import ListedItem
from roost.model.edits.source_text import Splice, line_end, line_start

_AFTER = re.compile(r"[ \t]*(?P<comma>,?)(?P<rest>[ \t]*(?:#[^\n]*)?)(?=\n|\Z)")
"""What may follow an item that ends its line."""
_COMMA = re.compile(r"(?:[ \t\n]|#[^\n]*)*,")
_INDENT = "    "


class BracketList:
    """The items between two brackets. They are written with their quotes."""

    def __init__(self, text: str, span: Span, items: Sequence[ListedItem], *, may_break: bool) -> None:
        """``may_break``: a list in one line may get several."""
        self._text, self._span, self._items = text, span, items
        self._may_break = may_break

    def insert(self, index: int, item: str) -> list[Splice]:
        """Return the change that adds ``item`` before the one at ``index``."""
        if not self._items:
            return [self._fill(item)]
        if index == 0:
            return [self._insert_first(item)]
        before, following = self._items[index - 1], _AFTER.match(self._text, self._items[index - 1].end)
        has_comment = following is not None and "#" in following["rest"]
        if index < len(self._items) and "\n" not in self._text[before.end : self._items[index].start]:
            following_start = self._items[index].start
            return [Splice(following_start, following_start, f"{item},{self._find_gap(index)}")]
        if not self._begins_line(before) and not has_comment:
            return [Splice(before.end, before.end, f",{self._find_gap(index - 1)}{item}")]
        if following is None:  # the bracket stands in the same line
            return [Splice(before.end, before.end, f",\n{self._indent_of(before)}{item}")]
        end, line = following.end(), f"\n{self._indent_of(before)}{item}"
        if following["comma"]:
            return [Splice(end, end, f"{line},")]
        if index < len(self._items):
            raise EditRefusedError(f"The comma behind {before.text!r} has a line of its own")
        if end == before.end:
            return [Splice(end, end, f",{line}")]
        return [Splice(before.end, before.end, ","), Splice(end, end, line)]

    def delete(self, index: int) -> list[Splice]:
        """Return the change that removes the item at ``index``, with the comment behind it."""
        item, is_last = self._items[index], index == len(self._items) - 1
        following = _AFTER.match(self._text, item.end)
        if self._begins_line(item) and following is not None:
            return self._delete_line(index, has_comma=bool(following["comma"]))
        if len(self._items) == 1:
            comma = _COMMA.match(self._text, item.end)
            begin = line_start(self._text, item.start) if self._begins_line(item) else self._span.start + 1
            return [Splice(begin, comma.end() if comma else item.end, "")]
        if not is_last and "\n" not in self._text[item.end : self._items[index + 1].start]:
            return [Splice(item.start, self._items[index + 1].start, "")]
        if index == 0:
            return [Splice(item.start, following.end() if following else item.end, "")]
        before = self._items[index - 1]
        if "#" not in self._text[before.end : item.start]:
            return [Splice(before.end, item.end, "")]
        if not is_last:
            raise EditRefusedError(f"A comment stands before {item.text!r}, in the middle of a line")
        comma = _COMMA.match(self._text, before.end)
        assert comma is not None  # between two items
        end = _COMMA.match(self._text, item.end)
        return [
            Splice(comma.end() - 1, comma.end(), ""),
            Splice(line_start(self._text, item.start), end.end() if end else item.end, ""),
        ]

    def _delete_line(self, index: int, *, has_comma: bool) -> list[Splice]:
        item = self._items[index]
        begin, end = line_start(self._text, item.start), line_end(self._text, item.end) + 1
        if len(self._items) == 1:
            inner = self._text[self._span.start + 1 : begin] + self._text[end : self._span.end - 1]
            if has_comma and inner.strip(" \t") == "\n" and self._may_break:
                return [Splice(self._span.start + 1, self._span.end - 1, "")]
        splices = [Splice(begin, end, "")]
        if index and index == len(self._items) - 1 and not has_comma:
            comma = _COMMA.match(self._text, self._items[index - 1].end)
            assert comma is not None  # between two items
            if comma.end() > begin:
                raise EditRefusedError(f"The comma before {item.text!r} is in the same line")
            splices.append(Splice(comma.end() - 1, comma.end(), ""))
        return splices

    def _fill(self, item: str) -> Splice:
        start, stop = self._span.start + 1, self._span.end - 1
        inner = self._text[start:stop]
        line = line_start(self._text, self._span.start)
        outer = self._text[line : len(self._text) - len(self._text[line:].lstrip(" \t"))]
        if "\n" not in inner:
            if inner:
                return Splice(start, start, f" {item}")
            return Splice(start, stop, f"\n{outer}{_INDENT}{item},\n{outer}" if self._may_break else item)
        last = line_start(self._text, stop)
        above = line_start(self._text, last - 1)
        comment = re.match(r"[ \t]+(?=#)", self._text[above:last]) if above > self._span.start else None
        indent = comment.group() if comment else self._text[last:stop] + _INDENT
        comma = "" if inner.strip(" \t") == "\n" else ","
        return Splice(last, last, f"{indent}{item}{comma}\n")

    def _insert_first(self, item: str) -> Splice:
        first = self._items[0]
        if not self._begins_line(first):
            return Splice(first.start, first.start, f"{item},{self._find_gap(1)}")
        begin = line_start(self._text, first.start)
        return Splice(begin, begin, f"{self._text[begin : first.start]}{item},\n")

    def _find_gap(self, index: int) -> str:
        """Return the white space behind the comma before the item at ``index``, as it is to be before another one."""
        if 0 < index < len(self._items):
            between = self._text[self._items[index - 1].end : self._items[index].start]
            if re.fullmatch(r"[ \t]*,[ \t]*", between):
                return between.partition(",")[2]
        return " "

    def _begins_line(self, item: ListedItem) -> bool:
        return not self._text[line_start(self._text, item.start) : item.start].strip(" \t")

    def _indent_of(self, item: ListedItem) -> str:
        begin = line_start(self._text, item.start)
        if self._begins_line(item):
            return self._text[begin : item.start]
        line = self._text[begin : item.start]
        return line[: len(line) - len(line.lstrip(" \t"))] + _INDENT
