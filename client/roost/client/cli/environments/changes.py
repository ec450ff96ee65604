"""Differences as lines of text: changed fields, and changed packages of locks."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from roost.client.terminal.text import format_count, format_size, paint

Json = dict[str, Any]
MAX_SUMMARIZED = 4
COLOURS = {"added": "green", "removed": "red", "up": "green", "down": "yellow", "rebuilt": "cyan"}
WORDS = {"added": "new", "removed": "gone"}
MARKS = {"added": "+", "removed": "-"}


def change_lines(changes: Iterable[Json], stream: TextIO) -> Iterator[str]:
    """Yield a line for each field: ``+`` added, ``-`` removed, ``~`` changed."""
    for change in split_replacements(changes):
        before, after = change.get("before"), change.get("after")
        if before is None or after is None:
            mark, colour, value = ("+", "green", after) if before is None else ("-", "red", before)
            yield paint(f"{mark} {_field_name(change)}: {_value_text(value)}", colour, stream)
        else:
            line = f"~ {_field_name(change)}: {_value_text(before)} -> {_value_text(after)}"
            yield paint(line, "yellow", stream)


def split_replacements(changes: Iterable[Json]) -> list[Json]:
    """Return the changes; a list item that replaces one of another package becomes a removal and an addition."""
    result: list[Json] = []
    for change in changes:
        before, after = change.get("before"), change.get("after")
        is_list_item = change["field"].endswith("]")
        if is_list_item and before and after and _package_name(before) != _package_name(after):
            result += [{**change, "after": None}, {**change, "before": None}]
        else:
            result.append(change)
    return result


def _package_name(item: object) -> str:
    """Return ``numpy`` for ``numpy=1.26``."""
    return re.split(r"[^\w.-]", item.lstrip(), maxsplit=1)[0].lower() if isinstance(item, str) else ""


def summarize_changes(changes: Sequence[Json] | None) -> str:
    """Return the changes in one line for a table; the values of settings are left to ``env diff``."""
    if not changes:
        return " " if changes is None else "nothing"
    split = split_replacements(changes)
    summaries = [_change_summary(change) for change in split[:MAX_SUMMARIZED]]
    more = len(split) - MAX_SUMMARIZED
    return "; ".join(summaries) + (f"; and {more} more" if more > 0 else "")


def _change_summary(change: Json) -> str:
    field, before, after = str(change["field"]), change.get("before"), change.get("after")
    if field.split(".")[0] in ("variables", "container", "interpreter"):
        return field
    if before is None or after is None:
        mark, value = ("+", after) if before is None else ("-", before)
        return f"{_field_name(change)}: {mark}{_value_text(value)}"
    return f"{_field_name(change)}: {_value_text(before)} -> {_value_text(after)}"


def _field_name(change: Json) -> str:
    """Return the field without its position in a list, which means nothing to people."""
    return re.sub(r"\[\d+\]$", "", str(change["field"]))


def _value_text(value: object) -> str:
    if isinstance(value, str):
        return value if "\n" not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def lock_lines(lock: Json, stream: TextIO, *, fetch: bool = True) -> Iterator[str]:
    """Yield a line that counts the packages that differ, then one for each.

    ``lock``: a ``wire.LockDiff``; ``fetch``: with the sizes that are to be fetched.
    """
    counts = Counter(package["change"] for package in lock["packages"])
    changed = [f"{counts[kind]} {WORDS.get(kind, kind)}" for kind in COLOURS if counts[kind]]
    unchanged = format_count(lock["unchanged"], "package")
    to_fetch = f"; {format_size(lock['bytes'])} to fetch" if fetch and lock["bytes"] else ""
    head = f"packages ({lock['platform']}): "
    yield head + (f"{', '.join(changed)}, {unchanged} unchanged{to_fetch}" if changed else f"the same ({unchanged})")
    provider = lock.get("provider")
    if provider:
        yield paint(f"  ~ python: {provider['before']} -> {provider['after']}", "yellow", stream)
    rows = [_package_row(package, sizes=fetch) for package in lock["packages"]]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(5)]
    for package, row in zip(lock["packages"], rows, strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield paint(f"  {MARKS.get(package['change'], '~')} {line}", COLOURS[package["change"]], stream)


def _package_row(package: Json, *, sizes: bool) -> tuple[str, str, str, str, str]:
    before, after = package.get("before"), package.get("after")
    is_rebuilt = package["change"] == "rebuilt"
    versions = " -> ".join(_version_text(state, is_rebuilt=is_rebuilt) for state in (before, after) if state)
    size = format_size(after["size"]) if sizes and after and after.get("size") else ""
    word = WORDS.get(package["change"]) or str(package["change"])
    return (str(package["name"]), word, versions, "pip" if package["kind"] == "pip" else "", size)


def _version_text(state: Json, *, is_rebuilt: bool) -> str:
    """Return the version; for a rebuild also what distinguishes it: the build string, the folder, or the content."""
    if not is_rebuilt:
        return str(state["version"])
    build = state.get("build") or state.get("place") or ""
    return f"{state['version']} {build} {state.get('sha256', '')[:8]}".replace("  ", " ").rstrip()
