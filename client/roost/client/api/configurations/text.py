"""The text of a run configuration: its values as written, and its environment alone.

Azure's SDK reads YAML 1.2, PyYAML resolves 1.1 (``yes`` is true, ``12:30`` a number, ``1.10`` is 1.1). So a plain
scalar is its text here, as it is for the daemon, which reads the environment; flags and numbers are asked for where
they are meant.
"""

from __future__ import annotations

from typing import Any

import yaml

from roost.client.api.errors import definition_invalid

Json = dict[str, Any]
_MEANT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:merge")
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _MEANT]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _RESOLVERS


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _RESOLVERS


class Said:
    """What a mapping of the file at ``path`` says. All raise ``DefinitionError`` for what is of another kind."""

    def __init__(self, data: Json, path: str) -> None:
        self.data = data
        self.path = path

    def text(self, key: str) -> str | None:
        """A text; ``None`` where it is empty."""
        return self._checked(key, self.data.get(key), str, "a text") or None

    def texts(self, key: str) -> list[str]:
        """A list of texts."""
        found = self._checked(key, self.data.get(key), list, "a list of texts") or []
        return [self._checked(key, each, str, "a list of texts") or "" for each in found]

    def command(self) -> list[str] | str | None:
        """One text for the shell, or words."""
        words = isinstance(self.data.get("command"), list)
        return self.texts("command") or None if words else self.text("command")

    def flag(self, key: str) -> bool:
        """``true`` or ``false``; false where nothing is said."""
        text = (self.text(key) or "false").lower()
        if text not in ("true", "false"):
            raise self._wrong(key, "true or false")
        return text == "true"

    def number(self, key: str) -> int | str | None:
        """A number; another text as it is, for who says what it may be."""
        text = self.text(key)
        return int(text) if text is not None and text.isascii() and text.isdecimal() else text

    def variables(self, key: str) -> dict[str, str]:
        """A table of texts; null is the empty one."""
        table = self.within(key).data
        return {str(name): self._checked(key, value, str, "a table of texts") or "" for name, value in table.items()}

    def within(self, key: str) -> Said:
        """A table."""
        return Said(self._checked(key, self.data.get(key), dict, "a table") or {}, self.path)

    def _checked(self, key: str, value: Any, kind: type, what: str) -> Any:  # noqa: ANN401 - of that kind
        if value is not None and value != "" and not isinstance(value, kind):
            raise self._wrong(key, what)
        return value or None

    def _wrong(self, key: str, what: str) -> Exception:
        return definition_invalid(f"{key!r} is not {what}", f"Expected {what}.", self.path)


def said(text: str, path: str) -> Said:
    """All that the file says. Raises ``DefinitionError`` where it is no YAML or no mapping."""
    try:
        data = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        raise definition_invalid(f"The file is no YAML: {error}", "Correct that place.", path, line) from None
    environment = data.get("environment") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(environment or {}, (dict, str)):
        raise definition_invalid("The file is no run configuration", "Expected a mapping with 'environment'.", path)
    return Said(data, path)


def environment_alone(text: str) -> str:
    """The file without what it says of the run, which is no part of the environment; what stays is in its place."""
    root = yaml.compose(text, _Loader)
    assert isinstance(root, yaml.MappingNode)
    pair = next((key, value) for key, value in reversed(root.value) if key.value == "environment")
    alone = _cut(text, pair, flow=bool(root.flow_style))
    return alone if _written(_pair(alone)) == _written(pair) else _written(pair)


def _cut(text: str, pair: tuple[yaml.Node, yaml.Node], *, flow: bool) -> str:
    """Lines and columns are those of the file. A second key of a run configuration tells what it is."""
    start, end = pair[0].start_mark, pair[1].end_mark
    part = text[start.index : end.index]
    if flow:
        return "\n" * start.line + " " * (start.column - 1) + "{" + part + ", target: null}"
    margin = " " * start.column
    return "\n" * start.line + f"{margin}{part}\n{margin}target:\n"


def _pair(text: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Of the environment; ``None`` where ``text`` refers to what is not in it."""
    try:
        root = yaml.compose(text, _Loader)
    except yaml.YAMLError:
        return None
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == "environment"), None)


def _written(pair: tuple[yaml.Node, yaml.Node] | None) -> str:
    if pair is None:
        return ""
    target = yaml.ScalarNode("tag:yaml.org,2002:str", "target"), yaml.ScalarNode(_MEANT[0], "null")
    root = yaml.MappingNode("tag:yaml.org,2002:map", [pair, target], flow_style=False)
    text: str = yaml.serialize(root, Dumper=_Dumper, allow_unicode=True, width=2**20)
    return text
