"""What is in force, and where each setting came from.

``config.toml`` is found by ``ROOST_CONFIG``, else in platformdirs' user config folder; a file that is named and
missing is an error, one that nobody named may be absent. Nothing else configures the daemon: no other variable and no
other tool's file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import platformdirs

from roost.daemon.config.schema import (
    BaseSettings,
    BuildsSettings,
    CacheSettings,
    CondaSettings,
    ConfigFile,
    DaemonSettings,
    DockerSettings,
    NetworkSettings,
    PipSettings,
    RegistriesSettings,
    Section,
)
from roost.model.errors import CodedError, Location

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath = tuple[str, ...]


class ConfigError(CodedError):
    """``config.toml`` can't be read or says something that is no setting; ``location`` names the line."""

    code = "config-invalid"
    exit_status = 5


@dataclass(frozen=True)
class Config:
    """The settings in force. ``lines`` has the line of every key that the file sets."""

    settings: ConfigFile = field(default_factory=ConfigFile)
    path: str | None = None
    """The file that was read; ``None`` where there is none."""
    expected_path: str = ""
    """Where the file is, or would be."""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    @property
    def base(self) -> BaseSettings:
        return self.settings.base

    @property
    def conda(self) -> CondaSettings:
        return self.settings.conda

    @property
    def pip(self) -> PipSettings:
        return self.settings.pip

    @property
    def registries(self) -> RegistriesSettings:
        return self.settings.registries

    @property
    def docker(self) -> DockerSettings:
        return self.settings.docker

    @property
    def builds(self) -> BuildsSettings:
        return self.settings.builds

    @property
    def network(self) -> NetworkSettings:
        return self.settings.network

    @property
    def cache(self) -> CacheSettings:
        return self.settings.cache

    @property
    def daemon(self) -> DaemonSettings:
        return self.settings.daemon


@dataclass(frozen=True)
class Setting:
    """One setting as documentation shows it. ``name`` is dotted, as in ``conda.channels``."""

    name: str
    kind: str
    default: object
    description: str


def find_config_path(environ: Mapping[str, str] | None = None) -> str:
    """Where the config file is, or would be; absolute."""
    named = (os.environ if environ is None else environ).get("ROOST_CONFIG")
    return os.path.abspath(named) if named else os.path.join(platformdirs.user_config_dir("roost"), "config.toml")


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read the config file. Raises ``ConfigError`` with the file and line of what is wrong."""
    path = find_config_path(environ)
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        if (os.environ if environ is None else environ).get("ROOST_CONFIG"):
            raise _error(path, None, "ROOST_CONFIG names a file that does not exist") from None
        return Config(expected_path=path)
    except OSError as error:
        raise _error(path, None, f"The config file can't be read: {error.strerror}") from error
    return parse_config(data, path)


def parse_config(data: bytes, path: str) -> Config:
    """The settings that ``data`` (the content of ``path``) makes. Raises ``ConfigError``."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        content = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise _error(path, data[: error.start].count(b"\n") + 1, "The config file is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _error(path, _line_of_syntax_error(str(error)), f"The config file is not TOML: {error}") from error
    lines = dict(find_key_lines(text))
    return Config(settings=_convert(content, path, lines), path=path, expected_path=path, lines=lines)


def _convert(content: dict[str, object], path: str, lines: Mapping[KeyPath, int]) -> ConfigFile:
    _refuse_unknown(ConfigFile, content, (), path, lines)
    try:
        return msgspec.convert(content, ConfigFile)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = tuple(re.split(r"[.\[]", where.strip("`.")))
        named = f"`{'.'.join(key)}`: " if any(key) else ""
        raise _error(path, _nearest_line(lines, key), f"{named}{what}") from error


def _refuse_unknown(
    kind: type[Section], content: Mapping[str, object], at: KeyPath, path: str, lines: Mapping[KeyPath, int]
) -> None:
    """msgspec refuses unknown keys as well, but names only the table that they are in."""
    known = {item.name: item.type for item in msgspec.structs.fields(kind)}
    for key, value in content.items():
        if key not in known:
            raise _unknown((*at, key), known, path, lines)
        section = known[key]
        if isinstance(section, type) and issubclass(section, Section) and isinstance(value, dict):
            _refuse_unknown(section, value, (*at, key), path, lines)


def _unknown(key: KeyPath, known: Mapping[str, object], path: str, lines: Mapping[KeyPath, int]) -> ConfigError:
    from difflib import get_close_matches  # only an error needs it

    near = get_close_matches(key[-1], known, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(sorted(known))}."
    return _error(path, _nearest_line(lines, key), f"`{'.'.join(key)}` is no setting", hint)


def _nearest_line(lines: Mapping[KeyPath, int], key: KeyPath) -> int | None:
    """The line of ``key``, or of the closest thing that contains it or that it contains."""
    for length in range(len(key), 0, -1):
        inside = [line for path, line in lines.items() if path[:length] == key[:length]]
        if inside:
            return min(inside)
    return None


def _line_of_syntax_error(text: str) -> int | None:
    found = re.search(r"at line (\d+)", text)
    return int(found[1]) if found else None


def _error(path: str, line: int | None, message: str, hint: str = "") -> ConfigError:
    where = Location(path=path, line=line)
    return ConfigError(
        f"{message[:1].upper()}{message[1:]}.", hint=hint or "Mend the file; CONFIG.md lists all.", location=where
    )


_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_MULTILINE = re.compile(r'"""|\'\'\'')


def find_key_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """The dotted path of each key of valid TOML and the line, from 1, that sets it. Keys of inline tables have
    none of their own."""
    table: KeyPath = ()
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        quoted = inside
        inside ^= len(_MULTILINE.findall(line)) % 2 == 1
        if quoted:
            continue
        if header := _HEADER.match(line):
            table = _key_path(header[1])
        elif assignment := _ASSIGNMENT.match(line):
            yield (*table, *_key_path(assignment[1])), number


def _key_path(key: str) -> KeyPath:
    """``a."b.c"`` as TOML itself takes it apart."""
    try:
        node: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:  # a line inside an array that looked like a header
        return ()
    parts: list[str] = []
    while isinstance(node, dict):
        [(name, node)] = node.items()
        parts.append(name)
    return tuple(parts)


def list_settings(kind: type[Section] = ConfigFile, at: str = "") -> Iterator[Setting]:
    """Every setting there is, for documentation and for the test that all have a description."""
    hints = msgspec.inspect.type_info(kind)
    assert isinstance(hints, msgspec.inspect.StructType)
    for item in hints.fields:
        name = f"{at}{item.name}"
        if isinstance(item.type, msgspec.inspect.StructType) and issubclass(item.type.cls, Section):
            yield from list_settings(item.type.cls, f"{name}.")
        else:
            yield _setting(name, item)


def _setting(name: str, item: msgspec.inspect.Field) -> Setting:
    metadata = item.type.extra_json_schema if isinstance(item.type, msgspec.inspect.Metadata) else None
    description = str((metadata or {}).get("description", ""))
    return Setting(name=name, kind=_kind(item.type), default=field_default(item), description=description)


def field_default(item: msgspec.inspect.Field) -> object:
    """The default of a field; every setting has one."""
    return item.default if item.default_factory is msgspec.NODEFAULT else item.default_factory()


def _kind(kind: msgspec.inspect.Type) -> str:
    if isinstance(kind, msgspec.inspect.Metadata):
        return _kind(kind.type)
    if isinstance(kind, msgspec.inspect.UnionType):
        return " or ".join(_kind(each) for each in kind.types)
    if isinstance(kind, msgspec.inspect.LiteralType):
        return " or ".join(f'`"{value}"`' for value in kind.values)
    if isinstance(kind, msgspec.inspect.DictType) and isinstance(kind.value_type, msgspec.inspect.StructType):
        return "table of tables"
    return _KINDS.get(type(kind).__name__, type(kind).__name__)


_KINDS = {
    "StrType": "string",
    "IntType": "integer",
    "FloatType": "number",
    "BoolType": "boolean",
    "NoneType": "absent",
    "VarTupleType": "list of strings",
    "DictType": "table of lists",
}


def effective_settings(config: Config) -> Iterator[tuple[str, object, str]]:
    """Name, value and origin of every setting, as ``roost doctor`` shows them."""
    for setting in list_settings():
        path = tuple(setting.name.split("."))
        value: object = config.settings
        for part in path:
            value = getattr(value, part)
        yield setting.name, value, _origin(config, path)


def _origin(config: Config, path: KeyPath) -> str:
    """A table counts as set where its first key is."""
    lines = [line for key, line in config.lines.items() if key[: len(path)] == path]
    return f"{config.path}:{min(lines)}" if lines else "default"
