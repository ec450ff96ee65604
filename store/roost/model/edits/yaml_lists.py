"""Lists of packages in conda environment files, with an item a line or in brackets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import yaml

from roost.model.documents.toml_places import Span
from roost.model.documents.yaml_nodes import YamlNode, parse_yaml
from roost.model.edits.bracket_lists import BracketList
from roost.model.edits.change import EditRefusedError
from roost.model.edits.item_lists import ListedItem
from roost.model.edits.source_text import Splice, delete_lines, line_end, line_start

_DASH = re.compile(r"[ \t]*-[ \t]+")
_AFTER = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|\Z)")
_UNSAFE = re.compile(r"[-*&!|>%@`\"'#,\[\]{}?:=]|.*(?:: | #|:$)|(?:true|false|null|yes|no|on|off|~)$", re.IGNORECASE)
_UNSAFE_IN_BRACKETS = re.compile(r"[,\[\]{}]|:$|: ")
_STEP = "  "
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml, like the readers', if it is here."""


class YamlList:
    """``dependencies`` of a conda environment, or the ``pip`` section in it; either may not exist yet."""

    def __init__(self, text: str, find_name: Callable[[str], str], *, is_pip: bool) -> None:
        """Raises: YamlError if the text is not valid YAML; EditRefusedError if the list has another form, or has
        anchors or aliases in it."""
        self._text, self._is_pip = text, is_pip
        self.items: list[ListedItem] = []
        self.place = "the pip section" if is_pip else "dependencies"
        self._root = parse_yaml(text, "<text>")
        pairs = self._root.pairs("a conda environment")
        null = YamlNode(None, self._root.places)
        self._key: YamlNode | None
        self._key, outer = pairs.get("dependencies", (None, null))
        self._require_no_references(outer)
        self._outer = _list_members(outer, "dependencies")
        self._outer_span = _find_flow(outer)
        self._section: YamlNode | None = None
        """The key ``pip`` in ``dependencies``."""
        self._value = self._find_section() if is_pip else outer
        self._members = _list_members(self._value, self.place)
        self._flow = _find_flow(self._value)
        self.rest = repr(_remove(self._root.to_json(), is_pip=is_pip))
        for member in self._members:
            start, end = _find_span(member)
            written = member.text("an item") if member.kind == "scalar" else ""
            name = find_name(written) if written else ""
            self.items.append(ListedItem(name, written or json.dumps(member.to_json()), start, end))

    def show(self, text: str) -> str:
        return self._quote(text) if self._is_flow() else f"- {self._quote(text)}"

    def insert(self, index: int, text: str) -> list[Splice]:
        item = self._quote(text)
        if self._is_pip and self._section is None:
            return [self._add_section(item)]
        if self._flow is not None:
            return BracketList(self._text, self._flow, self.items, may_break=False).insert(index, item)
        if not self._members:
            return [self._fill(item)]
        neighbour = self.items[max(index - 1, 0)]
        begin = line_start(self._text, neighbour.start)
        dash = self._find_dash(neighbour)
        if index == 0:
            return [Splice(begin, begin, f"{dash}{item}\n")]
        end = self._find_end(neighbour)
        return [Splice(end, end, f"\n{dash}{item}")]

    def delete(self, index: int) -> list[Splice]:
        item = self.items[index]
        if self._flow is not None:
            return BracketList(self._text, self._flow, self.items, may_break=False).delete(index)
        self._find_dash(item)
        begin, end = line_start(self._text, item.start), self._find_end(item)
        if self._is_pip and len(self.items) == 1 and self._section is not None:
            above = line_start(self._text, _find_span(self._section)[0])
            if _DASH.match(self._text, above) and line_end(self._text, above) + 1 == begin:
                begin = above  # a section without an item
        return [delete_lines(self._text, begin, end)]

    def replace(self, index: int, text: str) -> list[Splice]:
        item = self.items[index]
        mark = self._text[item.start : item.start + 1]
        return [Splice(item.start, item.end, self._quote(text, mark if mark in ('"', "'") else ""))]

    def _find_section(self) -> YamlNode:
        found = [pair for member in self._outer if member.kind == "mapping"
                 if (pair := member.pairs("a dependency").get("pip")) is not None]  # fmt: skip
        if len(found) > 1:
            raise EditRefusedError("The file has two pip sections", location=found[1][0].location)
        self._section, value = found[0] if found else (None, YamlNode(None, self._root.places))
        return value

    def _require_no_references(self, value: YamlNode) -> None:
        """Raise EditRefusedError if the packages are also meant elsewhere (``&name``), or are written elsewhere."""
        if self._key is None or ("&" not in self._text and "<<" not in self._text):
            return
        assert isinstance(self._root.node, yaml.MappingNode)  # it has a key
        start = _find_span(self._key)[0]
        is_own = any(key is self._key.node for key, _ in self._root.node.value)
        end = max(_find_span(value)[1], line_end(self._text, start))
        events = yaml.parse(self._text, Loader=_LOADER)
        marks = [_find_mark(event) for event in events if getattr(event, "anchor", None) is not None]
        inside = [mark for mark in marks if start <= mark < end]
        if inside or not is_own:
            raise EditRefusedError(
                "The packages have an anchor or an alias of YAML (&name, *name, <<), which a change could move",
                location=self._root.places.locate(inside[0] if inside else start),
            )

    def _quote(self, text: str, quote: str | None = None) -> str:
        if quote is None:
            marks = {self._text[item.start : item.start + 1] for item in self.items}
            quote = next(iter(marks)) if len(marks) == 1 and marks <= {'"', "'"} else ""
        if not quote and not _UNSAFE.match(text) and not (self._is_flow() and _UNSAFE_IN_BRACKETS.search(text)):
            return text
        return f"'{text}'" if quote != '"' and "'" not in text else json.dumps(text, ensure_ascii=False)

    def _is_flow(self) -> bool:
        """Whether a new item is in brackets."""
        return self._flow is not None or (self._section is None and self._outer_span is not None)

    def _find_dash(self, item: ListedItem) -> str:
        """Return what is before an item in its line. Raises: EditRefusedError if that is more than its dash."""
        begin = line_start(self._text, item.start)
        if dash := _DASH.fullmatch(self._text, begin, item.start):
            return dash.group()
        raise EditRefusedError(f"{item.text} in {self.place} is not in a line of its own")

    def _find_end(self, item: ListedItem) -> int:
        """Return the end of the last line of an item. Raises: EditRefusedError if something follows it there."""
        end = len(self._text[: item.end].rstrip())
        if _AFTER.match(self._text, end) is None:
            raise EditRefusedError(f"{item.text} in {self.place} is not in a line of its own")
        return line_end(self._text, end)

    def _fill(self, item: str) -> Splice:
        """Return the first item of a list that is empty or missing."""
        text = self._text
        if self._key is None:
            if isinstance(self._root.node, yaml.MappingNode) and self._root.node.flow_style:
                raise EditRefusedError("The file is in brackets ({…}) and has no dependencies")
            lines = f"dependencies:\n{self._find_list_indent()}- {item}"
            lines = f"{lines}\n" if not text or text.endswith("\n") else f"\n{lines}"
            return Splice(len(text), len(text), lines)
        key = self._section if self._section is not None else self._key
        start, end = _find_span(key)
        if self._value.node is not None and len(range(*_find_span(self._value))) > 0:
            raise EditRefusedError(f"{self.place} is null", location=self._value.location)
        column = start - line_start(text, start)
        indent = " " * column + _STEP if self._section is not None else self._find_list_indent()
        stop = line_end(text, end)
        return Splice(stop, stop, f"\n{indent}- {item}")

    def _find_list_indent(self) -> str:
        """Return the indentation of lists below keys at the top of the file."""
        for _, value in self._root.pairs("a conda environment").values():
            if value.kind == "list" and _find_flow(value) is None:
                start = _find_span(value)[0]
                return self._text[line_start(self._text, start) : start]
        return _STEP

    def _add_section(self, item: str) -> Splice:
        """Return the ``pip`` section with its first item, as the last of ``dependencies``."""
        if self._outer_span is not None:
            if not self._outer:
                return Splice(self._outer_span.start + 1, self._outer_span.start + 1, f"pip: [{item}]")
            end = _find_span(self._outer[-1])[1]
            return Splice(end, end, f", pip: [{item}]")
        if not self._outer:
            inner = self._fill("pip:")
            dash = inner.text[: inner.text.rindex("- pip:")].rpartition("\n")[2]
            tail = "\n" if inner.text.endswith("\n") else ""
            return Splice(inner.start, inner.end, f"{inner.text.rstrip()}\n{dash}{_STEP * 2}- {item}{tail}")
        start, end = _find_span(self._outer[-1])
        last = ListedItem("", "The last item", start, end)
        dash, stop = self._find_dash(last), self._find_end(last)
        indent = dash[: dash.index("-")]
        return Splice(stop, stop, f"\n{dash}pip:\n{indent}{' ' * (len(dash) - len(indent))}{_STEP}- {item}")


def show_item(text: str, package: str, *, is_pip: bool) -> str:
    """Return a package as it is to be written by hand in a file whose lists are not edited, for people: in brackets if
    its list begins with one."""
    key = r"\bpip" if is_pip else r"^[\"']?dependencies[\"']?"
    if re.search(rf"{key}:\s*(?:&\S+\s+)?\[", text, re.MULTILINE) is None:
        return f"- {package}"
    shown = json.dumps(package, ensure_ascii=False) if _UNSAFE_IN_BRACKETS.search(package) else package
    return f"{shown}, in the brackets of {'pip' if is_pip else 'dependencies'}"


def _find_mark(event: Any) -> int:  # noqa: ANN401 - the class is libyaml's or PyYAML's
    return int(event.start_mark.index)


def _find_span(node: YamlNode) -> Span:
    if node.node is None:
        return Span(0, 0)
    return Span(node.node.start_mark.index, _find_node_end(node.node))


def _find_node_end(node: yaml.Node) -> int:
    """Return the end of a node; one without brackets ends with its last part, and not before the next one."""
    if isinstance(node, (yaml.SequenceNode, yaml.MappingNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        return _find_node_end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _list_members(value: YamlNode, place: str) -> list[YamlNode]:
    if value.kind not in ("null", "list"):
        raise EditRefusedError(f"{place} is not a list", location=value.location)
    return value.members("a list")


def _find_flow(value: YamlNode) -> Span | None:
    """Return the span of a list in brackets."""
    if isinstance(value.node, yaml.SequenceNode) and value.node.flow_style:
        return Span(value.node.start_mark.index, value.node.end_mark.index)
    return None


def _remove(root: Any, *, is_pip: bool) -> Any:  # noqa: ANN401 - JSON
    """Return a conda environment without its list of packages."""
    root = root or {}
    if not is_pip:
        return {key: value for key, value in root.items() if key != "dependencies"}
    members = root.get("dependencies") or []
    kept = [_without_pip(member) for member in members]
    kept = [member for member in kept if member != {}]
    return {**{key: value for key, value in root.items() if key != "dependencies"}, "dependencies": kept}


def _without_pip(member: Any) -> Any:  # noqa: ANN401 - JSON
    return {key: value for key, value in member.items() if key != "pip"} if isinstance(member, dict) else member
