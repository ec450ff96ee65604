"""Text for people: colours only on a terminal, tables, sizes and times."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import TextIO

CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def is_rich(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """``NO_COLOR`` (no-color.org): any value but the empty one turns colour off."""
    return is_rich(stream) and not os.environ.get("NO_COLOR")


def paint(text: str, colour: str, stream: TextIO) -> str:
    """``text`` in ``colour`` where ``stream`` shows it."""
    return f"\033[{CODES[colour]}m{text}\033[0m" if has_colour(stream) else text


def size(count: float | None) -> str:
    """Bytes in units of 1000."""
    if count is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def digest(text: str | None) -> str:
    """A digest short enough for a table."""
    return "-" if not text else text.removeprefix("sha256:")[:12]


def moment(time: object) -> str | None:
    """A time of a record (RFC 3339, UTC) to the second."""
    return re.sub(r"\.\d+", "", str(time)) if time else None


def count(number: int, noun: str) -> str:
    """``1 prefix``, ``2 prefixes``."""
    plural = noun + ("es" if noun.endswith("x") else "s")
    return f"{number} {noun if number == 1 else plural}"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need to be; ``None`` shows as ``-``."""
    cells = [list(heads), *([("-" if cell is None or cell == "" else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
