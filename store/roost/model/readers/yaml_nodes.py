"""YAML as nodes with locations.

conda reads YAML 1.2, but PyYAML resolves 1.1 (``on`` is true, ``3.10`` is 3.1). So only PyYAML's parser is used, and a
plain scalar is its text as written; ``null``, ``~`` and an empty value are null. Like conda, it rejects duplicate keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from roost.model.errors import InvalidDefinitionError, Location

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

_NULLS = ("", "~", "null", "Null", "NULL")
_MAX_DEPTH = 50
_MAX_ADDED = 1_000_000
"""Characters and nodes that aliases may add to a document: a few lines of them can expand beyond all memory."""


class YamlError(InvalidDefinitionError):
    """A file is not valid YAML, or does not have the expected structure."""

    code = "yaml-invalid"


class YamlNode:
    """A node (a scalar, a list, a mapping or null) with its location."""

    def __init__(self, node: yaml.Node | None, path: str, within: YamlNode | None = None) -> None:
        """``within`` is the mapping that lacks this value, if ``node`` is ``None``."""
        self.node = node
        self.path = path
        self._within = within
        self._pairs_by_key: dict[str, tuple[YamlNode, YamlNode]] | None = None

    @property
    def location(self) -> Location:
        """Where the node begins; of a missing value, where the mapping begins that lacks it."""
        if self.node is None:
            return self._within.location if self._within else Location(path=self.path, line=1, column=1)
        mark = self.node.start_mark
        return Location(path=self.path, line=mark.line + 1, column=mark.column + 1)

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
        return [YamlNode(node, self.path) for node in self.node.value]

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
        return pair[1] if pair else YamlNode(None, self.path, within=self)

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
        own = [(YamlNode(key, self.path), YamlNode(value, self.path)) for key, value in self.node.value]
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
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,14})", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}", text) else text


def _is_merge(key: YamlNode) -> bool:
    return isinstance(key.node, yaml.ScalarNode) and _is_plain(key.node) and key.node.value == "<<"


def _iterate_merged(value: YamlNode, what: str) -> Iterator[tuple[str, tuple[YamlNode, YamlNode]]]:
    """Yield the pairs of merged mappings, the last mapping first: earlier ones win (YAML 1.1 merge type)."""
    for source in reversed(value.members("<<")) if value.kind == "list" else [value]:
        yield from source.pairs(what).items()


def parse_yaml(text: str, path: str) -> YamlNode:
    """Parse the single document in ``text``.

    Raises: YamlError with its location if ``text`` is not valid YAML, has several documents, or expands too far.
    """
    try:
        documents = list(yaml.compose_all(text, Loader=Loader))
    except yaml.MarkedYAMLError as error:
        raise _translate_parser_error(error, path) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _translate_reader_error(str(error), error, text, path) from None
    documents = [node for node in documents if node is not None]
    if len(documents) > 1:
        YamlNode(documents[1], path).fail(
            "A second YAML document begins here; expected one", "Keep one document in the file, or split it in two."
        )
    root = YamlNode(documents[0] if documents else None, path)
    _ExpansionLimit(path, _MAX_ADDED + 4 * len(text)).measure(root.node, 0)
    return root


class _ExpansionLimit:
    """Limit on the size and depth of a document with its aliases expanded. Each node is visited once."""

    def __init__(self, path: str, most: int) -> None:
        self._path, self._most = path, most
        self._open: set[int] = set()
        self._measured: dict[int, tuple[int, int]] = {}

    def measure(self, node: yaml.Node | None, level: int) -> tuple[int, int]:
        """Return size and height of ``node`` at depth ``level``.

        Raises: YamlError if the node contains itself (an anchor may contain an alias to itself), is nested too deep, or
        is too large.
        """
        if isinstance(node, yaml.ScalarNode) or node is None:
            return 1 + len(node.value if node else ""), 0
        size, height = self._measured.get(id(node)) or self._measure_collection(node, level)
        if level + height > _MAX_DEPTH:
            self._fail_nested(node)
        return size, height

    def _measure_collection(self, node: yaml.Node, level: int) -> tuple[int, int]:
        if id(node) in self._open or level > _MAX_DEPTH:
            self._fail_nested(node)
        self._open.add(id(node))
        size, height = 1, 0
        for child in _children(node):
            inner, below = self.measure(child, level + 1)
            size, height = size + inner, max(height, below + 1)
            if size > self._most:
                message = "This node is too large once its aliases (*name) are expanded"
                YamlNode(node, self._path).fail(message, "Use fewer aliases.")
        self._open.remove(id(node))
        self._measured[id(node)] = size, height
        return size, height

    def _fail_nested(self, node: yaml.Node) -> NoReturn:
        YamlNode(node, self._path).fail("This node contains itself or is nested too deeply")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _translate_parser_error(error: yaml.MarkedYAMLError, path: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    location = Location(path=path, line=mark.line + 1, column=mark.column + 1) if mark else Location(path=path)
    context = f" {error.context}" if error.context else ""
    return YamlError(
        f"This is not valid YAML:{context} {error.problem}", hint=_find_hint(error.problem or ""), location=location
    )


def _translate_reader_error(message: str, error: Exception, text: str, path: str) -> YamlError:
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    return YamlError(f"This is not valid YAML: {message.splitlines()[0]}", location=Location(path=path, line=line))


def _find_hint(problem: str) -> str:
    if "tab character" in problem or "\\t" in problem:
        return "Indent with spaces: YAML allows no tabs there."
    if "block end" in problem:
        return "Check the indentation of this line and of the one above."
    return "Check this line and the one above."
