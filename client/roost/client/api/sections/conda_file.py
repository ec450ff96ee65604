"""A conda environment file as values: reading and writing. Comments are lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from roost.client.api.errors import DefinitionError, definition_error, translate_decode_errors

KEYS = ("name", "channels", "dependencies", "prefix", "variables")


@dataclass
class CondaFile:
    """The content of a conda environment file."""

    name: str | None = None
    channels: list[str] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    pip: list[str] = field(default_factory=list)
    has_pip: bool = False
    """The file has a ``pip:`` part, perhaps empty."""
    prefix: str | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def add_pip(self, line: str) -> None:
        """Append a line to the ``pip:`` part."""
        self.has_pip = True
        self.pip.append(line)

    def as_dict(self) -> dict[str, Any]:
        """Return the content as plain values. Keys without a value are left out, except ``dependencies``."""
        pip: list[Any] = [{"pip": [str(line) for line in self.pip]}] if self.has_pip else []
        values = {
            "name": self.name,
            "channels": [str(channel) for channel in self.channels],
            "dependencies": [str(spec) for spec in self.packages] + pip,
            "prefix": self.prefix,
            "variables": dict(self.variables),
        }
        return {key: value for key, value in values.items() if value or key == "dependencies"}


def read(path: str) -> CondaFile:
    """Read the file at ``path``. Raises ``DefinitionError``, ``OSError``."""
    with open(path, encoding="utf-8-sig") as file, translate_decode_errors(path):
        return parse(file.read(), path)


def parse(text: str, path: str) -> CondaFile:
    """Parse the text of a conda environment file. ``path`` is for errors. Raises ``DefinitionError``."""
    try:
        data = yaml.load(text, yaml.BaseLoader)  # scalars stay as written: 3.10 is no number
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        raise definition_error(f"The file is not valid YAML: {error}", "Fix the file.", path, line) from None
    if not isinstance(data, dict):
        raise _file_error("The file is not a conda environment file: it is not a mapping", path)
    unknown = [key for key in data if key not in KEYS]
    if unknown:
        raise _file_error(f"Key {unknown[0]!r} is not a key of a conda environment file", path)
    content = CondaFile(
        name=_string(data, "name", path),
        channels=_string_list(data.get("channels") or [], "channels", path),
        prefix=_string(data, "prefix", path),
        variables=_string_table(data.get("variables") or {}, path),
    )
    items = data.get("dependencies") or []
    if not isinstance(items, list):
        raise _file_error("'dependencies' is not a list", path)
    for item in items:
        if isinstance(item, str):
            content.packages.append(item)
        elif isinstance(item, dict) and list(item) == ["pip"]:
            content.has_pip = True
            content.pip += _string_list(item["pip"] or [], "pip", path)
        else:
            raise _file_error(f"{item!r} among 'dependencies' is neither a package nor a 'pip:' part", path)
    return content


def serialize(data: dict[str, Any]) -> str:
    """Return ``data`` as YAML, with the keys in their order."""
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=False, allow_unicode=True, width=4096)


def _string(data: dict[str, Any], key: str, path: str) -> str | None:
    value = data.get(key)
    if value is not None and not isinstance(value, str):
        raise _file_error(f"{key!r} is not a string", path)
    return value or None


def _string_list(items: object, key: str, path: str) -> list[str]:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _file_error(f"{key!r} is not a list of strings", path)
    return list(items)


def _string_table(items: object, path: str) -> dict[str, str]:
    if not isinstance(items, dict) or not all(isinstance(value, str) for value in items.values()):
        raise _file_error("'variables' is not a table of strings", path)
    return dict(items)


def _file_error(message: str, path: str) -> DefinitionError:
    return definition_error(message, f"Expected a mapping with {', '.join(KEYS[:3])}.", path)
