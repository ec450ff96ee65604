"""Long lists a page at a time: the latest rows, and the rows before any of them; routes of one row.

Shared by the lists of builds, runs and environments.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from roost.client.cli.context import Context
from roost.client.errors import usage_error

MAX_ROWS = 1000
"""Rows that the daemon returns in one answer."""


def row_limit(most: int | None = None) -> Callable[[str], int]:
    """Return the argument type of a number of rows from 1 to ``most``."""

    def parse_limit(text: str) -> int:
        if text.isascii() and text.isdecimal() and int(text) >= 1 and (most is None or int(text) <= most):
            return int(text)
        upper_bound = "" if most is None else f" to {most}"
        raise argparse.ArgumentTypeError(f"expected a number from 1{upper_bound}")

    return parse_limit


def add_paging_options(parser: argparse.ArgumentParser, noun: str) -> None:
    """Add ``--limit`` and ``--before`` to a list of ``noun``."""
    limit = "at most N rows (default: 100)"
    parser.add_argument("--limit", type=row_limit(MAX_ROWS), default=100, metavar="N", help=limit)
    parser.add_argument("--before", metavar="ID", help=f"rows before this {noun}")


def request_page(context: Context, family: str, filters: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the answer for ``runs`` or ``builds``. Note that there may be older rows if the page is full."""
    options = context.options
    query = {"limit": options.limit, **(filters or {}), **({"before": options.before} if options.before else {})}
    answer = context.request("GET", f"/v1/{family}?{urlencode(query)}")
    rows = answer[family]
    if len(rows) == options.limit:
        again = "the same with" if filters else f"roost {family} list"
        context.note(f"there may be older ones: {again} --before {rows[-1]['id']}")
    return answer


def record_route(kind: str, record_id: str, *parts: str) -> str:
    """Return the path of the ``run`` or ``build`` that the command line names. Raises: ClientError if none can have
    that id."""
    if record_id in ("", ".", ".."):  # a route can't contain them
        raise usage_error(f"{record_id!r} is not a {kind} id.", f"`roost {kind}s list` shows the latest ones.")
    return "/".join((f"/v1/{kind}s/{quote(record_id, safe='')}", *parts))
