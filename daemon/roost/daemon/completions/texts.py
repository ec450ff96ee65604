"""The text of a file of values. Pure.

One value a line, the best one first, followed by a tab and what it is, if it has a description. The last line is
``end N``, with the number of values: a shell ignores a file without it, so a file that was cut is never half used.
What an environment is are its labels and versions, as they follow its name in a reference: ``@prod @latest :3 :2``.

A shell puts a value into a command line unquoted, so only values that mean themselves in every shell are written, and
shells check that again: a file may have been damaged. Descriptions are printed only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from roost.wire.visible import make_visible

FORMAT = "1"
"""Number of the format, in the path: shells may have loaded the script of another version of roost."""
MAX_DESCRIPTION = 60
_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+=/-]{0,260}")


class Value(msgspec.Struct, frozen=True):
    """Something that may be typed, and what it is."""

    text: str
    description: str = ""


def format_values(values: Iterable[Value]) -> str:
    """Return the text of a file of those ``values`` that can be typed unquoted, each once, in their order."""
    lines: dict[str, str] = {}
    for value in values:
        if _SAFE.fullmatch(value.text):
            lines.setdefault(value.text, _format_description(value.description))
    return "".join(f"{text}{description}\n" for text, description in lines.items()) + f"end {len(lines)}\n"


def shorten(description: str) -> str:
    """Return one line of at most ``MAX_DESCRIPTION`` characters."""
    line = " ".join(description.split())
    return line if len(line) <= MAX_DESCRIPTION else line[: MAX_DESCRIPTION - 1] + "…"


def _format_description(description: str) -> str:
    """Return the description behind a tab, without anything that acts on a terminal."""
    line = " ".join(make_visible(" ".join(description.split())).split())
    return f"\t{line}" if line else ""
