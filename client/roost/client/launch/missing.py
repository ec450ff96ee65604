"""Why a command is not there, and what to do: a command of a project that is not installed, or a slip of the keyboard.

Imported after a command was not found, when nobody waits for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LIKENESS = 0.75
"""Of two names, from 0 to 1: ``srve`` and ``serve`` have 0.89, ``flask`` and ``task`` 0.67."""
_LONGEST = 1 << 20
"""Bytes of a pyproject.toml."""


def explain_missing(name: str, cwd: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what is to be said after ``name: `` of a command that is not on the PATH of ``environ``, and a hint."""
    path, document = _find_project(os.path.abspath(cwd))
    scripts = list(_list_scripts(document))
    if name in scripts:
        reason, hint = _explain_project(document, path)
        return f"a command of the project in {os.path.dirname(path)}, which is not installed here{reason}", hint
    hint = "Name it in the environment file, or give its path."
    alike = get_close_matches(name, [*scripts, *_list_programs(environ)], n=1, cutoff=_LIKENESS)
    return "no such command in the environment or on PATH", f"Did you mean {alike[0]}? {hint}" if alike else hint


def _explain_project(document: Mapping[str, Any], path: str) -> tuple[str, str]:
    """Return why a project is not installed (docs/projects.md has the rules), and what to do."""
    own, uv = _table(document, "tool", "roost"), _table(document, "tool", "uv")
    if own.get("project") is False:
        return ": `project = false` in [tool.roost]", f"Take `project = false` out of {path}."
    if own.get("project") is not True:
        if uv.get("package") is False:
            return ": `package = false` in [tool.uv]", f"Take `package = false` out of {path}."
        if "build-system" not in document and uv.get("package") is not True:
            lines = '`requires = ["hatchling"]` and `build-backend = "hatchling.build"`'
            return ": it has no [build-system]", f"Add a table [build-system] to {path}, for example with {lines}."
    return "", f"`roost run` without --no-project installs it, with -f {path} if another file is the definition."


def _find_project(folder: str) -> tuple[str, Mapping[str, Any]]:
    """Return the path and the content of the next ``pyproject.toml`` above; empty if it can't be read."""
    while True:
        path = os.path.join(folder, "pyproject.toml")
        if os.path.isfile(path):
            break
        if folder == os.path.dirname(folder):
            return "", {}
        folder = os.path.dirname(folder)
    try:
        with open(path, "rb") as file:
            return path, tomllib.loads(file.read(_LONGEST).decode())
    except (OSError, ValueError, RecursionError):
        return path, {}


def _list_scripts(document: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("scripts", "gui-scripts"):
        yield from _table(document, "project", kind)


def _list_programs(environ: Mapping[str, str]) -> list[str]:
    """Return the names in the first folder of the PATH, which is the environment's."""
    try:
        return os.listdir(environ.get("PATH", "").partition(":")[0] or ".")
    except OSError:
        return []


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    found: Any = document
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
