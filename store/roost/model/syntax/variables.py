"""``${NAME}`` in definitions: allowed for who asks and of whom, refused in everything that decides what is meant.

The value comes with each request and is not part of the definition, whose lock everybody gets who has the same text. So
a variable may be the user, the password or a token in a URL (also conda's ``/t/${TOKEN}/`` and a signed query), or its
host; anywhere else the first caller's value would decide for all others.

What counts as a reference is what the tools would replace: pip and uv replace ``${NAME}`` (uppercase names; here any)
and leave ``$NAME`` and ``%NAME%`` as they are, and replace it in ``$${NAME}`` too. conda also replaces ``$NAME``: in
channels and specs it is refused everywhere, unless it is only a part of a password that is written out. No tool knows
defaults (``${NAME:-x}``): they are refused everywhere.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from roost.model.errors import InvalidDefinitionError, Location
from roost.model.syntax.urls import find_secret_spans

_BRACED = re.compile(r"\$\{[^{}\s]*\}")
_BRACED_OR_BARE = re.compile(r"\$(?:\{[^{}\s]*\}|[A-Za-z_]\w*)")
_PLAIN = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")


class VariableMisplacedError(InvalidDefinitionError):
    """A variable stands for something other than the user, password, token or host of a URL."""

    code = "variable-misplaced"


class VariableReference(NamedTuple):
    """A reference as written, and its offset."""

    text: str
    offset: int


def find_misplaced_variable(text: str, *, conda: bool = False) -> VariableReference | None:
    """Return the first reference in a requirement, option, channel, spec or URL at a place where none is allowed.

    ``conda``: ``$NAME`` is a reference too.
    """
    if "$" not in text:
        return None
    allowed = sorted(find_secret_spans(text), key=lambda span: span[1])
    index = 0
    for match in (_BRACED_OR_BARE if conda else _BRACED).finditer(text):
        while index < len(allowed) and allowed[index][1] < match.end():
            index += 1
        is_inside = index < len(allowed) and allowed[index][0] <= match.start()
        if not is_inside or not (_PLAIN.fullmatch(match.group()) or _is_part_of_word(text, match)):
            return VariableReference(match.group(), match.start())
    return None


def _is_part_of_word(text: str, match: re.Match[str]) -> bool:
    """Whether ``$NAME`` has other characters of a user, password or host around it."""
    if match.group().startswith("${"):
        return False
    return text[match.start() - 1] not in "/:" or text[match.end() : match.end() + 1] not in ("", "/", ":", "@")


def variable_misplaced_error(reference: str, location: Location | None) -> VariableMisplacedError:
    """Return the error for a reference that :func:`find_misplaced_variable` found."""
    return VariableMisplacedError(
        f"{reference} is not allowed here: only the user, password, token and host of a URL can be a variable, since "
        "everybody with this text gets the same packages",
        hint="Write the value here. A token belongs in front of the host of the URL, as ${TOKEN}@host.",
        location=location,
        fields={"variable": reference},
    )
