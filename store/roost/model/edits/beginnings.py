"""Texts of new environment files, and the kind of file that a folder suggests."""

from __future__ import annotations

import re
from typing import Literal

from roost.model.edits.scripts import insert_block

BeginningKind = Literal["conda", "pip", "pyproject", "script"]
_FILE_NAMES: dict[BeginningKind, str] = {
    "conda": "environment.yml",
    "pip": "requirements.txt",
    "pyproject": "pyproject.toml",
    "script": "",
}
_SUGGESTIONS: tuple[tuple[BeginningKind, re.Pattern[str]], ...] = (
    ("pyproject", re.compile(r"pyproject\.toml|setup\.(?:py|cfg)|(?:uv|poetry|pdm)\.lock|hatch\.toml")),
    ("conda", re.compile(r"(?:environment|conda)[\w.-]*\.ya?ml|meta\.yaml|\.?condarc|pixi\.(?:toml|lock)")),
    ("pip", re.compile(r"(?:requirements|constraints)[\w.-]*\.(?:txt|in)|Pipfile|\.?venv|\.python-version|tox\.ini")),
)
"""Names of files that suggest a kind, the strongest first."""
_PLAIN_NAME = re.compile(r"(?!(?:true|false|null|yes|no|on|off|[yn])$)[A-Za-z_][A-Za-z0-9._-]*", re.IGNORECASE)


def suggest_kind(names: frozenset[str]) -> BeginningKind:
    """Return the kind of file that the names in a folder suggest: conda's if none does."""
    for kind, pattern in _SUGGESTIONS:
        if any(pattern.fullmatch(name) for name in names):
            return kind
    return "conda"


def begin_file(kind: BeginningKind, *, name: str, python: str | None = None) -> tuple[str, str]:
    """Return the usual file name of a kind (empty for a script), and the text of a small file without packages.

    ``name`` is that of the folder; what an environment or project can't be called is replaced. ``python`` is X.Y. A
    script's text is its metadata (PEP 723).
    """
    requires = f'requires-python = ">={python}"\n' if python else ""
    if kind == "pip":
        text = "# One package a line, as in: numpy>=2\n"
    elif kind == "conda":
        called = re.sub(r"[^\w.-]+", "-", name).strip("-") or "environment"
        called = called if _PLAIN_NAME.fullmatch(called) else f'"{called}"'
        spec = f"python={python}" if python else "python"
        text = f"name: {called}\nchannels:\n  - conda-forge\ndependencies:\n  - {spec}\n"
    elif kind == "pyproject":
        called = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "project"
        text = f'[project]\nname = "{called}"\nversion = "0.1.0"\n{requires}dependencies = []\n'
    else:
        text = insert_block("", f"{requires}dependencies = []").text
    return _FILE_NAMES[kind], text
