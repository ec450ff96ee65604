"""Which files of a build context a ``.dockerignore`` leaves out.

Docker's documentation (".dockerignore files"); where that is silent, what its own matcher does (moby/patternmatcher):
the last rule that fits a path or a folder above it decides, ``*``, ``?`` and ``[…]`` are Go's ``filepath.Match``, and
case counts. A folder that is left out does not hide what a ``!`` rule brings back, wherever ``**`` finds it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

from roost.model.errors import InvalidDefinitionError, Location

Rule = tuple[bool, "re.Pattern[str]"]
DOCKERIGNORE = ".dockerignore"
_TOKEN = re.compile(r"\*\*/?|\[(?:\^|(?!\^))(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\]|\\.|.", re.S)
_ITEM = re.compile(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", re.S)
_SPECIAL = re.compile(r"[*?\[\]\\]")


class DockerignoreError(InvalidDefinitionError):
    """A line that is no pattern; Docker refuses it too."""

    code = "dockerignore-invalid"


def parse_dockerignore(text: str, path: str = DOCKERIGNORE) -> Callable[[str], bool]:
    """A predicate over paths relative to the context (``/`` between parts). ``path`` is where the text is from.

    Raises DockerignoreError.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    rules = [rule for number, line in enumerate(lines, 1) if (rule := _rule(line, path, number)) is not None]

    def ignored(name: str) -> bool:
        result = False
        for keep, pattern in rules:
            if any(pattern.fullmatch(part) for part in _with_parents(name)):
                result = not keep
        return result

    return ignored


def _with_parents(path: str) -> Iterable[str]:
    """A rule that fits a folder fits what is in it."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _rule(line: str, path: str, number: int) -> Rule | None:
    """``#`` begins a comment in the first column only."""
    if line.startswith("#") or not (line := line.strip()):
        return None
    keep = line.startswith("!")
    try:
        pattern = _cleaned(line[1:].strip() if keep else line)
        return (keep, re.compile(_expression(pattern))) if pattern != "." else None
    except ValueError as error:
        raise DockerignoreError(
            f"{line[:80]!r} is no pattern: {error}",
            hint="Put a backslash before a bracket that means itself.",
            location=Location(path=path, line=number),
        ) from None


def _cleaned(pattern: str) -> str:
    if not pattern:
        raise ValueError("nothing follows the `!`")
    return posixpath.normpath(pattern).lstrip("/")


def _expression(pattern: str) -> str:
    """Raises ValueError that says what is wrong."""
    if pattern.startswith("**") and pattern[2:3] != "/" and not _SPECIAL.search(pattern[2:]):
        return ".*" + re.escape(pattern[2:])  # Docker takes `**.log` for an ending, and not for a name of its own
    tokens = _TOKEN.findall(pattern)
    return "".join(_translated(token, last=position == len(tokens)) for position, token in enumerate(tokens, 1))


def _translated(token: str, *, last: bool) -> str:
    if token.startswith("**"):
        return ".*" if last else "(?:.*/)?"
    if token in ("*", "?"):
        return {"*": "[^/]*", "?": "[^/]"}[token]
    if token in ("[", "\\"):
        raise ValueError("a bracket that is not closed" if token == "[" else "it ends in a backslash")
    return _class(token) if token.startswith("[") else re.escape(token[-1])


def _class(token: str) -> str:
    """``[a-z]`` and ``[^a-z]``."""
    negated = token.startswith("[^")
    ranges = []
    for first, last in _ITEM.findall(token[1 + negated : -1]):
        low, high = first[-1], (last or first)[-1]
        if low > high:
            raise ValueError(f"a range from {low!r} to {high!r}")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"[{'^' if negated else ''}{''.join(ranges)}]"
