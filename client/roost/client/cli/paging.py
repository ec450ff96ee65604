"""Long histories, a page at a time: the latest rows, and those before any of them."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlencode

from roost.client.cli.context import Context

LARGEST = 1000
"""Rows that the daemon tells in one answer."""


def add_paging(parser: argparse.ArgumentParser, noun: str) -> None:
    """``--limit`` and ``--before``."""
    parser.add_argument("--limit", type=_rows, default=100, metavar="N", help="at most so many rows (default: 100)")
    parser.add_argument("--before", metavar="ID", help=f"those before this {noun}")


def page(context: Context, family: str) -> dict[str, Any]:
    """The answer for ``runs`` or ``builds``; that there may be older ones is said."""
    options = context.options
    query = {"limit": options.limit, **({"before": options.before} if options.before else {})}
    answer = context.request("GET", f"/v1/{family}?{urlencode(query)}")
    rows = answer[family]
    if len(rows) == options.limit:
        context.note(f"there may be older ones: roost {family} list --before {rows[-1]['id']}")
    return answer


def _rows(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {LARGEST}")
    return int(text)
