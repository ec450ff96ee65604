"""A collection as text for people: what goes and why, the numbers, what stays, and when the next one comes; and the
totals of what is stored."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from roost.client.terminal.text import format_count, format_duration, format_size, format_table, format_time

Json = dict[str, Any]
_DIGEST = re.compile(r"[0-9a-f]{32,}")
_MOST_STEPS = 40
"""Lines of steps without ``--explain``; the rest is counted."""


def collection_lines(view: Json, explain: bool) -> list[str]:
    """Return the lines of ``roost cache gc``. ``explain``: with the numbers, everything that stays, and all steps."""
    steps = _step_lines(view, len(view["steps"]) if explain else _MOST_STEPS)
    result = _result_lines(view)
    if view["dry_run"] or explain:
        result.append(_next_line(view["next"], view["limits"]))
    if not explain:
        return [*steps, *result]
    parts = [steps, _kept_lines(view["kept"]), _number_lines(view), result]
    return [line for part in parts if part for line in ("", *part)][1:]


def _step_lines(view: Json, most: int) -> list[str]:
    steps = view["steps"]
    if not steps:
        return []
    heads = ("RULE", "KIND", "ID", "FREES", "AGE", "REASON")
    rows = [
        (
            step["rule"],
            step["kind"],
            _short_id(step["id"]),
            format_size(step["bytes"]),
            _format_age(step),
            _reason(step),
        )
        for step in steps[:most]
    ]
    more = [f"… and {format_count(len(steps) - most, 'further step')} (--explain shows all)"] if steps[most:] else []
    return [*format_table(heads, rows).split("\n"), *more]


def _short_id(item_id: str) -> str:
    """Return an id with its digests cut: they are longer than a line of a terminal."""
    return _DIGEST.sub(lambda found: f"{found[0][:12]}…", item_id)


def _reason(step: Json) -> str:
    return f"stays: {step['reason']}" if step["state"] == "kept" else str(step["reason"])


def _format_age(step: Json) -> str:
    try:
        last = datetime.strptime(step["last_used"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return "-"
    seconds = max(0.0, (datetime.now(timezone.utc) - last).total_seconds())
    return f"{seconds / 86400:.0f} d" if seconds >= 2 * 86400 else format_duration(round(seconds))


def _kept_lines(kept: list[Json]) -> list[str]:
    if not kept:
        return []
    rows = (
        (each["kind"], each["id"] or format_count(each["count"], "item"), format_size(each["bytes"]), each["reason"])
        for each in kept
    )
    return ["What stays:", *format_table(("KIND", "ID", "SIZE", "REASON"), rows).split("\n")]


def _number_lines(view: Json) -> list[str]:
    limits = view["limits"]
    rows = [
        ("in use", format_size(view["used_bytes"]), "under the root, each file counted once"),
        ("budget", _format_limit(limits["budget_bytes"]), "cache.budget_bytes"),
        ("free", format_size(view["free_bytes"]), f"of {format_size(view['disk_bytes'])} on that disk"),
        ("floor", _format_limit(limits["min_free_bytes"]), "cache.min_free_bytes, to be free in any case"),
        ("images", format_size(view["image_bytes"]), "in engines"),
        ("for images", _format_limit(limits["image_bytes"]), "cache.image_bytes"),
        ("prefixes", f"{limits['prefix_days']:g} d", "cache.prefix_days: used since then, they go for the floor only"),
        ("packages", f"{limits['package_days']:g} d", "cache.package_days, the same"),
        ("outputs", f"{limits['output_days']:g} d", "cache.output_days: younger ones never go"),
    ]
    return format_table(("NUMBER", "VALUE", "MEANING"), rows).split("\n")


def _format_limit(size: int) -> str:
    return format_size(size) if size else "no limit"


def _result_lines(view: Json) -> list[str]:
    done = [step for step in view["steps"] if step["state"] != "kept"]
    verb = "would be freed" if view["dry_run"] else "freed"
    count = format_count(len(done), "removal")
    lines = [f"{format_size(view['freed_bytes'])} {verb} by {count}" if done else _nothing_line(view)]
    if view["freed_image_bytes"]:
        lines.append(f"{format_size(view['freed_image_bytes'])} {verb} in engines")
    if view["missing_bytes"]:
        missing = format_size(view["missing_bytes"])
        lines.append(f"{missing} more should go, but all that is left is needed or was used lately")
    if view["missing_image_bytes"]:
        missing = format_size(view["missing_image_bytes"])
        lines.append(f"Images exceed their limit by {missing}, but all that are left are needed or were used lately")
    return lines


def _nothing_line(view: Json) -> str:
    if view["missing_bytes"]:
        return "Nothing can go"
    used, limit = format_size(view["used_bytes"]), view["limits"]["budget_bytes"]
    return f"Nothing has to go: {used} in use, {f'{format_size(limit)} allowed' if limit else 'no limit'}"


def _next_line(upcoming: Json, limits: Json) -> str:
    idle = format_duration(upcoming["idle_seconds"])
    after = f"after {format_time(upcoming['at'])}, " if upcoming["at"] else ""
    line = f"Next by itself: after a build that exceeds a limit, or {after}once the daemon was idle for {idle}"
    if upcoming["begins"]:
        return f"{line}; until {format_time(upcoming['begins'])} it only reports, since an older version made this root"
    return line


def usage_lines(answer: Json) -> list[str]:
    """Return the lines below the artifacts of ``roost cache df``."""
    totals = answer["totals"]
    lines = []
    if answer.get("caches"):
        rows = [(each["kind"], each["count"], format_size(each["bytes"])) for each in answer["caches"]]
        lines = ["", *format_table(("CACHE", "ITEMS", "SIZE"), rows).split("\n"), ""]
    # Files that several artifacts or the caches share count once, and are deleted with the last that has them.
    total, unshared = format_size(totals["bytes"]), format_size(totals["own_bytes"])
    lines.append(f"{format_count(totals['artifacts'], 'artifact')}, {total}, {unshared} of it unshared")
    used, budget = format_size(totals["used_bytes"]), totals["budget_bytes"]
    allowed = f" of {format_size(budget)} (cache.budget_bytes)" if budget else ""
    free, disk = format_size(totals["free_bytes"]), format_size(totals["disk_bytes"])
    lines.append(f"{used}{allowed} in use, each file counted once; {free} of {disk} free on that disk")
    return lines
