"""Whether a ``uv.lock`` still fits the ``pyproject.toml`` beside it. Pure.

The lock records what the project required when it was made. Names and versions are compared; markers are not, since uv
writes them in another form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from roost.model.syntax.pip_lines import normalise_name

_PLACES = ("git", "url", "path", "directory", "editable", "virtual")
"""Keys of a recorded requirement that has a place instead of versions."""
_Versions = dict[str, list[frozenset[str] | None]]


def find_changed(project: Mapping[str, Any], recorded: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of packages that ``[project]`` requires otherwise than a lock records in ``requires-dist``.

    Nothing is known of dependencies that a build backend computes.
    """
    if "dependencies" in project.get("dynamic", []):
        return []
    stated, locked = _list_stated(project.get("dependencies", [])), _list_recorded(recorded)
    if stated is None:
        return []
    return sorted(name for name in {*stated, *locked} if not _is_equal(stated.get(name, []), locked.get(name, [])))


def _is_equal(stated: list[frozenset[str] | None], locked: list[frozenset[str] | None]) -> bool:
    if not stated or not locked or None in locked:
        return bool(stated) == bool(locked)
    return {*stated} == {*locked}


def _list_stated(lines: object) -> _Versions | None:
    """Return, by name, the versions of requirements; ``None`` if they are not valid, which their own reader reports."""
    found: _Versions = {}
    for line in lines if isinstance(lines, list) else []:
        try:
            requirement = Requirement(str(line))
        except InvalidRequirement:
            return None
        found.setdefault(normalise_name(requirement.name), []).append(_split_versions(str(requirement.specifier)))
    return found


def _list_recorded(entries: Iterable[Mapping[str, Any]]) -> _Versions:
    found: _Versions = {}
    for entry in entries:
        if "extra ==" not in str(entry.get("marker", "")):
            has_place = any(key in entry for key in _PLACES)
            versions = None if has_place else _split_versions(str(entry.get("specifier", "")))
            found.setdefault(normalise_name(str(entry.get("name", ""))), []).append(versions)
    return found


def _split_versions(text: str) -> frozenset[str] | None:
    try:
        return frozenset(str(each) for each in SpecifierSet(text))
    except InvalidSpecifier:
        return None
