"""Which files of a build context a ``.dockerignore`` excludes.

The source is Docker's documentation (".dockerignore files") and, where that is silent, the behaviour of Docker's own
matcher (moby/patternmatcher): the last rule that matches a path or one of its parent folders decides, ``*``, ``?`` and
``[…]`` are those of Go's ``filepath.Match``, and case is significant. An excluded folder does not hide what a ``!``
rule includes again, wherever ``**`` finds it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from roost.model.errors import InvalidDefinitionError, Location

DOCKERIGNORE = ".dockerignore"
_PATTERN_TOKEN = re.compile(r"\*\*/?|\[(?:\^|(?!\^))(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\]|\\.|.", re.S)
_RANGE = re.compile(r"(\\.|[^\\])(?:-(\\.|[^\\]))?", re.S)
_SPECIAL = re.compile(r"[*?\[\]\\]")


class DockerignoreError(InvalidDefinitionError):
    """A line is not a valid pattern; Docker rejects it too."""

    code = "dockerignore-invalid"


def parse_dockerignore(text: str, path: str = DOCKERIGNORE) -> Callable[[str], bool]:
    """Return a predicate that is true for excluded paths, relative to the context with ``/`` between parts.

    ``path`` is the file that ``text`` is from, for errors.

    Raises: DockerignoreError if a line is not a valid pattern.
    """
    rules: list[tuple[bool, re.Pattern[str]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#") or not (rule := line.strip()):  # `#` begins a comment in the first column only
            continue
        includes = rule.startswith("!")
        try:
            pattern = _normalise_pattern(rule[1:].strip() if includes else rule)
            if pattern != ".":
                rules.append((includes, re.compile(_to_expression(pattern))))
        except ValueError as error:
            raise DockerignoreError(
                f"{rule[:80]!r} is not a valid pattern: {error}",
                hint="Escape a literal bracket with a backslash.",
                location=Location(path=path, line=number),
            ) from None

    def is_ignored(name: str) -> bool:
        parts = name.split("/")
        paths = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]  # a rule for a folder covers all in it
        result = False
        for includes, pattern in rules:
            if any(pattern.fullmatch(each) for each in paths):
                result = not includes
        return result

    return is_ignored


def _normalise_pattern(pattern: str) -> str:
    if not pattern:
        raise ValueError("nothing follows the `!`")
    return posixpath.normpath(pattern).lstrip("/")


def _to_expression(pattern: str) -> str:
    """Return ``pattern`` as a regular expression. Raises: ValueError with the reason if it is not valid."""
    if pattern.startswith("**") and pattern[2:3] != "/" and not _SPECIAL.search(pattern[2:]):
        return ".*" + re.escape(pattern[2:])  # to Docker, `**.log` is a suffix and not the name of a file
    tokens = _PATTERN_TOKEN.findall(pattern)
    expression = ""
    for position, token in enumerate(tokens, 1):
        if token.startswith("**"):
            expression += ".*" if position == len(tokens) else "(?:.*/)?"
        elif token in ("*", "?"):
            expression += {"*": "[^/]*", "?": "[^/]"}[token]
        elif token in ("[", "\\"):
            raise ValueError("an unclosed bracket" if token == "[" else "it ends in a backslash")
        elif token.startswith("["):
            expression += _to_character_class(token)
        else:
            expression += re.escape(token[-1])
    return expression


def _to_character_class(token: str) -> str:
    """Translate ``[a-z]`` or ``[^a-z]``."""
    is_negated = token.startswith("[^")
    ranges = []
    for first, last in _RANGE.findall(token[1 + is_negated : -1]):
        low, high = first[-1], (last or first)[-1]
        if low > high:
            raise ValueError(f"a range from {low!r} to {high!r}")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"[{'^' if is_negated else ''}{''.join(ranges)}]"
