"""``events`` and ``cache``: what happens, and what there is."""

from __future__ import annotations

import shlex
from contextlib import closing
from typing import Any

from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.terminal.text import format_count, format_size, format_table, format_time

Json = dict[str, Any]
FAR = 2**53 - 1


def add(subparsers: Subparsers) -> None:
    """The commands of this module."""
    events = add_command(subparsers, "events", events_command, "What happens in the daemon.", "roost events -f --json")
    events.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    events.add_argument("--since", type=int, default=0, metavar="SEQ", help="after the event of that number")
    cache = add_family(subparsers, "cache", "What roost keeps on disk.", "roost cache df")
    add_command(cache, "df", usage_command, "How much room everything takes, and what protects it.", "roost cache df")
    about = "Compare every file of every prefix with its package."
    verify = add_command(cache, "verify", verify_command, about, "roost cache verify --repair")
    verify.add_argument("--repair", action="store_true", help="mend the caches and build anew what differs")


def events_command(context: Context) -> int:
    """Without ``-f``: up to the one that is the latest now."""
    latest = None if context.options.follow else _latest(context)
    if latest is not None and latest <= context.options.since:
        return 0
    with closing(context.session.daemon.lines("GET", f"/v1/events?since={context.options.since}")) as lines:
        for event in lines:
            if event["kind"] != "heartbeat":
                context.print_json(event) if context.json else context.print(_line(event))
            if latest is not None and event["seq"] >= latest:
                break
    return 0


def _latest(context: Context) -> int:
    """The number of the latest event: a reader that comes from the far future is told where the present is."""
    with closing(context.session.daemon.lines("GET", f"/v1/events?since={FAR}")) as lines:
        return int(next(lines)["seq"])


def _line(event: Json) -> str:
    said = " ".join(f"{name}={_said(value)}" for name, value in (event.get("fields") or {}).items())
    return f"{event.get('seq', '-')}  {format_time(event.get('time')) or ''}  {event['kind']}  {said}".rstrip()


def _said(value: object) -> object:
    """A value in one word: a list is a command."""
    return shlex.quote(shlex.join(map(str, value))) if isinstance(value, list) else value


def usage_command(context: Context) -> int:
    answer = context.request("GET", "/v1/artifacts")
    if context.json:
        context.print_json(answer)
        return 0
    heads = ("KIND", "ID", "SIZE", "SHARED", "LAST USED", "PROTECTED BY")
    rows = (
        (
            row["kind"],
            row["id"],
            format_size(row["bytes"]),
            format_size(row["shared_bytes"]),
            format_time(row.get("last_used")),
            " ".join(row.get("protected_by") or []),
        )
        for row in answer["artifacts"]
    )
    context.print(format_table(heads, rows))
    context.print(_total(answer["totals"]))
    return 0


def _total(totals: Json) -> str:
    """Files that several artifacts or the caches share count once, and go with the last that has them."""
    whole, own = format_size(totals["bytes"]), format_size(totals["own_bytes"])
    return f"{format_count(totals['artifacts'], 'artifact')}, {whole}, {own} of it unshared"


def verify_command(context: Context) -> int:
    """1 where something differs and was not mended."""
    answer = context.request("POST", "/v1/verify", {"repair": context.options.repair})
    if context.json:
        context.print_json(answer)
    else:
        _print_findings(context, answer)
    return int(bool(answer["findings"]) and not context.options.repair)


def _print_findings(context: Context, answer: Json) -> None:
    for finding in answer["findings"]:
        context.print(f"{finding['path']}: {format_count(finding['count'], 'file')} not as packaged")
        for path in finding["files"]:
            context.print(f"  {path}")
        if finding["replaced_by"]:
            context.print(f"  built anew at {finding['replaced_by']}")
    for name in answer["packages"]:
        context.print(f"{name} was changed in the package cache too, and is fetched anew")
    differ = len(answer["findings"]) or "none"
    context.print(f"{format_count(answer['prefixes'], 'prefix')} compared, {differ} with differences")
    if answer["findings"] and not context.options.repair:
        context.print("`roost cache verify --repair` mends them.")
