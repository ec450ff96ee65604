"""Problems for the keys of other tools' tables that do not act in roost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from roost.model.documents.toml_text import TomlText
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.source import ReadContext
from roost.model.readers.tools.other_keys import HATCH_ENVIRONMENT_KEYS, PDM_KEYS, PIXI_KEYS, POETRY_KEYS
from roost.model.readers.tools.rules import KeyRule, KeyRules
from roost.model.syntax.pip_lines import normalise_name

_PLACES = ("source", "git", "path", "file", "url")
"""Keys of a dependency in Poetry that say where it comes from."""


class ToolKeyError(InvalidDefinitionError):
    """A key of another tool's table says which packages are meant, and roost does not follow it."""

    code = "tool-key-refused"


def check_tools(reading: ReadContext, toml: TomlText) -> None:
    """Report the keys of pixi, Poetry, PDM and Hatch that are refused or have no effect."""
    with reading.recover():
        check_keys(reading, toml, _without_own(toml, toml.table("tool", "pixi")), PIXI_KEYS, "tool", "pixi")
    with reading.recover():
        check_keys(reading, toml, _poetry_keys(toml), POETRY_KEYS, "tool", "poetry")
    with reading.recover():
        check_keys(reading, toml, toml.table("tool", "pdm"), PDM_KEYS, "tool", "pdm")
    with reading.recover():
        for name, environment in toml.table("tool", "hatch", "envs").items():
            if isinstance(environment, dict):
                check_keys(reading, toml, environment, HATCH_ENVIRONMENT_KEYS, "tool", "hatch", "envs", name)


def check_keys(
    reading: ReadContext, toml: TomlText, table: Mapping[str, Any], rules: KeyRules, *above: str | int
) -> None:
    """Report the keys of ``table`` at the path ``above`` that ``rules`` refuse or report, and those that they lack.

    Empty values say nothing.
    """
    for key, value in table.items():
        rule = rules.get(key)
        if value in ({}, [], "", False) and rule is not None:
            continue
        with reading.recover():
            if rule is None:
                raise unknown_key(toml, key, *above)
            if rule.verdict == "refused":
                raise refused_key(toml, rule, *above, key)
            if rule.verdict == "reported":
                message = f"{format_key(*above, key)} has no effect: {rule.reason}. {rule.hint}"
                reading.warn("tool-key-unused", message, toml.locate(*above, key))


def refused_key(toml: TomlText, rule: KeyRule, *path: str | int) -> ToolKeyError:
    """Return the error for a key that is refused."""
    return ToolKeyError(
        f"{format_key(*path)} is not followed: {rule.reason}", hint=rule.hint, location=toml.locate(*path)
    )


def unknown_key(toml: TomlText, key: str, *above: str | int) -> ToolKeyError:
    """Return the error for a key that no rule is about: it may say which packages are meant."""
    return ToolKeyError(
        f"{format_key(*above, key)} is unknown to this version of roost",
        hint="Remove it if it is misspelt; if it is new, a later version may know it.",
        location=toml.locate(*above, key),
    )


def format_key(*path: str | int) -> str:
    """Return a path as it is written in TOML, without indexes of arrays: ``tool.uv.sources``."""
    return ".".join(part for part in path if isinstance(part, str))


def _without_own(toml: TomlText, table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return pixi's table without what only names the project itself, which pixi installs and roost does not."""
    own = str(toml.table("project").get("name", ""))
    listed = table.get("pypi-dependencies")
    if not isinstance(listed, dict):
        return table
    others = {name: value for name, value in listed.items() if normalise_name(name) != normalise_name(own)}
    return {**table, "pypi-dependencies": others}


def _poetry_keys(toml: TomlText) -> Mapping[str, Any]:
    """Return Poetry's table without dependencies that [project] has the same of.

    Poetry takes its dependencies from [project] if they are there, and from its own table where to find them (since
    2.0), or the Python that its lock is for.
    """
    table, project = toml.table("tool", "poetry"), toml.table("project")
    found = table.get("dependencies")
    listed = found if isinstance(found, dict) else {}
    stated = "dependencies" in project
    left = {name: value for name, value in listed.items() if name != "python" and (not stated or _has_place(value))}
    sources = table.get("source")
    used = not isinstance(sources, list) or any(
        not isinstance(source, dict) or source.get("priority") != "explicit" for source in sources
    )
    changes: dict[str, Any] = {"source": sources if used and sources else []}
    return {**table, **changes, **({"dependencies": left} if listed else {})}


def _has_place(value: object) -> bool:
    entries = value if isinstance(value, list) else [value]
    return any(isinstance(entry, dict) and any(key in entry for key in _PLACES) for entry in entries)
