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
from roost.model.syntax.bounds import MAX_TEXT

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
    rules: list[tuple[bool, Callable[[str], bool]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.startswith("#") or not (rule := line.strip()):  # `#` begins a comment in the first column only
            continue
        includes = rule.startswith("!")
        try:
            pattern = _normalise_pattern(rule[1:].strip() if includes else rule)
            if pattern != ".":
                rules.append((includes, _compile_pattern(pattern)))
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
        for includes, matches in rules:
            if any(matches(each) for each in paths):
                result = not includes
        return result

    return is_ignored


def _normalise_pattern(pattern: str) -> str:
    if not pattern:
        raise ValueError("nothing follows the `!`")
    return posixpath.normpath(pattern).lstrip("/")


def _compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return whether a path matches ``pattern``. Raises: ValueError with the reason if it is not valid."""
    if pattern.startswith("**") and pattern[2:3] != "/" and not _SPECIAL.search(pattern[2:]):
        suffix = pattern[2:]  # to Docker, `**.log` is a suffix and not the name of a file
        return lambda path: path.endswith(suffix) and "\n" not in path[: len(path) - len(suffix)]
    tokens = [match.group() for match in _PATTERN_TOKEN.finditer(pattern) if _check_token(match.group())]
    last = len(tokens) - 1
    expressions = [_to_expression(token, is_last=position == last) for position, token in enumerate(tokens)]
    stars = sum(token.startswith("*") for token in tokens)
    if stars > _MOST_STARS or len(tokens) > MAX_TEXT:
        raise ValueError(f"it has more than {_MOST_STARS} stars or {MAX_TEXT:,} characters")
    if stars > _MOST_BACKTRACKED:
        steps = [_STEPS.get(expression) or _step_over(re.compile(expression)) for expression in expressions]
        return lambda path: _match_in_steps(steps, path)
    whole = re.compile("".join(expressions))
    return lambda path: whole.fullmatch(path) is not None


def _check_token(token: str) -> bool:
    if token in ("[", "\\"):
        raise ValueError("an unclosed bracket" if token == "[" else "it ends in a backslash")
    return True


def _to_expression(token: str, *, is_last: bool) -> str:
    """Return a token as a regular expression. Raises: ValueError with the reason if it is not valid."""
    if token.startswith("**"):
        return _ANYTHING if is_last else _FOLDERS
    if token == "*":
        return _NAME
    if token == "?":
        return "[^/]"
    return _to_character_class(token) if token.startswith("[") else re.escape(token[-1])


_ANYTHING, _FOLDERS, _NAME = ".*", "(?:.*/)?", "[^/]*"
_MOST_BACKTRACKED = 2
"""Stars up to which a regular expression is used: with more, it could try every way to share out a path among them."""
_MOST_STARS = 50
"""Stars in one pattern: the cost for each file of the context is their product with the length of its path."""
_Step = Callable[[str, list[bool]], list[bool]]
"""From the offsets of a path that have been reached before a token to those that are reached with it."""


def _match_in_steps(steps: list[_Step], path: str) -> bool:
    """Match one token after the other against all offsets at once: the cost is their product, whatever the pattern."""
    reached = [True] + [False] * len(path)
    for step in steps:
        reached = step(path, reached)
    return reached[-1]


def _step_over(character: re.Pattern[str]) -> _Step:
    return lambda path, reached: [
        False,
        *(here and character.fullmatch(each) is not None for here, each in zip(reached, path, strict=False)),
    ]


def _step_in_name(path: str, reached: list[bool]) -> list[bool]:
    is_inside, after = False, []
    for here, before in zip(reached, ["", *path], strict=True):
        is_inside = here or (is_inside and before != "/")
        after.append(is_inside)
    return after


def _step_over_folders(path: str, reached: list[bool]) -> list[bool]:
    first = reached.index(True) if True in reached else len(path)
    folders = (offset > first and path[offset - 1] == "/" for offset in range(len(reached)))
    return [here or is_folder for here, is_folder in zip(reached, folders, strict=True)]


def _step_to_end(path: str, reached: list[bool]) -> list[bool]:
    return [*reached[:-1], True in reached]


_STEPS: dict[str, _Step] = {_NAME: _step_in_name, _FOLDERS: _step_over_folders, _ANYTHING: _step_to_end}


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
