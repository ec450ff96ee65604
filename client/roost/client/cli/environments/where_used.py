"""``env who``: where a package is used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from roost.client.cli.context import Context
from roost.client.cli.environments import audit
from roost.client.cli.paging import MAX_ROWS, row_limit
from roost.client.cli.parser import Subparsers, add_command
from roost.client.errors import usage_error
from roost.client.terminal.text import format_count, format_table, format_time, short_digest

Json = dict[str, Any]
ABOUT = """Show what contains a package: environments, generations, images, prefixes and runs.

Write versions as for conda or pip; packages of both are searched. A project may have another name in each: conda's
pytorch is pip's torch, so ask for both. An environment that was never solved contains nothing yet. With --finding
the packages are those that an advisory names (see `roost env audit`).
"""
MAX_LIMIT = 10**9
_ADVISORY = re.compile(r"(?:CVE|GHSA|PYSEC|OSV)-\w", re.IGNORECASE)


def add(family: Subparsers) -> None:
    """Add ``env who``."""
    parser = add_command(
        family, "who", who_command, "Show where a package is used.", "roost env who 'pillow>=9,<10.0.1'"
    )
    parser.description = ABOUT
    parser.add_argument("package", nargs="?", metavar="PACKAGE[SPEC]")
    parser.add_argument("--finding", metavar="ADVISORY", help="the packages that one is about, by any of its ids")
    audit.add_database_option(parser)
    one = parser.add_mutually_exclusive_group()
    for kind in ("conda", "pip"):
        about = f"{kind}'s packages only"
        one.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=about)
    limit = "list at most N of each (100)"
    parser.add_argument("--limit", type=row_limit(MAX_LIMIT), default=100, metavar="N", help=limit)


def who_command(context: Context) -> int:
    """Return 0 whether or not the package is used."""
    options = context.options
    if (options.package is None) == (options.finding is None):
        raise usage_error("Name one thing to look for: PACKAGE, or --finding.", "As in: roost env who 'numpy<1.26.4'")
    if options.finding is not None:
        return _show_finding(context)
    if options.database is not None:
        raise usage_error("--db is for --finding.", "`roost env audit --db FILE` looks all packages up.")
    if not options.package.strip():
        raise usage_error("The package has no name.", "Write something like 'numpy<1.26.4'.")
    answer = _request_uses(context, min(options.limit, MAX_ROWS))
    for kind in TABLES:
        _request_rest(context, answer, kind)
    context.print_json(answer) if context.json else context.print_lines(_use_lines(answer))
    if _ADVISORY.match(options.package) and not any(answer["counts"].values()):
        context.note(f"`roost env who --finding {options.package}` shows where the packages of an advisory are used")
    return 0


def _show_finding(context: Context) -> int:
    """Show where the packages of an advisory are used, each version apart."""
    if not context.options.finding.strip():
        raise usage_error("--finding has no id.", "Write something like GHSA-56pw-mpj4-fxww.")
    if context.options.kind is not None:
        raise usage_error("--conda and --pip are for PACKAGE.", "Leave them out: an advisory names its packages.")
    answer = audit.request_finding(context)
    if context.json:
        context.print_json(answer)
        return 0
    lines: list[str] = []
    for finding in answer["findings"]:
        package = finding["package"]
        spec = f"{package['name']}=={package['version']} ({package['kind']})"
        uses = {**finding["uses"], "package": spec, "others": []}
        lines += [*audit.finding_lines([finding]), *_use_lines(uses), ""]
    context.print_lines(lines[:-1] or [f"nothing here is affected by {context.options.finding}"])
    return 0


def _request_uses(context: Context, limit: int, **page: str) -> Json:
    options = context.options
    kind = {"kind": options.kind} if options.kind else {}
    query = {"package": options.package, "limit": limit, **kind, **page}
    return context.request("GET", f"/v1/who?{urlencode(query)}")


def _request_rest(context: Context, answer: Json, kind: str) -> None:
    """Request the rest of a kind, page by page, up to the limit."""
    rows = answer[kind]
    while kind in answer["next"] and len(rows) < context.options.limit:
        limit = min(MAX_ROWS, context.options.limit - len(rows))
        following = _request_uses(context, limit, listed=kind, before=answer["next"].pop(kind))
        rows += following[kind]
        answer["next"] |= following["next"]


def _use_lines(answer: Json) -> list[str]:
    counts = answer["counts"]
    if not counts["locks"]:
        nothing = [f"nothing here contains {answer['package']}"]
        others = [f"  available versions: {_packages_text(answer['others'][:10])}"] if answer["others"] else []
        return nothing + others
    lines = [f"{answer['package']} is in {_counts_text(counts)}"]
    for kind, (heads, row) in TABLES.items():
        if answer[kind]:
            lines += ["", *format_table(heads, map(row, answer[kind])).split("\n")]
            hidden = counts[kind] - len(answer[kind])
            lines += [f"and {hidden} more: --limit {counts[kind]} shows all"] * (hidden > 0)
    return lines


def _counts_text(counts: Json) -> str:
    parts = [
        format_count(counts["environments"], "environment"),
        f"{format_count(counts['generations'], 'generation')} ({counts['current_generations']} current)",
        format_count(counts["images"], "image"),
        format_count(counts["prefixes"], "prefix"),
        format_count(counts["runs"], "run"),
    ]
    return ", ".join(parts)


def _packages_text(packages: Sequence[Json]) -> str:
    return ", ".join(dict.fromkeys(f"{each['name']} {each['version']} ({each['kind']})" for each in packages))


def _environment_row(row: Json) -> tuple[object, ...]:
    version = f"{row['name']}:{row['version']}{' (archived)' if row['archived'] else ''}"
    return version, _packages_text(row["packages"]), "yes" if row["current"] else "no"


def _generation_row(row: Json) -> tuple[object, ...]:
    number = f"{row['number']}{' (current)' if row['current'] else ''}"
    platform = row["platform"] + (", this machine only" if row["host"] else "")
    definition, lock = short_digest(row["definition_digest"]), short_digest(row["lock_digest"])
    return definition, platform, number, lock, _packages_text(row["packages"])


def _image_row(row: Json) -> tuple[object, ...]:
    return row["name"], short_digest(row["config_digest"]), _packages_text(row["packages"]), " ".join(row["places"])


def _prefix_row(row: Json) -> tuple[object, ...]:
    return row["path"], _packages_text(row["packages"]), format_time(row["last_used"])


def _run_row(row: Json) -> tuple[object, ...]:
    return row["id"], row["state"], row["environment"], _packages_text(row["packages"]), format_time(row["created"])


TABLES = {
    "environments": (("ENVIRONMENT", "PACKAGE", "CURRENT"), _environment_row),
    "generations": (("DEFINITION", "PLATFORM", "GENERATION", "LOCK", "PACKAGE"), _generation_row),
    "images": (("IMAGE", "DIGEST", "PACKAGE", "REGISTRIES"), _image_row),
    "prefixes": (("PREFIX", "PACKAGE", "LAST USED"), _prefix_row),
    "runs": (("RUN", "STATE", "ENVIRONMENT", "PACKAGE", "CREATED"), _run_row),
}
