"""The text of a run configuration: its values as written, and the part of its environment.

Azure's SDK reads YAML 1.2, PyYAML resolves scalars by YAML 1.1 (``yes`` is true, ``12:30`` a number, ``1.10`` is 1.1).
So a plain scalar is its text here, as it is for the daemon, which reads the environment; flags and numbers are parsed
where a key has that type.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from roost.client.api.configurations.parts import camel_case
from roost.client.api.errors import definition_error

Json = dict[str, Any]
_RESOLVED_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _RESOLVED_TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _RESOLVERS


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _RESOLVERS


class _TypedLoader(_Loader):
    """Resolves what Azure's SDK acts on with a type: the flags and decimal numbers of YAML 1.2."""


class WrittenFloat(float):
    """A number that is written again as it was, such as ``1.10``."""

    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        """Return the arguments with which ``copy`` and ``pickle`` make the number again."""
        return (self.text,)


_FLAG = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?\Z")
_TypedLoader.add_implicit_resolver("tag:yaml.org,2002:bool", _FLAG, list("tTfF"))
_TypedLoader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-0123456789"))
_TypedLoader.add_implicit_resolver("!number", _FLOAT, list("-+.0123456789"))
_TypedLoader.add_constructor("!number", lambda _, node: WrittenFloat(node.value))


class _FileDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


_FileDumper.add_representer(
    WrittenFloat, lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", number.text)
)


class ConfigurationTable:
    """A mapping of the file at ``path``, with typed access. All methods raise ``DefinitionError`` if the value has
    another type."""

    def __init__(self, data: Json, path: str) -> None:
        self.data = data
        self.path = path

    def text(self, key: str) -> str | None:
        """Return a text; ``None`` if it is empty."""
        return self._typed_value(key, self.data.get(key), str, "a text") or None

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        values = self._typed_value(key, self.data.get(key), list, "a list of strings") or []
        return [self._typed_value(key, value, str, "a list of strings") or "" for value in values]

    def command(self) -> list[str] | str | None:
        """Return the value of ``command``: one text for the shell, or words."""
        is_list = isinstance(self.data.get("command"), list)
        return self.texts("command") or None if is_list else self.text("command")

    def mapping(self, key: str, value: object) -> Json:
        """Return ``value``, which stands at or below ``key``, if it is a mapping; an empty one for null."""
        return self._typed_value(key, value, dict, "a table") or {}

    def list_of(self, key: str, value: object) -> list[Any]:
        """Return ``value``, which stands at ``key``, if it is a list; an empty one for null."""
        return self._typed_value(key, value, list, "a list") or []

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return ``true`` or ``false``; ``default`` if there is no value."""
        text = (self.text(key) or str(default)).lower()
        if text not in ("true", "false"):
            raise self._type_error(key, "true or false")
        return text == "true"

    def number(self, key: str) -> int | str | None:
        """Return a number; any other text unchanged, for the attribute that decides about valid values."""
        text = self.text(key)
        return int(text) if text is not None and text.isascii() and text.isdecimal() else text

    def variables(self, key: str) -> dict[str, str]:
        """Return a table of texts; null is the empty text."""
        items = self.table(key).data.items()
        return {str(name): self._typed_value(key, value, str, "a table of strings") or "" for name, value in items}

    def table(self, key: str) -> ConfigurationTable:
        """Return a table; an empty one if there is no value."""
        return ConfigurationTable(self._typed_value(key, self.data.get(key), dict, "a table") or {}, self.path)

    def _typed_value(self, key: str, value: Any, kind: type, description: str) -> Any:  # noqa: ANN401 - of that kind
        if value is not None and value != "" and not isinstance(value, kind):
            raise self._type_error(key, description)
        return value or None

    def _type_error(self, key: str, description: str) -> Exception:
        return definition_error(f"{key!r} is not {description}", f"Expected {description}.", self.path)


def parse(text: str, path: str) -> ConfigurationTable:
    """Parse a run configuration. ``path`` is for errors. Raises: DefinitionError if it is not YAML, not a mapping, or
    its environment is neither a mapping nor a text."""
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        raise definition_error(f"The file is not valid YAML: {error}", "Fix the file.", path, line) from None
    environment = data.get("environment") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(environment or {}, (dict, str)):
        raise definition_error("The file is not a run configuration", "Expected a mapping with 'environment'.", path)
    return ConfigurationTable({camel_case(str(key)): value for key, value in data.items()}, path)


def serialize(data: Json) -> str:
    """Return ``data`` as YAML, with the keys in their order."""
    text: str = yaml.dump(
        data, Dumper=_FileDumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=4096
    )
    return text


def parse_typed(text: str) -> Json:
    """Parse a run configuration that ``parse`` has accepted, with its flags and numbers as such, and its keys in camel
    case: Azure's SDK reads ``node_count`` as ``nodeCount``."""
    data: Json = yaml.load(text, _TypedLoader)
    return {camel_case(str(key)): value for key, value in data.items()}


def extract_environment(text: str) -> str:
    """Return the text of a run configuration with its environment only, which stays at its line and column, so that
    the daemon's errors point at the right place. If the environment refers to anchors elsewhere in the file, it is
    written anew with what it refers to, and positions are lost."""
    root = yaml.compose(text, _Loader)
    assert isinstance(root, yaml.MappingNode)
    pair = next((key, value) for key, value in reversed(root.value) if key.value == "environment")
    extract = _slice_environment(text, pair, flow=bool(root.flow_style))
    return extract if _serialize_pair(_find_environment(extract)) == _serialize_pair(pair) else _serialize_pair(pair)


def _slice_environment(text: str, pair: tuple[yaml.Node, yaml.Node], *, flow: bool) -> str:
    """Return the part of ``text`` for ``pair``, padded to its line and column. The key ``target`` is added: by a second
    key the daemon recognises a run configuration."""
    start, end = pair[0].start_mark, pair[1].end_mark
    part = text[start.index : end.index]
    if flow:
        return "\n" * start.line + " " * (start.column - 1) + "{" + part + ", target: null}"
    margin = " " * start.column
    return "\n" * start.line + f"{margin}{part}\n{margin}target:\n"


def _find_environment(text: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return key and value of the environment; ``None`` if ``text`` refers to anchors that are not in it."""
    try:
        root = yaml.compose(text, _Loader)
    except yaml.YAMLError:
        return None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == "environment"), None)


def _serialize_pair(pair: tuple[yaml.Node, yaml.Node] | None) -> str:
    if pair is None:
        return ""
    target = yaml.ScalarNode("tag:yaml.org,2002:str", "target"), yaml.ScalarNode(_RESOLVED_TAGS[0], "null")
    root = yaml.MappingNode("tag:yaml.org,2002:map", [pair, target], flow_style=False)
    text: str = yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=2**20)
    return text
