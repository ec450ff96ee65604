"""Lists of packages in conda environment files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import yaml

from roost.model.documents.yaml_nodes import Loader, YamlNode, parse_yaml
from roost.model.edits.change import EditRefusedError
from roost.model.edits.item_lists import ListedItem
from roost.model.edits.source_text import Splice, delete_lines, line_end, line_start

_DASH = re.compile(r"[ \t]*-[ ]+")
_AFTER = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
_SELECTOR = re.compile(r"#\s*\[")
_UNSAFE = re.compile(r"[-*&!|>%@`\"'#,\[\]{}?:]|.*(?:: | #|:$)|(?:true|false|null|yes|no|on|off|~)$", re.IGNORECASE)


class YamlList:
    """``dependencies`` of a conda environment, or the ``pip`` section in it; either may not exist yet."""

    def __init__(self, text: str, find_name: Callable[[str], str], *, is_pip: bool) -> None:
        """Raises: YamlError if the text is not valid YAML; EditRefusedError if it has anchors, or another form."""
        self._text, self._is_pip = text, is_pip
        self.items: list[ListedItem] = []
        self.place = "dependencies, under - pip:" if is_pip else "dependencies"
        root = parse_yaml(text, "<text>")
        if any(getattr(event, "anchor", None) for event in yaml.parse(text, Loader=Loader)):
            raise EditRefusedError("The file has anchors or aliases (& and *), which a change could move")
        if root.kind == "mapping" and root.node is not None and root.node.flow_style:
            raise EditRefusedError("The file is written in flow style ({…})")
        pairs = root.pairs("a conda environment")
        self._key, self._value = pairs.get("dependencies", (None, YamlNode(None, root.places)))
        self._members = self._list_members(self._value)
        self._outer: list[YamlNode] = self._members
        self._section: YamlNode | None = None
        """The key ``pip`` in ``dependencies``."""
        if is_pip:
            self._find_section()
        for member in self._members:
            start, end = _span(member)
            written = member.text("an item") if member.kind == "scalar" else ""
            self.items.append(ListedItem(find_name(written) if written else "", written, start, end))

    def show(self, text: str) -> str:
        return f"- {self._quote(text)}"

    def insert(self, index: int, text: str) -> list[Splice]:
        item = self._quote(text)
        if self._is_pip and self._section is None:
            return [self._add_section(item)]
        if not self._members:
            return [self._fill(item)]
        neighbour = self.items[max(index - 1, 0)]
        begin = line_start(self._text, neighbour.start)
        if index == 0:
            dash = _DASH.match(self._text, begin)
            if dash is None:
                raise EditRefusedError(f"The first item of {self.place} has no line of its own")
            return [Splice(begin, begin, f"{dash.group()}{item}\n")]
        self._require_own_line(neighbour)
        end = line_end(self._text, neighbour.end)
        return [Splice(end, end, f"\n{self._text[begin : neighbour.start]}{item}")]

    def delete(self, index: int) -> list[Splice]:
        item = self.items[index]
        self._require_own_line(item)
        self._require_no_selector(item)
        begin, end = line_start(self._text, item.start), line_end(self._text, item.end)
        if self._is_pip and len(self.items) == 1 and self._section is not None:
            above = line_start(self._text, _span(self._section)[0])
            if line_end(self._text, above) + 1 == begin and "#" not in self._text[above:begin]:
                begin = above  # a section without an item
        return [delete_lines(self._text, begin, end)]

    def replace(self, index: int, text: str) -> list[Splice]:
        item = self.items[index]
        self._require_own_line(item)
        self._require_no_selector(item)
        mark = self._text[item.start]
        return [Splice(item.start, item.end, self._quote(text, mark if mark in "\"'" else ""))]

    def _find_section(self) -> None:
        self._members = []
        for member in self._outer:
            pair = member.pairs("a dependency").get("pip") if member.kind == "mapping" else None
            if pair is not None and self._section is not None:
                raise EditRefusedError("The file has two pip sections")
            if pair is not None:
                self._section, self._value = pair
                self._key = self._section
                self._members = self._list_members(pair[1])

    def _list_members(self, value: YamlNode) -> list[YamlNode]:
        if value.kind not in ("null", "list"):
            raise EditRefusedError(f"{self.place} is not a list with one item a line")
        if value.kind == "list" and value.node is not None and value.node.flow_style:
            raise EditRefusedError(f"{self.place} is written in flow style ([…])")
        return value.members("a list")

    def _quote(self, text: str, quote: str | None = None) -> str:
        if quote is None:
            marks = {self._text[item.start] for item in self.items if item.text}
            quote = next(iter(marks)) if len(marks) == 1 and marks <= {'"', "'"} else ""
        if not quote and not _UNSAFE.match(text):
            return text
        return f"'{text}'" if quote == "'" and "'" not in text else json.dumps(text, ensure_ascii=False)

    def _require_own_line(self, item: ListedItem) -> None:
        begin = line_start(self._text, item.start)
        has_dash = _DASH.fullmatch(self._text, begin, item.start) is not None
        if not (item.text and has_dash and _AFTER.match(self._text, item.end)):
            raise EditRefusedError(f"An item of {self.place} is not one plain line")

    def _require_no_selector(self, item: ListedItem) -> None:
        if _SELECTOR.search(self._text, item.end, line_end(self._text, item.end)):
            raise EditRefusedError(f"{item.text} has a selector in a comment, which other tools act on")

    def _fill(self, item: str) -> Splice:
        """Return the first item of a list that is empty or missing."""
        if self._key is None:
            text = self._text
            if not text or text.endswith("\n"):
                return Splice(len(text), len(text), f"dependencies:\n  - {item}\n")
            return Splice(len(text), len(text), f"\ndependencies:\n  - {item}")
        start, end = _span(self._key)
        if self._value.kind == "null" and _AFTER.match(self._text, end + 1) is None:
            raise EditRefusedError(f"{self.place} is not a list")
        indent = " " * (start - line_start(self._text, start) + 2)
        stop = line_end(self._text, end)
        return Splice(stop, stop, f"\n{indent}- {item}")

    def _add_section(self, item: str) -> Splice:
        if not self._outer:
            inner = self._fill("pip:")
            return Splice(inner.start, inner.end, inner.text.replace("- pip:", f"- pip:\n      - {item}"))
        start, end = _span(self._outer[-1])
        last = ListedItem("", self._outer[-1].text("an item") if self._outer[-1].kind == "scalar" else "", start, end)
        self._require_own_line(last)
        begin = line_start(self._text, start)
        indent = " " * (len(self._text[begin:start]) - len(self._text[begin:start].lstrip()))
        stop = line_end(self._text, end)
        return Splice(stop, stop, f"\n{indent}- pip:\n{indent}    - {item}")


def _span(node: YamlNode) -> tuple[int, int]:
    assert node.node is not None or node.kind == "null"
    if node.node is None:
        return 0, 0
    return node.node.start_mark.index, node.node.end_mark.index
