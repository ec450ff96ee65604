"""The settings of ``[tool.uv]`` or ``uv.toml`` as lines of a requirements list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec

from roost.model.documents.toml_text import TomlText
from roost.model.errors import Location
from roost.model.readers.tools.judge import ToolKeyError, format_key, refused_key
from roost.model.readers.tools.rules import refused
from roost.model.readers.tools.uv_keys import PIP_KEYS_THAT_CHOOSE

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SPAN = re.compile(r"(\d{1,6}) ?(h|hours?|d|days?|w|weeks?)|P(?:T(\d{1,6})H|(\d{1,6})D|(\d{1,6})W)", re.IGNORECASE)
"""A span of hours, days or weeks, in words or by ISO 8601."""
_STRATEGIES = ("first-index", "unsafe-first-match", "unsafe-best-match")


class UvIndex(NamedTuple):
    """An index of ``[[tool.uv.index]]``."""

    name: str
    url: str
    is_default: bool
    is_explicit: bool
    location: Location


class SettingsTable(NamedTuple):
    """A table of settings, the file that it is in, and its path there."""

    toml: TomlText
    path: tuple[str, ...]

    @property
    def table(self) -> dict[str, Any]:
        return self.toml.table(*self.path)


class ChoiceLine(NamedTuple):
    """A line of a requirements list, and where its content is written."""

    text: str
    location: Location


def read_indexes(settings: SettingsTable) -> list[UvIndex]:
    """Return the indexes in order. Raises: InvalidDefinitionError if one is not valid."""
    found = []
    entries = _check(settings, settings.table.get("index", []), list, "a list of tables", "index")
    for number, entry in enumerate(entries):
        path: tuple[str | int, ...] = (*settings.path, "index", number)
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
            raise settings.toml.error("An index has no 'url'", *path, hint='Add url = "https://…/simple".')
        url, name = entry["url"], entry.get("name", "")
        match = re.fullmatch(r"([A-Za-z0-9._-]+)=(\S+://.*)", url)
        name, url = (match[1], match[2]) if match and not name else (name, url)
        if "://" not in url or url.startswith("file:"):
            raise ToolKeyError(
                f"{url!r} is a folder; as an index only a URL is followed",
                hint="Name a folder of wheels in find-links.",
                location=settings.toml.locate(*path, "url"),
            )
        location = settings.toml.locate(*path, "url")
        found.append(UvIndex(str(name), url, bool(entry.get("default")), bool(entry.get("explicit")), location))
    return found


def list_choices(project: SettingsTable, settings: SettingsTable, indexes: list[UvIndex]) -> Iterator[ChoiceLine]:
    """Yield the lines that say what the settings say. ``project`` has the keys that only ``pyproject.toml`` can have.

    Raises: InvalidDefinitionError if a value is not valid.
    """
    yield from _list_index_lines(settings, indexes)
    for key, write in _TEXTS.items():
        if key in settings.table:
            text = _check(settings, settings.table[key], str, "a string", key)
            yield ChoiceLine(write(settings, text, key), _locate(settings, key))
    for key, option in (("prerelease-package", ""), ("exclude-newer-package", "")):
        table = _check(settings, settings.table.get(key, {}), dict, "a table", key)
        for name, value in table.items():
            is_date = key.startswith("exclude") and value is not False
            choice = _normalise_date(settings, value, key, name) if is_date else str(value).lower()
            yield ChoiceLine(f"--{key} {name}={choice}{option}", _locate(settings, key, name))
    for key in ("no-build", "no-binary"):
        if _check(settings, settings.table.get(key, False), bool, "true or false", key):
            yield ChoiceLine("--no-build" if key == "no-build" else "--no-binary :all:", _locate(settings, key))
    for source, key, option in _LISTS:
        where = project if source == "project" else settings
        for number, text in enumerate(_strings(where, key)):
            yield ChoiceLine(f"{option} {text}", where.toml.locate(*where.path, key, number))
    key = "dependency-metadata"
    metadata = _check(settings, settings.table.get(key, []), list, "a list of tables", key)
    for number, table in enumerate(metadata):
        text = msgspec.json.encode(table, order="sorted").decode()
        yield ChoiceLine(f"--dependency-metadata {text}", _locate(settings, "dependency-metadata", number))


def check_pip_table(settings: SettingsTable) -> None:
    """Raise ToolKeyError if ``[tool.uv.pip]``, which only ``uv pip`` reads, chooses packages."""
    table = _check(settings, settings.table.get("pip", {}), dict, "a table", "pip")
    for key, value in table.items():
        if key in PIP_KEYS_THAT_CHOOSE and value not in (False, [], {}, ""):
            rule = refused("only `uv pip` reads it", "Move it to [tool.uv] if it is meant for the project.")
            raise refused_key(settings.toml, rule, *settings.path, "pip", key)


def _list_index_lines(settings: SettingsTable, indexes: list[UvIndex]) -> Iterator[ChoiceLine]:
    """Yield the indexes by priority. As in uv, the first index that has a package is the only one that may give it,
    unless the settings say otherwise; of a single index it need not be said."""
    searched = [index for index in indexes if not index.is_explicit]
    lines = [ChoiceLine(f"--index {index.url}", index.location) for index in searched if not index.is_default]
    for number, url in enumerate(_strings(settings, "extra-index-url")):
        lines.append(ChoiceLine(f"--index {url}", _locate(settings, "extra-index-url", number)))
    default = next((index for index in indexes if index.is_default), None)
    if default is not None:
        yield ChoiceLine(f"--index-url {default.url}", default.location)
    elif "index-url" in settings.table:
        url = _check(settings, settings.table["index-url"], str, "a string", "index-url")
        yield ChoiceLine(f"--index-url {url}", _locate(settings, "index-url"))
    if _check(settings, settings.table.get("no-index", False), bool, "true or false", "no-index"):
        yield ChoiceLine("--no-index", _locate(settings, "no-index"))
    yield from lines
    strategy = _check(settings, settings.table.get("index-strategy", _STRATEGIES[0]), str, "a string", "index-strategy")
    if strategy not in _STRATEGIES:
        message = f"'index-strategy' is {strategy!r}; expected one of {', '.join(_STRATEGIES)}"
        raise settings.toml.error(message, *settings.path, "index-strategy")
    if lines:
        yield ChoiceLine(f"--index-strategy {strategy}", _locate(settings, "index-strategy"))


def _normalise_date(settings: SettingsTable, value: object, *keys: str) -> str:
    """Return a time in UTC, or a span before the time at which a lock is made (``P7D``).

    A date includes its day, as in uv, but in UTC on every machine.
    """
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    if span := _SPAN.fullmatch(text):
        return _format_span(span)
    try:
        if _DATE.fullmatch(text):
            moment = datetime.fromisoformat(text).replace(tzinfo=timezone.utc) + timedelta(days=1)
        else:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except ValueError:
        raise ToolKeyError(
            f"{format_key(*settings.path, *keys)} is {text!r}; expected a date, a time, or a number of days",
            hint="Write a date (2025-06-30), a time (2025-06-30T12:00:00Z) or a span (7 days).",
            location=settings.toml.locate(*settings.path, *keys),
        ) from None
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_span(span: re.Match[str]) -> str:
    count, unit, hours, days, weeks = span.groups()
    unit = (unit or ("h" if hours else "d" if days else "w"))[0].lower()
    number = int(count or hours or days or weeks)
    return f"PT{number}H" if unit == "h" else f"P{number * (7 if unit == 'w' else 1)}D"


def _strings(settings: SettingsTable, key: str) -> list[str]:
    values = settings.table.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise settings.toml.error(f"{key!r} is {values!r}; expected a list of strings", *settings.path, key)
    return values


def _check(settings: SettingsTable, value: Any, kind: type, expected: str, *keys: str) -> Any:  # noqa: ANN401 - of that kind
    if not isinstance(value, kind):
        raise settings.toml.error(f"{keys[-1]!r} is {value!r}; expected {expected}", *settings.path, *keys)
    return value


def _locate(settings: SettingsTable, *keys: str | int) -> Location:
    return settings.toml.locate(*settings.path, *keys)


def _write_option(settings: SettingsTable, text: str, key: str) -> str:
    return f"--{key} {text}"


def _write_date(settings: SettingsTable, text: str, key: str) -> str:
    return f"--{key} {_normalise_date(settings, text, key)}"


_TEXTS: dict[str, Callable[[SettingsTable, str, str], str]] = {
    "prerelease": _write_option,
    "resolution": _write_option,
    "exclude-newer": _write_date,
}
_LISTS = (
    ("project", "override-dependencies", "--override"),
    ("project", "exclude-dependencies", "--exclude-dependency"),
    ("project", "constraint-dependencies", "--constraint-dependency"),
    ("project", "build-constraint-dependencies", "--build-constraint"),
    ("settings", "allow-insecure-host", "--trusted-host"),
    ("settings", "find-links", "--find-links"),
    ("settings", "no-binary-package", "--no-binary"),
    ("settings", "no-build-package", "--no-build-package"),
)
