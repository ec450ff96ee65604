"""YAML as nodes with places.

conda reads YAML 1.2, but PyYAML resolves 1.1 (``on`` is true, ``3.10`` is 3.1). So only PyYAML's parser is used, and a
plain scalar is its text as written; ``null``, ``~`` and an empty value are null. Like conda, it rejects duplicate keys.
Nodes are composed from the parser's events without recursion, so that nesting and aliases are bounded as they come.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import yaml

from roost.model.documents.conflicts import check_conflict
from roost.model.documents.places import TextPlaces, WrittenValue
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.bounds import MAX_DEPTH, NUL_FAULT, NUL_HINT, too_large_error

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

_NULLS = ("", "~", "null", "Null", "NULL")
_MAX_ADDED = 1_000_000
"""Characters and nodes that aliases may add to a document: a few lines of them can expand beyond all memory."""
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,14})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_Node = yaml.ScalarNode | yaml.SequenceNode | yaml.MappingNode


class YamlError(InvalidDefinitionError):
    """A file is not valid YAML, or does not have the expected structure."""

    code = "yaml-invalid"


class YamlPlaces(TextPlaces):
    """Places of a YAML text whose parsed form lacks characters of the text: JSON's surrogate pairs are joined."""

    def __init__(self, text: str, path: str, removed: Iterable[tuple[int, int]] = ()) -> None:
        """``removed``: offset in the parsed form, and how many characters are missing from there on in total."""
        super().__init__(text, path)
        self._removed = tuple(removed)
        self._removed_offsets = [offset for offset, _ in self._removed]

    def restore(self, offset: int) -> int:
        """Return the offset in the text of an offset in its parsed form."""
        index = bisect_right(self._removed_offsets, offset)
        return offset + (self._removed[index - 1][1] if index else 0)


class YamlNode:
    """A node (a scalar, a list, a mapping or null) with its location."""

    def __init__(self, node: yaml.Node | None, places: YamlPlaces, within: YamlNode | None = None) -> None:
        """``within`` is the mapping that lacks this value, if ``node`` is ``None``."""
        self.node = node
        self.places = places
        self._within = within
        self._pairs_by_key: dict[str, tuple[YamlNode, YamlNode]] | None = None

    @property
    def path(self) -> str:
        """Path of the file."""
        return self.places.path

    @property
    def location(self) -> Location:
        """Where the node begins; of a missing value, where the mapping begins that lacks it."""
        if self.node is None:
            return self._within.location if self._within else Location(path=self.path, line=1, column=1)
        return self.places.locate(self.places.restore(self.node.start_mark.index))

    def written(self, what: str) -> WrittenValue:
        """Return the scalar with its places. Raises: YamlError if the node is not a scalar."""
        value = self.text(what)
        assert self.node is not None
        start, end = (self.places.restore(mark.index) for mark in (self.node.start_mark, self.node.end_mark))
        return WrittenValue(value, self.places, start, end)

    @property
    def kind(self) -> str:
        """``null``, ``scalar``, ``list`` or ``mapping``."""
        if self.node is None:
            return "null"
        if isinstance(self.node, yaml.ScalarNode):
            return "null" if _is_plain(self.node) and self.node.value in _NULLS else "scalar"
        return "list" if isinstance(self.node, yaml.SequenceNode) else "mapping"

    def text(self, what: str) -> str:
        """Return the scalar as written; ``what`` describes it in errors.

        Raises: YamlError if the node is not a scalar.
        """
        if not isinstance(self.node, yaml.ScalarNode) or self.kind == "null":
            self.fail(f"{what} is {self.describe()}; expected a string")
        return str(self.node.value)

    def optional_text(self, what: str) -> str | None:
        """Return the scalar as written, or ``None`` for null. Raises: YamlError if the node is neither."""
        return None if self.kind == "null" else self.text(what)

    def boolean(self, what: str) -> bool:
        """Return a scalar ``true`` or ``false``, in any case. Raises: YamlError if the node is neither."""
        text = self.text(what).lower()
        if text not in ("true", "false"):
            self.fail(f"{what} is {text!r}; expected true or false")
        return text == "true"

    def members(self, what: str) -> list[YamlNode]:
        """Return the members of a list; null has none. Raises: YamlError if the node is neither."""
        if self.kind == "null":
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"{what} is {self.describe()}; expected a list")
        return [YamlNode(node, self.places) for node in self.node.value]

    def pairs(self, what: str) -> dict[str, tuple[YamlNode, YamlNode]]:
        """Return key to (key node, value node) of a mapping with its merges (``<<``) resolved; null has none.

        Raises: YamlError if the node is neither, or has a key twice.
        """
        if self.kind == "null":
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"{what} is {self.describe()}; expected a mapping")
        if self._pairs_by_key is None:
            self._pairs_by_key = dict(self._iterate_pairs(what))
        return self._pairs_by_key

    def value(self, key: str) -> YamlNode:
        """Return the value of a key, or null if the mapping (or null) lacks it.

        Raises: YamlError if the node is neither.
        """
        pair = self.pairs(f"what contains {key!r}").get(key)
        return pair[1] if pair else YamlNode(None, self.places, within=self)

    def to_json(self) -> Any:  # noqa: ANN401 - JSON values
        """Return the value as JSON: plain scalars by YAML 1.2's core schema, with the numbers that JSON can express."""
        if isinstance(self.node, yaml.ScalarNode):
            return _parse_plain_scalar(self.node) if _is_plain(self.node) else str(self.node.value)
        if self.kind == "list":
            return [member.to_json() for member in self.members("a list")]
        return {key: value.to_json() for key, (_, value) in self.pairs("a mapping").items()} if self.node else None

    def describe(self) -> str:
        """Return a description of the node for errors."""
        if self.kind == "scalar" and isinstance(self.node, yaml.ScalarNode):
            return f"the string {self.node.value!r}"
        return {"null": "null", "list": "a list", "mapping": "a mapping"}[self.kind]

    def fail(self, message: str, hint: str = "") -> NoReturn:
        """Raises: YamlError at this node."""
        raise YamlError(message, hint=hint, location=self.location)

    def _iterate_pairs(self, what: str) -> Iterator[tuple[str, tuple[YamlNode, YamlNode]]]:
        assert isinstance(self.node, yaml.MappingNode)
        own = [(YamlNode(key, self.places), YamlNode(value, self.places)) for key, value in self.node.value]
        for key, value in own:
            if _is_merge(key):
                yield from _iterate_merged(value, what)
        seen: dict[str, YamlNode] = {}
        for key, value in own:
            name = "" if key.kind == "null" else key.text(f"a key of {what}")
            if name in seen and not _is_merge(key):
                key.fail(f"Key {name!r} occurs twice; it was first in line {seen[name].location.line}", "Keep one.")
            seen[name] = key
            if not _is_merge(key):
                yield name, (key, value)


def _is_plain(node: yaml.ScalarNode) -> bool:
    return not node.style  # None of the Python parser, "" of libyaml


def _parse_plain_scalar(node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - JSON values
    text = str(node.value)
    if text in _NULLS:
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _is_merge(key: YamlNode) -> bool:
    return isinstance(key.node, yaml.ScalarNode) and _is_plain(key.node) and key.node.value == "<<"


def _iterate_merged(value: YamlNode, what: str) -> Iterator[tuple[str, tuple[YamlNode, YamlNode]]]:
    """Yield the pairs of merged mappings, the last mapping first: earlier ones win (YAML 1.1 merge type)."""
    for source in reversed(value.members("<<")) if value.kind == "list" else [value]:
        yield from source.pairs(what).items()


def parse_yaml(text: str, path: str, places: YamlPlaces | None = None) -> YamlNode:
    """Parse the single document in ``text``. ``places`` are those of the original, if ``text`` is not it.

    Raises: YamlError with its location if ``text`` is not valid YAML, has several documents, or expands too far;
    MergeConflictError if that is why.
    """
    places = places or YamlPlaces(text, path)
    try:
        root = _Composer(places, _MAX_ADDED + 4 * len(text)).compose(yaml.parse(text, Loader=Loader))
    except YamlError:
        check_conflict(text, path)
        raise
    except yaml.MarkedYAMLError as error:
        check_conflict(text, path)
        raise _translate_parser_error(error, places) from None
    except (yaml.YAMLError, ValueError) as error:
        raise _translate_reader_error(error, text, places) from None
    if isinstance(root, yaml.ScalarNode):  # no environment; marks and bare names are one text of several lines
        check_conflict(text, path)
    return YamlNode(root, places)


class _Open:
    """A list or mapping whose end has not been read."""

    def __init__(self, node: yaml.SequenceNode | yaml.MappingNode, anchor: str | None) -> None:
        self.node, self.anchor = node, anchor
        self.children: list[_Node] = []
        self.size, self.height = 1, 0


class _Composer:
    """Composes nodes from events, and measures each with its aliases expanded."""

    def __init__(self, places: YamlPlaces, most: int) -> None:
        self._places, self._most = places, most
        self._opened: list[_Open] = []
        self._anchors: dict[str, tuple[_Node, int, int] | None] = {}
        """Anchor to its latest node (YAML 1.2.2, 7.1), with size and height; to ``None`` while the node is open."""
        self._root: _Node | None = None

    def compose(self, events: Iterable[yaml.Event]) -> _Node | None:
        """Return the root of the only document. Raises: YamlError."""
        for event in events:
            if isinstance(event, yaml.NodeEvent) and self._root is not None and not self._opened:
                self._fail(
                    event,
                    "A second YAML document begins here; expected one",
                    "Keep one document in the file, or split it in two.",
                )
            if isinstance(event, yaml.AliasEvent):
                self._add_alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                if "\0" in event.value:
                    self._fail(event, NUL_FAULT, NUL_HINT)
                start, end = _get_marks(event)
                node = yaml.ScalarNode("", event.value, start, end, style=event.style)
                self._add(node, 1 + len(event.value), 0, event.anchor)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close(event)
        return self._root

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        self._check_depth(event, 0)
        kind = yaml.SequenceNode if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingNode
        node = kind("", [], _get_marks(event)[0], None, flow_style=event.flow_style)
        self._opened.append(_Open(node, event.anchor))
        if event.anchor:
            self._anchors[event.anchor] = None

    def _close(self, event: yaml.Event) -> None:
        done = self._opened.pop()
        done.node.end_mark = event.end_mark
        children = done.children
        if isinstance(done.node, yaml.MappingNode):
            done.node.value = list(zip(children[::2], children[1::2], strict=True))
        else:
            done.node.value = children
        self._add(done.node, done.size, done.height, done.anchor)

    def _add_alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            self._fail(event, f"This is not valid YAML: found undefined alias {event.anchor!r}")
        target = self._anchors[event.anchor]
        if target is None:
            self._fail_nested(event)
        node, size, height = target
        self._check_depth(event, height)
        self._add(node, size, height, None)

    def _add(self, node: _Node, size: int, height: int, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node, size, height
        if not self._opened:
            self._root = node
            return
        outer = self._opened[-1]
        outer.children.append(node)
        outer.size, outer.height = outer.size + size, max(outer.height, height + 1)
        if outer.size > self._most:
            raise too_large_error(
                "This node is too large once its aliases (*name) are expanded",
                self._most,
                "characters",
                self._locate(outer.node.start_mark),
            )

    def _check_depth(self, event: yaml.Event, height: int) -> None:
        if len(self._opened) + height > MAX_DEPTH:
            self._fail_nested(event)

    def _fail_nested(self, event: yaml.Event) -> NoReturn:
        what = "This node contains itself or is nested too deeply"
        raise too_large_error(what, MAX_DEPTH, "levels", self._locate(_get_marks(event)[0]))

    def _fail(self, event: yaml.Event, message: str, hint: str = "") -> NoReturn:
        raise YamlError(message, hint=hint, location=self._locate(_get_marks(event)[0]))

    def _locate(self, mark: yaml.Mark) -> Location:
        return self._places.locate(self._places.restore(mark.index))


def _get_marks(event: yaml.Event) -> tuple[Any, Any]:
    """Return the marks of an event, whose class is libyaml's or PyYAML's."""
    return event.start_mark, event.end_mark


def _translate_parser_error(error: yaml.MarkedYAMLError, places: YamlPlaces) -> YamlError:
    mark = error.problem_mark or error.context_mark
    location = places.locate(places.restore(mark.index)) if mark else Location(path=places.path)
    context = f" {error.context}" if error.context else ""
    return YamlError(
        f"This is not valid YAML:{context} {error.problem}", hint=_find_hint(error.problem or ""), location=location
    )


def _translate_reader_error(error: Exception, text: str, places: YamlPlaces) -> YamlError:
    """Translate the error for a character that YAML does not allow; libyaml counts bytes, PyYAML characters."""
    position = getattr(error, "position", None)
    location = Location(path=places.path)
    if isinstance(position, int):
        if Loader.__name__.startswith("C"):
            position = len(text.encode("utf-8", "surrogatepass")[:position].decode("utf-8", "ignore"))
        location = places.locate(places.restore(position))
    return YamlError(f"This is not valid YAML: {str(error).splitlines()[0]}", location=location)


def _find_hint(problem: str) -> str:
    if "tab character" in problem or "\\t" in problem:
        return "Indent with spaces: YAML allows no tabs there."
    if "block end" in problem:
        return "Check the indentation of this line and of the one above."
    return "Check this line and the one above."
