"""``cache``: the artifacts on disk, their size, and whether they are what their packages say."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any

from roost.client.cli.administration import bundles
from roost.client.cli.administration.collection_text import collection_lines, usage_lines
from roost.client.cli.context import Context
from roost.client.cli.parser import Subparsers, add_command, add_family
from roost.client.errors import unreachable_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_count, format_size, format_table, format_time

Json = dict[str, Any]

_CHANGES = {
    "extra": "added",
    "writable": "writable, and should be read-only",
    "not-locked": "differs from the lock",
}
"""Words for kinds of changes that are not their own."""


def add(subparsers: Subparsers) -> None:
    """Add the family ``cache``."""
    family = add_family(subparsers, "cache", "What roost stores on disk.", "roost cache df")
    about = "Disk usage of everything, and what protects it from collection."
    usage = add_command(family, "df", usage_command, about, "roost cache df")
    by = "divide it by environment, project (folder of the file), kind or age (last use)"
    usage.add_argument("--by", choices=("environment", "project", "kind", "age"), help=by)
    usage.add_argument("--measure", action="store_true", help="measure every prefix anew: 0.1 s for each")
    gc = add_command(family, "gc", gc_command, "Remove what is not needed, for space.", "roost cache gc --dry-run")
    gc.add_argument("--dry-run", action="store_true", help="print what would go, and remove nothing")
    gc.add_argument("--explain", action="store_true", help="print rules, numbers, and what stays and why")
    gc.add_argument("--all", action="store_true", help="remove all that nothing needs, whatever its age and the budget")
    about = "Protect an artifact, a lock or an environment from collection."
    pin = add_command(family, "pin", pin_command, about, "roost cache pin train:3")
    about = "Let something that was pinned be collected again."
    unpin = add_command(family, "unpin", unpin_command, about, "roost cache unpin train:3")
    for parser in (pin, unpin):
        parser.add_argument("subject", metavar="ID|LOCK|ENVIRONMENT")
    about = "Compare every file of every prefix with what was built."
    verify = add_command(family, "verify", verify_command, about, "roost cache verify --repair")
    verify.add_argument("--repair", action="store_true", help="repair the caches and rebuild what differs")
    bundles.add(family)
    about = "Remove everything that roost has stored."
    purge = add_command(family, "purge", _purge_command, about, "roost cache purge --yes")
    purge.add_argument("--yes", action="store_true", help="without a question")
    purge.add_argument("--images", action="store_true", help="also remove the images in the engine that roost made")
    purge.add_argument("--force", action="store_true", help="although processes run in environments; they go on")


def _purge_command(context: Context) -> int:
    from roost.client.cli.administration.purge import purge_command  # no other command needs it

    return purge_command(context)


def usage_command(context: Context) -> int:
    if context.options.by is not None:
        from roost.client.cli.administration.usage_text import group_lines  # of this option only

        answer = context.request("GET", f"/v1/usage?by={context.options.by}")
        context.print_json(answer) if context.json else context.print_lines(group_lines(answer))
        return 0
    query = "?measure=true" if context.options.measure else ""
    answer = context.request("GET", f"/v1/artifacts{query}")
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
    context.print_text(format_table(heads, rows))
    context.print_lines(usage_lines(answer))
    return 0


def gc_command(context: Context) -> int:
    """Return 0 even if a limit could not be met: what is needed stays."""
    options = context.options
    request = {"dry_run": options.dry_run, "everything": options.all}
    display = context.display = ProgressDisplay(sys.stderr, quiet=context.quiet or context.json)
    try:
        with closing(context.session.messages("/v1/gc", request)) as messages:
            for message in messages:
                if message["event"] == "result":
                    result: Json = message["result"]
                    break
                if message["event"] == "step":
                    display.show(_progress_message(message))
            else:
                hint = "Run the command again: what was removed is removed."
                raise unreachable_error("The daemon closed the connection before the collection ended.", hint)
    finally:
        display.close()
    context.print_json(result) if context.json else context.print_lines(collection_lines(result, options.explain))
    return 0


def pin_command(context: Context) -> int:
    answer = context.request("POST", "/v1/pins", {"subject": context.options.subject})
    context.print_json(answer) if context.json else context.print_lines(
        f"{each} is pinned" for each in answer["changed"]
    )
    return 0


def unpin_command(context: Context) -> int:
    answer = context.request("DELETE", "/v1/pins", {"subject": context.options.subject})
    lines = [f"{each} is no longer pinned" for each in answer["changed"]]
    context.print_json(answer) if context.json else context.print_lines(lines or ["It was not pinned"])
    return 0


def _progress_message(message: Json) -> Json:
    return {"event": "progress", "step": "collect", "done": message["number"], "total": message["total"]}


def verify_command(context: Context) -> int:
    """Return 1 if something differs and was not repaired."""
    answer = context.request("POST", "/v1/verify", {"repair": context.options.repair})
    context.print_json(answer) if context.json else _print_findings(context, answer)
    return int(bool(answer["findings"] or answer["layers"]) and not context.options.repair)


def _print_findings(context: Context, answer: Json) -> None:
    for finding in answer["findings"]:
        context.print(f"{finding['path']}: {format_count(finding['count'], 'difference')} from what was built")
        for each in finding["changes"]:
            context.print(f"  {each['path']}: {_CHANGES.get(each['change'], each['change'])}")
        if finding["replaced_by"]:
            context.print(f"  rebuilt at {finding['replaced_by']}")
        if finding.get("retired"):
            context.print("  not used any more; the next command that needs it installs the project again")
        if finding["protected_again"]:
            context.print("  read-only again")
    for name in answer["packages"]:
        context.print(f"{name} was changed in the package cache too, and is fetched again")
    if answer["rewritten"]:
        state = "deleted" if context.options.repair else "`--repair` has them compiled again"
        context.print(f"{format_count(answer['rewritten'], 'byte-code file')} rewritten by Python or damaged: {state}")
    if answer.get("deleted"):
        deleted = format_count(answer["deleted"], "byte-code file")
        context.print(f"{deleted} that nothing vouches for deleted; compiled again in the background")
    if answer["older"]:
        context.print(f"{format_count(answer['older'], 'prefix')} of an older format compared with its packages only")
    for digest in answer["layers"]:
        state = "deleted, and made again when it is needed" if context.options.repair else "missing or altered"
        context.print(f"layer {digest}: {state}")
    differing = len(answer["findings"]) or "none"
    context.print(f"{format_count(answer['prefixes'], 'prefix')} compared, {differing} with differences")
    if (answer["findings"] or answer["layers"]) and not context.options.repair:
        context.print("`roost cache verify --repair` repairs them.")
