"""YAML as nodes that know where they stand.

conda reads YAML 1.2, PyYAML resolves 1.1 (``on`` is true, ``3.10`` is 3.1). So only PyYAML's parser is used, and a
plain scalar is its text as written; ``null``, ``~`` and nothing are null. Duplicate keys are errors, as in conda.
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
_DEPTH = 50
_MOST_ADDED = 1_000_000
"""Characters and nodes that aliases may add to a document: a few lines of them can come to more than memory holds."""


class YamlError(InvalidDefinitionError):
    """A file is no YAML, or not of the shape that is expected."""

    code = "yaml-invalid"


class YamlNode:
    """A node: a scalar, a list, a mapping or null, and its place."""

    def __init__(self, node: yaml.Node | None, path: str, within: YamlNode | None = None) -> None:
        """``within``: the mapping that lacks this, where ``node`` is ``None``."""
        self.node = node
        self.path = path
        self._within = within
        self._known: dict[str, tuple[YamlNode, YamlNode]] | None = None

    @property
    def location(self) -> Location:
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
        """The scalar as written. Raises :class:`YamlError`."""
        if not isinstance(self.node, yaml.ScalarNode) or self.kind == "null":
            self.fail(f"{what} is {self.described()}; expected text")
        return str(self.node.value)

    def optional(self, what: str) -> str | None:
        return None if self.kind == "null" else self.text(what)

    def flag(self, what: str) -> bool:
        text = self.text(what).lower()
        if text not in ("true", "false"):
            self.fail(f"{what} is {text!r}; expected true or false")
        return text == "true"

    def items(self, what: str) -> list[YamlNode]:
        """The members of a list; none of null."""
        if self.kind == "null":
            return []
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"{what} is {self.described()}; expected a list")
        return [YamlNode(node, self.path) for node in self.node.value]

    def pairs(self, what: str) -> dict[str, tuple[YamlNode, YamlNode]]:
        """Key to (key, value) of a mapping, merges (``<<``) worked in; none of null."""
        if self.kind == "null":
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"{what} is {self.described()}; expected a mapping")
        if self._known is None:
            self._known = dict(self._pairs(what))
        return self._known

    def value(self, key: str) -> YamlNode:
        """The value of a key of this mapping (or of null), or null. Raises :class:`YamlError` for what is neither."""
        pair = self.pairs(f"what holds {key!r}").get(key)
        return pair[1] if pair else YamlNode(None, self.path, within=self)

    def plain(self) -> Any:  # noqa: ANN401 - JSON values
        """The value as JSON has it: plain scalars by YAML 1.2's core schema, of numbers what JSON can say."""
        if isinstance(self.node, yaml.ScalarNode):
            return _typed(self.node) if _is_plain(self.node) else str(self.node.value)
        if self.kind == "list":
            return [member.plain() for member in self.items("a list")]
        return {key: value.plain() for key, (_, value) in self.pairs("a mapping").items()} if self.node else None

    def described(self) -> str:
        if self.kind == "scalar" and isinstance(self.node, yaml.ScalarNode):
            return f"the text {self.node.value!r}"
        return {"null": "null", "list": "a list", "mapping": "a mapping"}[self.kind]

    def fail(self, message: str, hint: str = "") -> NoReturn:
        raise YamlError(message, hint=hint, location=self.location)

    def _pairs(self, what: str) -> Iterator[tuple[str, tuple[YamlNode, YamlNode]]]:
        assert isinstance(self.node, yaml.MappingNode)
        own = [(YamlNode(key, self.path), YamlNode(value, self.path)) for key, value in self.node.value]
        for key, value in own:
            if _is_merge(key):
                yield from _merged(value, what)
        seen: dict[str, YamlNode] = {}
        for key, value in own:
            name = "" if key.kind == "null" else key.text(f"a key of {what}")
            if name in seen and not _is_merge(key):
                key.fail(f"Key {name!r} is there twice; it was first in line {seen[name].location.line}", "Keep one.")
            seen[name] = key
            if not _is_merge(key):
                yield name, (key, value)


def _is_plain(node: yaml.ScalarNode) -> bool:
    return not node.style  # None of the Python parser, "" of libyaml


def _typed(node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - JSON values
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


def _merged(value: YamlNode, what: str) -> Iterator[tuple[str, tuple[YamlNode, YamlNode]]]:
    """Of several merged mappings the earlier one wins (YAML 1.1 merge type), so they are yielded last first."""
    for source in reversed(value.items("<<")) if value.kind == "list" else [value]:
        yield from source.pairs(what).items()


def parse_yaml(text: str, path: str) -> YamlNode:
    """The one document of ``text``. Raises :class:`YamlError` with the place."""
    try:
        documents = list(yaml.compose_all(text, Loader=Loader))
    except yaml.MarkedYAMLError as error:
        raise _translated(error, path) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(str(error), error, text, path) from None
    documents = [node for node in documents if node is not None]
    if len(documents) > 1:
        YamlNode(documents[1], path).fail(
            "A second YAML document begins here; expected one", "Keep one document in the file, or split it in two."
        )
    root = YamlNode(documents[0] if documents else None, path)
    _Expansion(path, _MOST_ADDED + 4 * len(text)).measure(root.node, 0)
    return root


class _Expansion:
    """What a document comes to with each alias worked in. Each node is looked at once, however many aliases it has."""

    def __init__(self, path: str, most: int) -> None:
        self._path, self._most = path, most
        self._open: set[int] = set()
        self._known: dict[int, tuple[int, int]] = {}

    def measure(self, node: yaml.Node | None, level: int) -> tuple[int, int]:
        """Size and height of ``node``, which stands ``level`` deep. Raises :class:`YamlError` for one that holds itself
        (an anchor may hold an alias to itself), nests deeper than anything that is read here, or is too large."""
        if isinstance(node, yaml.ScalarNode) or node is None:
            return 1 + len(node.value if node else ""), 0
        size, height = self._known.get(id(node)) or self._measured(node, level)
        if level + height > _DEPTH:
            self._nests(node)
        return size, height

    def _measured(self, node: yaml.Node, level: int) -> tuple[int, int]:
        if id(node) in self._open or level > _DEPTH:
            self._nests(node)
        self._open.add(id(node))
        size, height = 1, 0
        for child in _children(node):
            inner, below = self.measure(child, level + 1)
            size, height = size + inner, max(height, below + 1)
            if size > self._most:
                message = "This node comes to too much once its aliases (*name) are worked in"
                YamlNode(node, self._path).fail(message, "Write out what is meant, with fewer aliases.")
        self._open.remove(id(node))
        self._known[id(node)] = size, height
        return size, height

    def _nests(self, node: yaml.Node) -> NoReturn:
        YamlNode(node, self._path).fail("This node holds itself or nests too deep")


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _translated(error: yaml.MarkedYAMLError, path: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    location = Location(path=path, line=mark.line + 1, column=mark.column + 1) if mark else Location(path=path)
    context = f" {error.context}" if error.context else ""
    return YamlError(f"This is no YAML:{context} {error.problem}", hint=_hint(error.problem or ""), location=location)


def _unreadable(message: str, error: Exception, text: str, path: str) -> YamlError:
    position = getattr(error, "position", None)
    line = text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    return YamlError(f"This is no YAML: {message.splitlines()[0]}", location=Location(path=path, line=line))


def _hint(problem: str) -> str:
    if "tab character" in problem or "\\t" in problem:
        return "Indent with spaces: YAML allows no tabs there."
    if "block end" in problem:
        return "Check the indentation of this line and of the one above."
    return "Check this line and the one above."
