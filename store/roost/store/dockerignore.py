"""Which files of a build context a ``.dockerignore`` leaves out (Docker's documentation, ".dockerignore files")."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable

Rule = tuple[bool, "re.Pattern[str]"]


def ignored_by(text: str) -> Callable[[str], bool]:
    """A predicate over paths relative to the context (``/`` between parts); the last rule that fits decides."""
    rules = [rule for line in text.splitlines() if (rule := _rule(line)) is not None]

    def ignored(path: str) -> bool:
        result = False
        for keep, pattern in rules:
            if any(pattern.fullmatch(part) for part in _with_parents(path)):
                result = not keep
        return result

    return ignored


def _with_parents(path: str) -> Iterable[str]:
    """A rule that fits a folder fits what is in it."""
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _rule(line: str) -> Rule | None:
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    keep = line.startswith("!")
    pattern = posixpath.normpath(line.lstrip("!").strip()).lstrip("/")
    return (keep, re.compile(_expression(pattern))) if pattern != "." else None


def _expression(pattern: str) -> str:
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]*\]|\\.|.", pattern)
    return "".join(pieces.get(token) or _literal(token) for token in tokens)


def _literal(token: str) -> str:
    if token.startswith("["):
        return token
    return re.escape(token[-1])
