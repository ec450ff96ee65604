"""Settings as data: name, type, default, description, value and origin of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from roost.daemon.config.config import Config, KeyPath
from roost.daemon.config.schema import ConfigFile, Section


@dataclass(frozen=True)
class Setting:
    """A setting as documentation shows it. ``name`` is dotted, as in ``conda.channels``."""

    name: str
    kind: str
    default: object
    description: str


def list_settings(section: type[Section] = ConfigFile, prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of ``section`` and the sections in it. ``prefix``: text before their names."""
    info = msgspec.inspect.type_info(section)
    assert isinstance(info, msgspec.inspect.StructType)
    for item in info.fields:
        name = f"{prefix}{item.name}"
        if isinstance(item.type, msgspec.inspect.StructType) and issubclass(item.type.cls, Section):
            yield from list_settings(item.type.cls, f"{name}.")
        else:
            metadata = item.type.extra_json_schema if isinstance(item.type, msgspec.inspect.Metadata) else None
            description = str((metadata or {}).get("description", ""))
            yield Setting(name, _type_name(item.type), _field_default(item), description)


def _field_default(item: msgspec.inspect.Field) -> object:
    """Return the default of a field; every setting has one."""
    return item.default if item.default_factory is msgspec.NODEFAULT else item.default_factory()


def _type_name(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _type_name(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return " or ".join(_type_name(each) for each in kind.types)
    if isinstance(kind, msgspec.inspect.LiteralType):
        return " or ".join(f'`"{value}"`' for value in kind.values)
    if isinstance(kind, msgspec.inspect.DictType) and isinstance(kind.value_type, msgspec.inspect.StructType):
        return "table of tables"
    return _TYPE_NAMES.get(type(kind).__name__, type(kind).__name__)


_TYPE_NAMES = {
    "StrType": "string",
    "IntType": "integer",
    "FloatType": "number",
    "BoolType": "boolean",
    "NoneType": "absent",
    "VarTupleType": "list of strings",
    "DictType": "table of lists",
}


def effective_settings(config: Config) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and origin (``path:line`` or ``default``) of every setting, as ``roost doctor`` shows them."""
    for setting in list_settings():
        path = tuple(setting.name.split("."))
        value: object = config.settings
        for part in path:
            value = getattr(value, part)
        yield setting.name, value, _find_origin(config, path)


def _find_origin(config: Config, path: KeyPath) -> str:
    """Return where a setting is set; a table counts as set at its first key."""
    lines = [line for key, line in config.lines.items() if key[: len(path)] == path]
    return f"{config.path}:{min(lines)}" if lines else "default"
