"""Texts of new environment files."""

from __future__ import annotations

from typing import Literal

BeginningKind = Literal["conda", "pip", "pyproject", "script"]


def begin_file(kind: BeginningKind, *, name: str = "", python: str | None = None) -> tuple[str, str]:
    """Return the usual file name of a kind (empty for a script), and the text of a small file without packages.

    ``name`` is the environment's or project's, as it is to be written; ``python`` is X.Y. A script's text is its
    metadata block.
    """
    raise NotImplementedError


def suggest_kind(names: frozenset[str]) -> BeginningKind:
    """Return the kind of file that the names in a folder suggest."""
    raise NotImplementedError
