"""``cache df --by`` as text. Separate, since no other command needs it."""

from __future__ import annotations

from typing import Any

from roost.client.terminal.text import format_path, format_size, format_table, format_time

Json = dict[str, Any]
_NOBODY = {"environment": "(no environment)", "project": "(no file)"}
_COUNTS = ("prefixes", "packages", "wheels", "layers", "images", "others")


def group_lines(answer: Json) -> list[str]:
    """Return the groups as a table, without columns that are empty, and what it means."""
    by, groups = answer["by"], answer["groups"]
    is_divided = by in _NOBODY
    counts = [name for name in _COUNTS if any(group[name] for group in groups)]
    has_images = any(group["image_bytes"] for group in groups)
    heads = [by.upper(), "OWN" if is_divided else "SIZE", *(["SHARED"] if is_divided else [])]
    heads += [name.upper() for name in counts if by != "kind"] or ["COUNT"]
    heads += ["IN ENGINES"] if has_images else []
    rows = []
    for group in groups:
        name = group["name"] or _NOBODY.get(by, "-")
        row: list[object] = [format_path(name) if by == "project" and group["name"] else name]
        row += [format_size(group["own_bytes"]), *([format_size(group["shared_bytes"])] if is_divided else [])]
        shown = [group[name] or " " for name in counts]
        row += shown if by != "kind" else [sum(group[name] for name in counts)]
        row += [format_size(group["image_bytes"]) if group["image_bytes"] else " "] if has_images else []
        rows.append([*row, format_time(group["last_used"])])
    lines = format_table([*heads, "LAST USED"], rows).split("\n") if rows else []
    lines += [f"{format_size(answer['used_bytes'])} in all, each file counted once"]
    if answer["image_bytes"]:
        lines[-1] += f"; {format_size(answer['image_bytes'])} in engines"
    if is_divided:
        lines.append(f"OWN is of no other {by}; SHARED is of others as well, and counted for each of them")
    return lines
