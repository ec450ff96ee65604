"""What completes the value of an argument, by its metavar.

A completion is a text of words: ``@NAME`` are the values in the daemon's file of that name, ``/`` are files, ``//`` are
folders, every other word is a value itself. An argument that its metavar does not tell may have the attribute
``complete`` with such a text.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

_RUNS = "@runs latest"
_BY_METAVAR = {
    "NAME[:VERSION]": "@versions",
    "NAME[:VERSION/@LABEL]": "@versions",
    "ENVIRONMENT": "@versions",
    "ENV": "@versions",
    "OPERAND": "@versions /",
    "WHAT": "@versions /",
    "TARGET": "@targets",
    "LABEL": "@labels",
    "EXPERIMENT": "@experiments",
    "TAG": "@tags",
    "STATE": "queued preparing running succeeded failed cancelled lost",
    "P": "linux-64 linux-aarch64 osx-64 osx-arm64 win-64",
    "RUN": _RUNS,
    "BUILD": "@builds",
    "PATH": "/",
    "FILE": "/",
    "SCRIPT": "/",
    "DIR": "//",
    "FOLDER": "//",
}
_IDS = {"runs": _RUNS, "builds": "@builds"}
"""What an ``ID`` is, or an ``A`` and a ``B`` that are compared, by the first word of the command."""
_BY_NAME = {
    "environment": "@environments",
    "env": "@environments",
    "reference": "@environments",
    "name": "@environments",
    "experiment": "@experiments",
}
"""What a ``NAME`` is, by the argument's own name."""


def find_completion(action: argparse.Action, path: Sequence[str]) -> str:
    """Return what completes a value of ``action``, an argument of the command ``path``; empty if nothing is known."""
    explicit = getattr(action, "complete", None)
    if isinstance(explicit, str):
        return explicit
    if action.choices is not None:
        return " ".join(str(choice) for choice in action.choices)
    if not isinstance(action.metavar, str):
        return ""
    # The alternatives of a metavar are told by "|", but for those in brackets.
    parts = action.metavar.replace("[:VERSION|@LABEL]", "[:VERSION/@LABEL]").split("|")
    words = [word for part in parts for word in _complete_part(part, action.dest, path).split()]
    return " ".join(dict.fromkeys(words))


def _complete_part(part: str, dest: str, path: Sequence[str]) -> str:
    if part in ("ID", "A", "B"):
        return _IDS.get(path[0], "") if path else ""
    return _BY_NAME.get(dest, "") if part == "NAME" else _BY_METAVAR.get(part, "")
