"""Text for people: colours on a terminal only, tables, records, sizes and times."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from roost.wire.visible import make_visible

COLOUR_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_OWN_CODE = os.urandom(6).hex()
"""Marks the colours of this process, so that no other text can have any."""
TIME_FIELDS = ("created", "started", "ended")
"""Fields of a record that hold a time."""


def is_rich(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """Return whether ``stream`` shows colour: a non-empty ``NO_COLOR`` disables it (no-color.org)."""
    return is_rich(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, stream: TextIO) -> str:
    """Return ``text`` in ``colour`` if ``stream`` shows colour, else unchanged. ``render`` makes it codes."""
    return f"{_OWN_CODE}[{COLOUR_CODES[colour]}m{text}{_OWN_CODE}[0m" if has_colour(stream) else text


def render(line: str) -> str:
    """Return a line as a stream gets it: with the codes of ``paint``, and everything else visible."""
    return make_visible(line).replace(_OWN_CODE, "\033")


def format_size(number: float | None) -> str:
    """Return a number of bytes in units of 1000."""
    if number is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(number) < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def format_duration(seconds: float | None) -> str:
    """Return seconds as ``3.2 s``, ``4 min 10 s`` or ``1 h 5 min``."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def short_digest(digest: str | None) -> str:
    """Return a digest short enough for a table."""
    return "-" if not digest else digest.removeprefix("sha256:")[:12]


def format_time(time: object) -> str | None:
    """Return a record's time (RFC 3339, UTC) without fractions of a second."""
    return re.sub(r"\.\d+", "", str(time)) if time else None


def format_count(number: int, noun: str) -> str:
    """Return ``1 prefix`` or ``2 prefixes``."""
    plural = noun + ("es" if noun.endswith("x") else "s")
    return f"{number} {noun if number == 1 else plural}"


def format_path(path: str) -> str:
    """Return ``path``, relative to the working folder if it is below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def format_table(heads: Sequence[str], rows: Iterable[Sequence[object]], longest: int = sys.maxsize) -> str:
    """Return columns as wide as their content; ``None`` and empty cells show as ``-``. A cell of more than ``longest``
    characters does not widen its column: only its own row is longer."""
    cells = [list(heads), *([_cell_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells if len(row[column]) <= longest) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def _cell_text(cell: object) -> str:
    return "-" if cell is None or cell == "" else make_visible(str(cell))


def format_record(record: Mapping[str, Any]) -> str:
    """Return a record with a line for each field that is not empty."""
    width = max((len(name) for name in record), default=0)
    filled = ((name, value) for name, value in record.items() if value not in (None, [], {}, ""))
    cells = ((name, format_time(value) if name in TIME_FIELDS else _field_text(value)) for name, value in filled)
    return "\n".join(f"{name.ljust(width)}  {make_visible(str(text))}" for name, text in cells)


def _field_text(value: object) -> str:
    if isinstance(value, dict):
        filled = ((name, item) for name, item in value.items() if item not in (None, "", [], {}))
        return ", ".join(f"{name}={_field_text(item)}" for name, item in filled)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value)
