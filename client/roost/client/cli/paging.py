"""Long lists a page at a time: the latest rows, and the rows before any of them.

Shared by the lists of builds, runs and environments.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from roost.client.cli.context import Context

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


def request_page(context: Context, family: str) -> dict[str, Any]:
    """Return the answer for ``runs`` or ``builds``. Note that there may be older rows if the page is full."""
    options = context.options
    query = {"limit": options.limit, **({"before": options.before} if options.before else {})}
    answer = context.request("GET", f"/v1/{family}?{urlencode(query)}")
    rows = answer[family]
    if len(rows) == options.limit:
        context.note(f"there may be older ones: roost {family} list --before {rows[-1]['id']}")
    return answer
