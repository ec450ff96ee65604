"""``events``: what happens in the daemon."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command
from roost.client.terminal.text import format_time

Json = dict[str, Any]
FUTURE_NUMBER = 2**53 - 1
"""Larger than any event's number: a reader that starts there receives the present number first."""


def add(subparsers: Subparsers) -> None:
    """Add ``events``."""
    events = add_command(subparsers, "events", events_command, "Show the daemon's events.", "roost events -f --json")
    events.add_argument("-f", "--follow", action="store_true", help="continue until interrupted")
    events.add_argument("--since", type=int, default=0, metavar="SEQ", help="only events after that number")


def events_command(context: Context) -> int:
    """Print events until interrupted, or without ``-f`` up to the latest at the start."""
    since = context.options.since
    latest = None if context.options.follow else _latest_number(context)
    if latest is not None and latest <= since:
        return 0
    with closing(context.session.lines("GET", f"/v1/events?since={since}")) as events:
        for event in events:
            if event["kind"] != "heartbeat":
                context.print_json(event) if context.json else context.print(_event_line(event))
            if latest is not None and event["seq"] >= latest:
                break
    return 0


def _latest_number(context: Context) -> int:
    with closing(context.session.lines("GET", f"/v1/events?since={FUTURE_NUMBER}")) as events:
        return int(next(events)["seq"])


def _event_line(event: Json) -> str:
    fields = " ".join(f"{name}={_field_word(value)}" for name, value in (event.get("fields") or {}).items())
    return f"{event.get('seq', '-')}  {format_time(event.get('time')) or ''}  {event['kind']}  {fields}".rstrip()


def _field_word(value: object) -> object:
    """Return a value as one word; a list is a command."""
    return shlex.quote(shlex.join(map(str, value))) if isinstance(value, list) else value
