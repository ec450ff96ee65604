"""``env list``, ``env show`` and ``env versions``: what is registered."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import urlencode

from roost.client.cli.context import Context
from roost.client.cli.environments.changes import summarize_changes
from roost.client.cli.environments.references import request_version, route, split_reference
from roost.client.cli.paging import MAX_ROWS
from roost.client.errors import usage_error
from roost.client.terminal.text import format_table, format_time, paint, short_digest

Json = dict[str, Any]
MAX_FIELDS = 6
"""Names of differing fields that ``env show`` lists."""


def list_command(context: Context) -> int:
    rows = request_environments(context, "with" if context.options.curated else "without", context.options.limit)
    if context.json:
        context.print_json({"environments": rows})
        return 0
    if not rows:
        adding = "`roost env register` adds one, and so does the first `roost run`"
        context.note(f"no environment is registered: {adding}; `roost curated list` shows the curated ones")
    heads = ("NAME", "LATEST", "VERSIONS", "LABELS", "KIND", "DEFINITION", "CREATED")
    cells = (
        (
            row["name"],
            row["version"],
            row["versions"],
            format_labels(row),
            row["kind"] + (", archived" if row["archived"] else ""),
            short_digest(row["definition_digest"]),
            format_time(row["created"]),
        )
        for row in rows
    )
    context.print_text(format_table(heads, cells))
    return 0


def request_environments(context: Context, curated: str, most: int | None = None) -> list[Json]:
    """Return the first ``most`` environments or all, requested page by page, with the archived ones on ``--all``.

    ``curated``: ``without`` those that others keep, ``with`` them, or ``only`` them.
    """
    archived = {"archived": "true"} if context.options.all else {}
    rows, next_name = list[Json](), ""
    while next_name is not None and (most is None or len(rows) < most):
        limit = min(MAX_ROWS, most - len(rows)) if most is not None else MAX_ROWS
        query = {"limit": limit, "curated": curated, "after": next_name, **archived}
        answer = context.request("GET", f"/v1/environments?{urlencode(query)}")
        rows += answer["environments"]
        next_name = answer["next"]
    return rows


def format_labels(row: Json) -> str:
    """Return the labels of an environment in a list, without ``latest``, which each has."""
    return ", ".join(label for label in row["labels"] if label != "latest")


def show_command(context: Context) -> int:
    version = request_version(context, context.options.reference)
    if context.json:
        context.print_json(version)
        return 0
    text = context.request("GET", route(f"{version['name']}:{version['version']}", "document"))["text"]
    head = paint(f"{version['name']}:{version['version']}", "bold", sys.stdout)
    facts = [version["kind"], *version["labels"], *(["archived"] if version["archived"] else [])]
    lines = [
        f"{head}  ({', '.join(facts)})",
        f"created     {format_time(version['created'])}{_origin_text(version)}",
        f"definition  {version['definition_digest']}",
        f"settings    {version['settings_digest']}",
        "",
        *text.strip().split("\n"),
        "",
        *_generations_text(version).split("\n"),
    ]
    context.print_lines(lines)
    return 0


def _origin_text(version: Json) -> str:
    origin, differences = version.get("origin"), version.get("differences")
    if not origin or differences is None:
        return f", from {origin}" if origin else ""
    if not differences:
        return f", cloned from {origin} and the same as it"
    fields = [difference["field"] for difference in differences]
    more = f" and {len(fields) - MAX_FIELDS} more" if len(fields) > MAX_FIELDS else ""
    return f", made from {origin}, differs in {', '.join(fields[:MAX_FIELDS])}{more}"


def _generations_text(version: Json) -> str:
    """Return the table of generations, or why there are none."""
    generations, python = version["generations"], version["definition"].get("python", {})
    if not generations and python.get("user_managed"):
        return f"User-managed: roost installs nothing, and uses {python.get('interpreter', 'python')} as it is."
    if not generations:
        return "It was never solved on this machine: `roost build` creates its first generation."
    rows = []
    for generation in generations:
        as_of = f", as of {format_time(generation['as_of'])}" if generation.get("as_of") else ""
        rows.append(
            (
                generation["number"],
                generation["platform"] + (", this machine only" if generation["host"] else ""),
                short_digest(generation["lock_digest"]),
                f"{format_time(generation['created'])}{as_of}",
                "current" if generation["current"] else " ",
            )
        )
    return format_table(("GENERATION", "PLATFORM", "LOCK", "CREATED", ""), rows)


def versions_command(context: Context) -> int:
    reference = context.options.reference
    if split_reference(reference)[1]:
        raise usage_error(f"{reference!r} is one version.", "`roost env show` shows it; give NAME for all of them.")
    versions = _request_versions(context)
    if context.json:
        context.print_json({"versions": versions})
        return 0
    heads = ("VERSION", "LABELS", "DEFINITION", "CREATED", "CHANGED")
    rows = (
        (
            row["version"],
            ", ".join(row["labels"]),
            short_digest(row["definition_digest"]),
            f"{format_time(row['created'])}{' (archived)' if row['archived'] else ''}",
            summarize_changes(row.get("changes")),
        )
        for row in versions
    )
    context.print_text(format_table(heads, rows))
    return 0


def _request_versions(context: Context) -> list[Json]:
    """Return all versions, requested page by page, with the archived ones on ``--all``."""
    reference, archived = context.options.reference, "true" if context.options.all else None
    rows, before = list[Json](), None
    while True:
        answer = context.request("GET", route(reference, "versions", limit=MAX_ROWS, before=before, archived=archived))
        rows += answer["versions"]
        if (before := answer["next"]) is None:
            return rows
