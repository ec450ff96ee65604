"""``env who``: where a package is used."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.errors import usage_error
from roost.client.terminal.text import format_count, format_table, format_time, short_digest

Json = dict[str, Any]
ABOUT = """What holds a package: environments, generations, images, prefixes and runs.

Versions are said as conda or pip say them, and looked for among conda's packages and pip's. A project may have another
name in each: conda's pytorch is pip's torch, so ask for both. An environment that was never solved holds nothing yet.
"""
MANY = 10**9
PAGE = 1000
"""Rows that the daemon tells in one answer."""


def add(family: Subparsers) -> None:
    """``env who``."""
    parser = add_command(family, "who", who_command, "Where a package is used.", "roost env who 'pillow>=9,<10.0.1'")
    parser.description = ABOUT
    parser.add_argument("package", metavar="PACKAGE[SPEC]")
    one = parser.add_mutually_exclusive_group()
    for kind in ("conda", "pip"):
        about = f"{kind}'s packages only"
        one.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=about)
    parser.add_argument("--limit", type=_limit, default=100, metavar="N", help="list so many of each at most (100)")


def _limit(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= MANY:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MANY}")
    return int(text)


def who_command(context: Context) -> int:
    """0 whether or not anything holds it."""
    options = context.options
    if not options.package.strip():
        raise usage_error("The package has no name.", "Write something like 'numpy<1.26.4'.")
    answer = _answer(context, min(options.limit, PAGE))
    for kind in TABLES:
        _complete(context, answer, kind)
    context.print_json(answer) if context.json else context.print("\n".join(_lines(answer)))
    return 0


def _answer(context: Context, limit: int, **place: str) -> Json:
    options = context.options
    world = {"kind": options.kind} if options.kind else {}
    query = {"package": options.package, "limit": limit, **world, **place}
    return context.request("GET", f"/v1/who?{urlencode(query)}")


def _complete(context: Context, answer: Json, kind: str) -> None:
    """As many of a kind as are asked for, page by page."""
    rows = answer[kind]
    while kind in answer["next"] and len(rows) < context.options.limit:
        limit = min(PAGE, context.options.limit - len(rows))
        page = _answer(context, limit, listed=kind, before=answer["next"].pop(kind))
        rows += page[kind]
        answer["next"] |= page["next"]


def _lines(answer: Json) -> list[str]:
    counts = answer["counts"]
    if not counts["locks"]:
        return _nothing(answer)
    lines = [f"{answer['package']} is in {_counted(counts)}"]
    for kind, (heads, row) in TABLES.items():
        if answer[kind]:
            lines += ["", format_table(heads, map(row, answer[kind]))]
            hidden = counts[kind] - len(answer[kind])
            lines += [f"and {hidden} more: --limit {counts[kind]} shows all"] * (hidden > 0)
    return lines


def _counted(counts: Json) -> str:
    generations = f"{format_count(counts['generations'], 'generation')} ({counts['current_generations']} current)"
    others = [format_count(counts[f"{noun}s"], noun) for noun in ("environment", "image")]
    prefixes, runs = format_count(counts["prefixes"], "prefix"), format_count(counts["runs"], "run")
    return ", ".join([others[0], generations, others[1], prefixes, runs])


def _nothing(answer: Json) -> list[str]:
    lines = [f"nothing here contains {answer['package']}"]
    if answer["others"]:
        lines.append(f"  of that name there are: {_said(answer['others'][:10])}")
    return lines


def _said(packages: Sequence[Json]) -> str:
    return ", ".join(dict.fromkeys(f"{each['name']} {each['version']} ({each['kind']})" for each in packages))


def _environment(row: Json) -> tuple[object, ...]:
    archived = " (archived)" if row["archived"] else ""
    return f"{row['name']}:{row['version']}{archived}", _said(row["packages"]), "yes" if row["current"] else "no"


def _generation(row: Json) -> tuple[object, ...]:
    number = f"{row['number']}{' (current)' if row['current'] else ''}"
    platform = row["platform"] + (", this machine only" if row["host"] else "")
    return (
        short_digest(row["definition_digest"]),
        platform,
        number,
        short_digest(row["lock_digest"]),
        _said(row["packages"]),
    )


def _image(row: Json) -> tuple[object, ...]:
    return row["name"], short_digest(row["config_digest"]), _said(row["packages"]), " ".join(row["places"])


def _prefix(row: Json) -> tuple[object, ...]:
    return row["path"], _said(row["packages"]), format_time(row["last_used"])


def _run(row: Json) -> tuple[object, ...]:
    return row["id"], row["state"], row["environment"], _said(row["packages"]), format_time(row["created"])


TABLES = {
    "environments": (("ENVIRONMENT", "PACKAGE", "CURRENT"), _environment),
    "generations": (("DEFINITION", "PLATFORM", "GENERATION", "LOCK", "PACKAGE"), _generation),
    "images": (("IMAGE", "DIGEST", "PACKAGE", "REGISTRIES"), _image),
    "prefixes": (("PREFIX", "PACKAGE", "LAST USED"), _prefix),
    "runs": (("RUN", "STATE", "ENVIRONMENT", "PACKAGE", "CREATED"), _run),
}
