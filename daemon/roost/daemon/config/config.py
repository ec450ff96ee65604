"""The settings in effect, and the line that each comes from.

``config.toml`` is found by ``ROOST_CONFIG``, else in the user's config folder. A file that ``ROOST_CONFIG``
names must exist; the default file may be absent. Nothing else configures the daemon: no other variable, and no other
tool's file.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from roost.daemon.config.paths import find_config_folder
from roost.daemon.config.schema import (
    AuditSettings,
    BaseSettings,
    BuildsSettings,
    CacheSettings,
    CondaSettings,
    ConfigFile,
    DaemonSettings,
    DockerSettings,
    HistorySettings,
    NetworkSettings,
    PipSettings,
    RegistriesSettings,
    RunsSettings,
    Section,
    WatchSettings,
)
from roost.model.errors import MALFORMED_TOML, CodedError, Location
from roost.model.syntax.variables import find_misplaced_variable, variable_misplaced_error
from roost.store.disk.regular_files import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath = tuple[str, ...]
"""Names of the tables and the key, outermost first: ``("conda", "channels")``."""


class ConfigError(CodedError):
    """``config.toml`` can't be read or has an invalid setting; ``location`` names the line."""

    code = "config-invalid"
    exit_status = 5


@dataclass(frozen=True)
class Config:
    """The settings in effect. ``lines``: the line of every key that the file sets."""

    settings: ConfigFile = field(default_factory=ConfigFile)
    path: str | None = None
    """Path of the file that was read; ``None`` if there is none."""
    expected_path: str = ""
    """Path of the file, whether it exists or not."""
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
    def runs(self) -> RunsSettings:
        return self.settings.runs

    @property
    def history(self) -> HistorySettings:
        return self.settings.history

    @property
    def network(self) -> NetworkSettings:
        return self.settings.network

    @property
    def cache(self) -> CacheSettings:
        return self.settings.cache

    @property
    def daemon(self) -> DaemonSettings:
        return self.settings.daemon

    @property
    def audit(self) -> AuditSettings:
        return self.settings.audit

    @property
    def watch(self) -> WatchSettings:
        return self.settings.watch


def find_config_path(environ: Mapping[str, str] | None = None) -> str:
    """Return the absolute path of the config file, whether it exists or not.

    Raises: HomeUnknownError if there is no home folder that it could be below.
    """
    environ = os.environ if environ is None else environ
    if path := environ.get("ROOST_CONFIG"):
        return os.path.abspath(path)
    return os.path.join(find_config_folder(environ), "config.toml")


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read the config file. Raises: ConfigError, with the file and the line, if it is invalid."""
    path = find_config_path(environ)
    try:
        data = read_regular(path)
    except FileNotFoundError:
        if (os.environ if environ is None else environ).get("ROOST_CONFIG"):
            raise _config_error(path, None, "ROOST_CONFIG names a file that does not exist") from None
        return Config(expected_path=path)
    except OSError as error:
        raise _config_error(path, None, f"The config file can't be read: {error.strerror}") from error
    return parse_config(data, path)


def parse_config(data: bytes, path: str) -> Config:
    """Return the settings in ``data``, the content of ``path``. Raises: ConfigError if it is invalid."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        content = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _config_error(path, line, "The config file is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line (\d+)", str(error))
        line_of_error = int(match[1]) if match else None
        raise _config_error(path, line_of_error, f"The config file is not TOML: {error}") from error
    except MALFORMED_TOML as error:
        raise _config_error(path, None, "A value in the config file is nested too deeply or too long") from error
    lines = dict(find_key_lines(text))
    settings = _convert_content(content, path, lines)
    _check_variables(settings, path, lines)
    return Config(settings=settings, path=path, expected_path=path, lines=lines)


def _convert_content(content: dict[str, object], path: str, lines: Mapping[KeyPath, int]) -> ConfigFile:
    _check_unknown_keys(ConfigFile, content, (), path, lines)
    try:
        return msgspec.convert(content, ConfigFile)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = tuple(re.split(r"[.\[]", where.strip("`.")))
        prefix = f"`{'.'.join(key)}`: " if any(key) else ""
        raise _config_error(path, _nearest_line(lines, key), f"{prefix}{what}") from error


def _check_variables(settings: ConfigFile, path: str, lines: Mapping[KeyPath, int]) -> None:
    """Raise ConfigError for a variable that decides which packages the default channels or the index mean: it would
    have the value of the first caller for everybody, as in a definition."""
    defaults = {("conda", "channels"): settings.conda.channels, ("pip", "index_url"): (settings.pip.index_url or "",)}
    for key, texts in defaults.items():
        for text in texts:
            if reference := find_misplaced_variable(text, conda=key[0] == "conda"):
                error = variable_misplaced_error(reference.text, None)
                message = f"`{'.'.join(key)}`: {error.message}"
                raise _config_error(path, _nearest_line(lines, key), message, error.hint)


def _check_unknown_keys(
    section: type[Section], content: Mapping[str, object], table: KeyPath, path: str, lines: Mapping[KeyPath, int]
) -> None:
    """Raise ConfigError for an unknown key; msgspec would name only the table that contains it."""
    types = {item.name: item.type for item in msgspec.structs.fields(section)}
    for key, value in content.items():
        if key not in types:
            raise _unknown_key_error((*table, key), types, path, lines)
        inner = types[key]
        if isinstance(inner, type) and issubclass(inner, Section) and isinstance(value, dict):
            _check_unknown_keys(inner, value, (*table, key), path, lines)


def _unknown_key_error(
    key: KeyPath, known: Mapping[str, object], path: str, lines: Mapping[KeyPath, int]
) -> ConfigError:
    from difflib import get_close_matches  # only an error needs it

    near = get_close_matches(key[-1], known, n=1)
    hint = f"Did you mean `{near[0]}`?" if near else f"Settings here: {', '.join(sorted(known))}."
    return _config_error(path, _nearest_line(lines, key), f"`{'.'.join(key)}` is not a setting", hint)


def _nearest_line(lines: Mapping[KeyPath, int], key: KeyPath) -> int | None:
    """Return the line of ``key``, or of the closest key or table that contains it or that it contains."""
    for length in range(len(key), 0, -1):
        inside = [line for path, line in lines.items() if path[:length] == key[:length]]
        if inside:
            return min(inside)
    return None


def _config_error(path: str, line: int | None, message: str, hint: str = "") -> ConfigError:
    location = Location(path=path, line=line)
    return ConfigError(
        f"{message[:1].upper()}{message[1:]}.",
        hint=hint or "Fix the file; `roost help config` lists all settings.",
        location=location,
    )


_HEADER = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?$")
_ASSIGNMENT = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_MULTILINE = re.compile(r'"""|\'\'\'')


def find_key_lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Yield the path of each key of valid TOML with the line, from 1, that sets it. Keys in inline tables are left
    out."""
    table: KeyPath = ()
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        quoted = inside
        inside ^= len(_MULTILINE.findall(line)) % 2 == 1
        if quoted:
            continue
        if header := _HEADER.match(line):
            table = _split_key(header[1])
        elif assignment := _ASSIGNMENT.match(line):
            yield (*table, *_split_key(assignment[1])), number


def _split_key(key: str) -> KeyPath:
    """Split ``a."b.c"`` as TOML does."""
    try:
        node: object = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:  # a line inside an array that looked like a header
        return ()
    parts: list[str] = []
    while isinstance(node, dict):
        [(name, node)] = node.items()
        parts.append(name)
    return tuple(parts)
