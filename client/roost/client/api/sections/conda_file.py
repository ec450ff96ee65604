"""A conda environment file as values: read, and written again. Comments are lost on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from roost.client.api.errors import DefinitionError, definition_invalid

KEYS = ("name", "channels", "dependencies", "prefix", "variables")


@dataclass
class CondaFile:
    """What such a file says."""

    name: str | None = None
    channels: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    pip: list[str] = field(default_factory=list)
    has_pip: bool = False
    """There is a ``pip:`` part, perhaps empty."""
    prefix: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def add_pip(self, line: str) -> None:
        """One more line of the ``pip:`` part."""
        self.has_pip = True
        self.pip.append(line)

    def as_dict(self) -> dict[str, Any]:
        """Without what is not said."""
        pip: list[Any] = [{"pip": [str(line) for line in self.pip]}] if self.has_pip else []
        said = {
            "name": self.name,
            "channels": [str(channel) for channel in self.channels],
            "dependencies": [str(spec) for spec in self.packages] + pip,
            "prefix": self.prefix,
            "variables": dict(self.variables),
        }
        return {key: value for key, value in said.items() if value or key == "dependencies"}


def read(path: str) -> CondaFile:
    """The file at ``path``. Raises ``DefinitionError``, ``OSError``."""
    with open(path, encoding="utf-8-sig") as file:
        try:
            return of_text(file.read(), path)
        except UnicodeDecodeError as error:
            raise definition_invalid(f"The file is no UTF-8: {error.reason}", "Save it as UTF-8.", path) from None


def of_text(text: str, path: str) -> CondaFile:
    """The content of such a file. ``path``: what errors call it. Raises ``DefinitionError``."""
    try:
        data = yaml.load(text, yaml.BaseLoader)  # scalars stay as written: 3.10 is no number
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        raise definition_invalid(f"The file is no YAML: {error}", "Correct that place.", path, line) from None
    return of_data(data, path)


def of_data(data: object, path: str) -> CondaFile:
    """The same from its values."""
    if not isinstance(data, dict):
        raise _wrong("The file is no conda environment file: it is no mapping", path)
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise _wrong(f"Key {unknown[0]!r} is none of a conda environment file's", path)
    content = CondaFile(
        name=_text(data, "name", path),
        channels=_texts(data.get("channels") or [], "channels", path),
        prefix=_text(data, "prefix", path),
        variables=_variables(data.get("variables") or {}, path),
    )
    _dependencies(content, data.get("dependencies") or [], path)
    return content


def _dependencies(content: CondaFile, items: object, path: str) -> None:
    if not isinstance(items, list):
        raise _wrong("'dependencies' is no list", path)
    for item in items:
        if isinstance(item, str):
            content.packages.append(item)
        elif isinstance(item, dict) and list(item) == ["pip"]:
            content.has_pip = True
            content.pip += _texts(item["pip"] or [], "pip", path)
        else:
            raise _wrong(f"{item!r} among 'dependencies' is neither a package nor a 'pip:' part", path)


def _text(data: dict[str, Any], key: str, path: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong(f"{key!r} is no text", path)
    return value or None


def _texts(items: object, key: str, path: str) -> list[str]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _wrong(f"{key!r} is no list of texts", path)
    return list(items)


def _variables(items: object, path: str) -> dict[str, str]:
    if not isinstance(items, dict) or not all(isinstance(value, str) for value in items.values()):
        raise _wrong("'variables' is no table of texts", path)
    return dict(items)


def _wrong(message: str, path: str) -> DefinitionError:
    return definition_invalid(message, f"Expected a mapping with {', '.join(KEYS[:3])}.", path)


def dump(data: dict[str, Any]) -> str:
    """YAML in the order of ``data``."""
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=False, allow_unicode=True, width=4096)
