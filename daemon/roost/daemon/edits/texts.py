"""What people read of an edit: that the file stays if it failed, its change as a diff, and how to make it by hand."""

from __future__ import annotations

import os
from collections.abc import Sequence

from roost.daemon.edits.replacement import OriginalFile
from roost.model.edits.change import ItemEdit
from roost.model.errors import CodedError, Location


def explain_failure(error: CodedError, original: OriginalFile, data: bytes) -> None:
    """Say in ``error``, for which the file was not replaced, that the file is unchanged, and name no line of the text
    that it would have got."""
    where, name = error.location, os.path.basename(original.path)
    if where is not None and where.path == original.path and where.line is not None:
        line = where.line if data == original.data else find_old_line(original.data, data, where.line)
        error.location = Location(path=original.path, line=line, column=where.column if line is not None else None)
    if error.code == "edit-refused":  # whose hint ends with what to write
        error.message = f"{error.message}. {name} stays as it was"
    elif error.code not in ("file-changed", "file-not-writable"):
        error.hint = f"{error.hint} {name} stays as it was.".strip()


def describe_by_hand(items: Sequence[ItemEdit]) -> str:
    """Return how a person makes the same change."""
    parts = []
    for item in items:
        line = f" in line {item.line}" if item.line is not None else ""
        if item.action == "added":
            parts.append(f"add `{item.after}`{line}")
        elif item.action == "removed":
            parts.append(f"remove `{item.before or item.name}`{line}")
        elif item.action == "changed":
            parts.append(f"write `{item.after}` in place of `{item.before}`{line}")
    return f"By hand: {', '.join(parts)}." if parts else ""


def find_old_line(before: bytes, after: bytes, line: int) -> int | None:
    """Return which line of ``before`` the line of ``after`` was, counted from 1; ``None`` if it is a new one."""
    old, new = before.splitlines(), after.splitlines()
    if not 0 < line <= len(new):
        return None
    text = new[line - 1]
    places = [number for number, each in enumerate(old, 1) if each == text]
    return min(places, key=lambda number: abs(number - line), default=None)


def format_diff(original: OriginalFile, data: bytes) -> str:
    """Return the change of a file as a unified diff."""
    from difflib import unified_diff

    name = os.path.basename(original.path)
    before, after = (each.decode("utf-8", "replace").splitlines() for each in (original.data, data))
    return "\n".join(unified_diff(before, after, name, name, lineterm=""))
