"""Differences as lines of text: fields, and packages of locks."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from roost.client.terminal.text import format_count, format_size, paint

Json = dict[str, Any]
SHOWN = 4
COLOURS = {"added": "green", "removed": "red", "up": "green", "down": "yellow", "rebuilt": "cyan"}
WORDS = {"added": "new", "removed": "gone"}
MARKS = {"added": "+", "removed": "-"}


def change_lines(changes: Iterable[Json], stream: TextIO) -> Iterator[str]:
    """A field a line: ``+`` came, ``-`` went, ``~`` changed."""
    for change in apart(changes):
        before, after = change.get("before"), change.get("after")
        if before is None or after is None:
            mark, colour, value = ("+", "green", after) if before is None else ("-", "red", before)
            yield paint(f"{mark} {_field(change)}: {_text(value)}", colour, stream)
        else:
            yield paint(f"~ {_field(change)}: {_text(before)} -> {_text(after)}", "yellow", stream)


def apart(changes: Iterable[Json]) -> list[Json]:
    """Where one thing stands in the place of another in a list, the one went and the other came."""
    told: list[Json] = []
    for change in changes:
        before, after = change.get("before"), change.get("after")
        if change["field"].endswith("]") and before and after and _name(before) != _name(after):
            told += [{**change, "after": None}, {**change, "before": None}]
        else:
            told.append(change)
    return told


def _name(entry: object) -> str:
    """What a dependency is of: ``numpy`` of ``numpy=1.26``."""
    return re.split(r"[^\w.-]", entry.lstrip(), maxsplit=1)[0].lower() if isinstance(entry, str) else ""


def summary(changes: Sequence[Json] | None) -> str:
    """All in one line, for a table; the values of settings are left to ``env diff``."""
    if not changes:
        return " " if changes is None else "nothing"
    told = apart(changes)
    said = [_short(change) for change in told[:SHOWN]]
    more = len(told) - SHOWN
    return "; ".join(said) + (f"; and {more} more" if more > 0 else "")


def _short(change: Json) -> str:
    field, before, after = str(change["field"]), change.get("before"), change.get("after")
    if field.split(".")[0] in ("variables", "container", "interpreter"):
        return field
    if before is None or after is None:
        return f"{_field(change)}: {'+' if before is None else '-'}{_text(after if before is None else before)}"
    return f"{_field(change)}: {_text(before)} -> {_text(after)}"


def lock_lines(lock: Json, stream: TextIO, *, fetch: bool = True) -> Iterator[str]:
    """The packages that differ, under a line that counts them; ``fetch``: and what there is to fetch."""
    counts = Counter(package["change"] for package in lock["packages"])
    said = [f"{counts[kind]} {WORDS.get(kind, kind)}" for kind in COLOURS if counts[kind]]
    bytes_ = f"; {format_size(lock['bytes'])} to fetch" if fetch and lock["bytes"] else ""
    same = f"{format_count(lock['unchanged'], 'package')} unchanged"
    head = f"packages ({lock['platform']}): "
    yield head + (
        f"{', '.join(said)}, {same}{bytes_}" if said else f"the same ({format_count(lock['unchanged'], 'package')})"
    )
    provider = lock.get("provider")
    if provider:
        yield paint(f"  ~ python: {provider['before']} -> {provider['after']}", "yellow", stream)
    yield from _package_lines(lock["packages"], stream, sizes=fetch)


def _package_lines(packages: Sequence[Json], stream: TextIO, *, sizes: bool) -> Iterator[str]:
    rows = [_package_row(package, sizes=sizes) for package in packages]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for package, row in zip(packages, rows, strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield paint(f"  {MARKS.get(package['change'], '~')} {line}", COLOURS[package["change"]], stream)


def _package_row(package: Json, *, sizes: bool) -> tuple[str, str, str, str, str]:
    before, after = package.get("before"), package.get("after")
    rebuilt = package["change"] == "rebuilt"
    versions = " -> ".join(_version(state, rebuilt=rebuilt) for state in (before, after) if state)
    bytes_ = format_size(after["size"]) if sizes and after and after.get("size") else ""
    said = WORDS.get(package["change"]) or str(package["change"])
    return (str(package["name"]), said, versions, "pip" if package["kind"] == "pip" else "", bytes_)


def _version(state: Json, *, rebuilt: bool) -> str:
    """A rebuild shows what it can be told by: the build string, the folder, or the content."""
    if not rebuilt:
        return str(state["version"])
    of = state.get("build") or state.get("place") or ""
    return f"{state['version']} {of} {state.get('sha256', '')[:8]}".replace("  ", " ").rstrip()


def _field(change: Json) -> str:
    """Without the place in a list, which says nothing to people."""
    return re.sub(r"\[\d+\]$", "", str(change["field"]))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value if "\n" not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def as_before(answer: Json) -> str:
    """What there is to say of a version that was there already."""
    if answer["created"]:
        return ""
    latest = "" if "latest" in answer["environment"]["labels"] else ", and is not the latest"
    return f" (was registered already{latest})"
