"""Marks of an unresolved merge conflict, as git leaves them in a file (git-merge(1), "How conflicts are presented")."""

from __future__ import annotations

import re

from roost.model.errors import InvalidDefinitionError, Location

_MARK = re.compile(r"^(?:(?:<{7}|>{7}|\|{7})(?: .*)?|={7})$", re.MULTILINE)
_BASE = "|"
"""Begins the mark of the common ancestor, which not every conflict has."""
_WHOLE = "<=>"
"""What the other marks begin with."""


class MergeConflictError(InvalidDefinitionError):
    """A file has the marks of a merge conflict."""

    code = "merge-conflict"


def find_conflict(text: str, *, is_whole: bool = False) -> int | None:
    """Return the line of the first mark, counted from 1; ``None`` if there is none.

    ``is_whole``: only if marks of all sides follow each other, for a syntax in which one alone may be content.
    """
    marks = [mark for mark in _MARK.finditer(text) if not (is_whole and mark[0][0] == _BASE)]
    first = "".join(mark[0][0] for mark in marks).find(_WHOLE) if is_whole else 0
    if first < 0 or not marks:
        return None
    return text.count("\n", 0, marks[first].start()) + 1


def check_conflict(text: str, path: str, *, is_whole: bool = False) -> None:
    """Raise MergeConflictError if ``text`` has marks of a conflict (``find_conflict``). For a syntax in which such a
    line may be content, to be called once it could not be parsed."""
    line = find_conflict(text, is_whole=is_whole)
    if line is not None:
        raise MergeConflictError(
            "This file has an unresolved merge conflict",
            hint="Keep the lines that are to stay, and remove the marks (<<<<<<<, =======, >>>>>>>).",
            location=Location(path=path, line=line),
        )
