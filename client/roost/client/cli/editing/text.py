"""What ``add`` and ``remove`` print for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from roost.client.terminal.text import format_count, format_path

Json = dict[str, Any]
MOST_CHANGES = 10
"""Lines of packages that came, went or moved; what is left is counted."""


def format_result(result: Json, *, is_trial: bool) -> Iterator[str]:
    """Yield a line for each package of the request, then what moved in the lock. ``is_trial``: the file was not
    changed."""
    path = format_path(result["file"])
    for item in result["items"]:
        yield format_item(item, path, is_trial=is_trial)
    changes = result.get("changes", [])
    yield from (f"  {change['text']}" for change in changes[:MOST_CHANGES])
    if len(changes) > MOST_CHANGES:
        yield f"  and {len(changes) - MOST_CHANGES} more"
    if is_trial:
        yield from result["diff"].split("\n") if result["diff"] else ["nothing to change"]
    elif result["is_written"] and result.get("packages") is not None:
        yield f"  {format_count(result['packages'], 'package')} in all"


def format_item(item: Json, path: str, *, is_trial: bool = False) -> str:
    """Return what became of one package, or what would become of it, with its place in the file."""
    path = format_path(item["file"]) if item.get("file") else path
    place = f"{path}:{item['line']}" if item.get("line") is not None else path
    version = f" ({item['version']})" if item.get("version") else ""
    action, before, after = item["action"], _shorten(item.get("before")), _shorten(item.get("after"))
    if action == "present":
        return f"{after or before}{version} is at {place} already"
    verb = f"would be {action}:" if is_trial else action
    if action == "changed":
        return f"{verb} {before} to {after}{version} at {place}"
    return f"{verb} {after if action == 'added' else before or item['name']}{version} at {place}"


def _shorten(text: str | None) -> str | None:
    """Return an item in one line, without the hashes behind it."""
    return " ".join(text.partition(" --hash")[0].split()) if text else text
